"""Every hook is documented, and the documented code runs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from scfx import hookspecs
from scfx.registry import HOOKS, KINDS, Registry

HOOKS_PAGE = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text()


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_section_that_names_all_its_arguments(hook):
    section = re.search(rf"^### {hook}\n(.*?)(?=^##|\Z)", HOOKS_PAGE, re.MULTILINE | re.DOTALL)
    assert section, f"docs/hooks.md has no section '### {hook}'"
    text = section.group(1)
    assert f"def {hook}(" in text, f"docs/hooks.md has no example of {hook}"
    for argument in inspect.signature(getattr(hookspecs, hook)).parameters:
        assert f"`{argument}`" in text, f"docs/hooks.md does not explain {argument} of {hook}"


def test_no_section_describes_a_hook_that_does_not_exist():
    assert set(re.findall(r"^### (scfx_\w+)", HOOKS_PAGE, re.MULTILINE)) == set(HOOKS)
    assert {h.removeprefix("scfx_register_") for h in HOOKS if h.startswith("scfx_register_")} == {
        *KINDS,
        "commands",
    }


@pytest.mark.parametrize("block", re.findall(r"^```python\n(.*?)^```", HOOKS_PAGE, re.MULTILINE | re.DOTALL))
def test_every_example_is_accepted_as_a_plugin(block):
    import types

    module = types.ModuleType("example")
    exec(compile(block, "docs/hooks.md", "exec"), vars(module))
    for function in vars(module).values():
        if hasattr(function, "scfx_impl"):
            function.__module__ = "example"
    (record,) = Registry.from_plugins({"example": module}).plugins
    assert (record.status, record.misspelt) == ("available", ()), record.reason
