"""Pieces of a self-contained HTML page: style, the script that sorts tables, tables, pictures."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from html import escape
from typing import Any

#: What a cell shows that has no value.
NOTHING = "\N{EN DASH}"

_STYLE = """
:root { --line: #d9d9d9; --soft: #f5f6f7; --ink: #1d2129; --accent: #0072b2; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; color: var(--ink); background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
h3 { font-size: 1.02rem; margin: 1.2rem 0 .3rem; }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
.note { color: #555; font-size: .9rem; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
tbody tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff;
  min-width: 7.5rem; max-width: 13rem; white-space: normal; overflow-wrap: break-word; }
th.text { text-align: left; }
td.text { text-align: left; white-space: normal; min-width: 10rem; }
thead th, thead th:first-child { background: var(--soft); vertical-align: bottom; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible { outline: 2px solid var(--accent); }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
td small { color: #666; display: block; }
figure { margin: .8rem 0 1.2rem; }
figure div { overflow-x: auto; }
figure img { max-width: 100%; height: auto; display: block; }
figure img.broad { min-width: 46rem; }
figcaption { font-size: .9rem; color: #444; max-width: 46rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .8rem; }
.card { border: 1px solid var(--line); border-radius: 6px; padding: .7rem; font-size: .88rem; min-width: 0; }
.card svg { display: block; margin: 0 auto; max-width: 100%; height: auto; }
.card b { overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0 .6rem; margin: .3rem 0; }
dt { color: #555; } dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
details { margin: .4rem 0; } summary { cursor: pointer; color: var(--accent); }
pre { overflow-x: auto; background: var(--soft); padding: .6rem; border-radius: 6px; font-size: .78rem;
  line-height: 1.35; }
.scroll { display: none; font-size: .85rem; color: #555; }
@media (max-width: 40rem) { body { padding: .7rem; } h1 { font-size: 1.35rem; } .scroll { display: block; } }
@media print { details { display: block; } }
"""

_SCRIPT = """
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const rising = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)], [m, n] = [parseFloat(x), parseFloat(y)];
      if (isNaN(m) !== isNaN(n)) return isNaN(m) ? 1 : -1;
      return (rising ? 1 : -1) * (isNaN(m) ? x.localeCompare(y) : m - n);
    };
    const body = table.tBodies[0];
    [...body.rows].sort(compare).forEach(row => body.append(row));
  }));
}
"""


def page(title: str, body: Sequence[str]) -> str:
    """A whole page that needs nothing beside itself."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(body)
        + f"\n<script>{_SCRIPT}</script></body></html>\n"
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A sortable table; a cell is text, a number, None, or (value to sort by, text to show).

    A shown text like "0.31 [0.28, 0.35]" gets its interval on a line below.
    """
    first = rows[0] if rows else ()
    text = [i > 0 and i < len(first) and isinstance(first[i], str) for i in range(len(heads))]
    kinds = [' class="text"' if left else "" for left in text]
    head = "".join(
        f'<th scope="col"{kind}><button type="button">{escape(h)}</button></th>'
        for h, kind in zip(heads, kinds, strict=True)
    )
    body = "".join("<tr>" + "".join(_cell(c, i) for i, c in enumerate(row)) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(cell: Any, column: int) -> str:
    value, text = cell if isinstance(cell, tuple) else (cell, None)
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    if text is None:
        text = NOTHING if missing else value if isinstance(value, str) else number(value)
    kind = ' class="text"' if isinstance(value, str) and column else ""
    sort = "" if value is None or missing or isinstance(value, str) else f' data-value="{float(value)!r}"'
    plain, bracket, interval = str(text).partition(" [") if isinstance(cell, tuple) else (str(text), "", "")
    below = f"<small>[{escape(interval)}</small>" if bracket else ""
    return f"<td{kind}{sort}>{escape(plain)}{below}</td>"


def number(value: Any, digits: int = 3) -> str:
    """Three significant digits, without powers of ten where they can be avoided."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOTHING
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(float(value))
    if size >= 1000:
        return f"{value:,.0f}"
    if size == 0:
        return "0"
    if size < 1e-4:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(size)))}f}"


def picture(svg: bytes, alt: str, caption: str, broad: bool = False) -> str:
    """An SVG embedded in the page; a broad one scrolls sideways on a small screen in place of shrinking."""
    data = base64.b64encode(svg).decode()
    kind = ' class="broad"' if broad else ""
    return (
        f'<figure><div><img{kind} alt="{escape(alt)}" '
        f'src="data:image/svg+xml;base64,{data}"></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def details(title: str, text: str) -> str:
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"
