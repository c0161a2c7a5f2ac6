"""How the rooms and modules of scfx's core import each other: arrows and circles.

    python benchmarks/import_map.py            # this checkout; another one's root as an argument

Imports inside functions count; those under TYPE_CHECKING are counted in a second line.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import scipy.sparse.csgraph as csgraph
from scipy.sparse import coo_array


def modules(core: Path) -> dict[str, Path]:
    """Every module of the core by its dotted name."""
    found = {}
    for path in core.rglob("*.py"):
        parts = [part for part in path.relative_to(core).with_suffix("").parts if part != "__init__"]
        found[".".join(["scfx", *parts])] = path
    return found


def imported(node: ast.AST, typing: bool) -> Iterator[str]:
    """Names that are imported anywhere below a node; with `typing` also those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if (
            isinstance(child, ast.If)
            and isinstance(child.test, ast.Name)
            and child.test.id == "TYPE_CHECKING"
        ):
            if typing:
                yield from imported(child, typing)
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from imported(child, typing)


def circles(arrows: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Groups in which each reaches every other."""
    pairs = sorted(set(arrows))
    names = sorted({name for pair in pairs for name in pair})
    place = {name: i for i, name in enumerate(names)}
    rows, columns = [place[a] for a, _ in pairs], [place[b] for _, b in pairs]
    graph = coo_array(([1] * len(pairs), (rows, columns)), shape=(len(names), len(names)))
    count, label = csgraph.connected_components(graph, directed=True, connection="strong")
    groups = [[name for name, k in zip(names, label, strict=True) if k == group] for group in range(count)]
    return [group for group in groups if len(group) > 1]


def main() -> None:
    """Print the counts of one checkout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parents[1])
    known = modules(parser.parse_args().root / "scfx")
    for typing in (False, True):
        arrows = set()
        for name, path in known.items():
            for other in imported(ast.parse(path.read_text(encoding="utf-8")), typing):
                if other in known and other not in ("scfx", name):
                    arrows.add((name, other))
        rooms = {(a.split(".")[1], b.split(".")[1]) for a, b in arrows if a != "scfx"}
        rooms = {(a, b) for a, b in rooms if a != b}
        print("with imports for type checkers" if typing else "at run time")
        print(f"  {len(known)} modules, {len(arrows)} arrows, circles: {circles(arrows) or 'none'}")
        count = len({room for pair in rooms for room in pair})
        print(f"  {count} rooms, {len(rooms)} arrows, circles: {circles(rooms) or 'none'}")


if __name__ == "__main__":
    main()
