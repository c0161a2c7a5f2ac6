"""`render_page`: a template and plain data as one HTML file that needs nothing beside itself."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scfx.errors import InputError

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"


def render_page(folder: Path, template: str, **values: Any) -> str:
    """Return the HTML of `template` in `folder`, which may extend or import `reporting/...` of the core.

    Values are escaped wherever they stand; a name that the template asks for and `values` lacks is an error. Styles and
    scripts are written into the page, and a policy in its head lets the browser run these scripts alone and fetch
    nothing.
    """
    # A line before `extends` in the template is not the page's.
    return _environment(folder).get_template(template).render(values).lstrip()


def _environment(folder: Path) -> Environment:
    try:
        from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined
    except ImportError as error:
        raise InputError('reports need Jinja2: pip install "scfx[dataset]"') from error
    core = PrefixLoader({"reporting": FileSystemLoader(_TEMPLATES)})
    environment = Environment(
        loader=ChoiceLoader([core, FileSystemLoader(folder)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["thousands"] = "{:,}".format
    environment.filters["policy_hash"] = _policy_hash
    environment.filters["data_address"] = _data_address
    return environment


def _policy_hash(script: str) -> str:
    """Return what a Content-Security-Policy calls a script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _data_address(svg: bytes) -> str:
    """Return an SVG document as an address: as an image it can run nothing, and its ids are its own."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
