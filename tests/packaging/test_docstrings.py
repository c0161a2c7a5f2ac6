"""The first line of every public docstring is a sentence that says what is returned or done."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("scfx", "backends", "basis", "functionals", "plugins")
#: Text of these is what a command prints as its help, or says once for all spellings of a call.
SPOKEN_ELSEWHERE = ("click.", ".command", ".group", "overload")


def documented(path: Path) -> Iterator[tuple[str, str | None]]:
    """Each public name of a file with its docstring, modules, classes and functions alike."""
    tree = ast.parse(path.read_text())
    yield "module", ast.get_docstring(tree)
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        prefix, parent = waiting.pop()
        for node in ast.iter_child_nodes(parent):
            if not isinstance(node, (ast.ClassDef, ast.FunctionDef)) or node.name.startswith("_"):
                continue
            decorators = [ast.unparse(each) for each in node.decorator_list]
            if any(word in text for text in decorators for word in SPOKEN_ELSEWHERE):
                continue
            name = prefix + node.name
            yield name, ast.get_docstring(node)
            if isinstance(node, ast.ClassDef):
                waiting.append((f"{name}.", node))


def complaint(text: str | None) -> str:
    """What is wrong with a docstring's first line, "" if nothing is."""
    if not text:
        return ""  # a method that overrides has its base's
    sentence = text.split("\n\n")[0].strip()
    if sentence.startswith(("The same", "See ", "As ")):
        return f"points elsewhere: {sentence[:60]!r}"
    if not (sentence[0].isupper() or sentence[0] in "`\"'("):
        return f"does not begin with a capital letter: {sentence[:60]!r}"
    if sentence[-1] not in ".:)`":
        return f"does not end: {sentence[-60:]!r}"
    return ""


@pytest.mark.parametrize("room", ROOMS)
def test_first_lines_are_sentences(room):
    wrong = []
    for path in sorted((ROOT / room).rglob("*.py")):
        for name, text in documented(path):
            if said := complaint(text):
                wrong.append(f"{path.relative_to(ROOT)}: {name} {said}")
    assert not wrong, "\n".join(wrong)
