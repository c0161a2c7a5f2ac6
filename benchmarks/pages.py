"""Sections and figures of the documentation that scripts write, so that no number there is typed by hand."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def put(page: Path, sections: dict[str, str]) -> None:
    """Replace what stands between `<!-- measured: NAME -->` and the next `<!-- end -->`, for every name given."""
    text = page.read_text(encoding="utf-8")
    for name, content in sections.items():
        pattern = rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)"
        text, count = re.subn(
            pattern, lambda m, new=content: f"{m[1]}{new.strip()}\n{m[2]}", text, flags=re.DOTALL
        )
        if count != 1:
            raise SystemExit(f"{page} has {count} sections '<!-- measured: {name} -->', expected one")
    page.write_text(text, encoding="utf-8")


def picture(source: Path, name: str, caption: str) -> str:
    """Copy a figure to docs/img under a name; returns the paragraph that shows it in docs/measurements."""
    images = DOCS / "img"
    images.mkdir(exist_ok=True)
    shutil.copyfile(source, images / name)
    return f"\n\n![{caption}](../img/{name})\n"
