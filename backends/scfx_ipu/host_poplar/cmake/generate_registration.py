"""Write the translation unit that registers a codelet's vertex classes with the host's Poplar.

Graphcore's popc finds vertex classes and fields in the compiler; here the names come from codelet_reader, and all
else (kind of a field, element type, place) from C++ itself, in the unit: `host_poplar::field<decltype(X::y)>`.

    generate_registration.py --compiler g++ --output rys_registration.cpp --include include codelets/rys.cpp
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from codelet_reader import Reader, VertexClass, read
from codelet_tokens import CodeletError


def generate(source: Path, reader: Reader) -> str:
    """Return C++ that registers the codelets with the host's graph library."""
    stem = source.name.partition(".")[0]
    vertices: list[tuple[str, VertexClass]] = []
    for known in reader.classes.values():
        if known.template:
            vertices += [
                (f"{known.name}<{a}>", known) for n, a, _ in reader.instances if reader.is_named(n, known)
            ]
        else:
            vertices.append((known.name, known))
    lines = [
        f"// Generated from {source.name}; do not edit.",
        "// The codelet's own unnamed namespaces are local to this unit, as they are under popc.",
        "#if defined(__GNUC__) && !defined(__clang__)",
        '#pragma GCC diagnostic ignored "-Wsubobject-linkage"',
        "#endif",
        f'#include "{source}"',
        "",
        "#include <cstddef>",
        "",
        '#include "host_poplar/Registry.hpp"',
        "",
        "// offsetof in a class with an empty base is fine on every compiler this builds with.",
        '#pragma GCC diagnostic ignored "-Winvalid-offsetof"',
        "",
    ]
    for k, (name, _) in enumerate(vertices):
        lines.append(f"using host_poplar_vertex_{stem}_{k} = ::{name};")
        lines.append(f"static bool host_poplar_compute_{stem}_{k}(void *object, unsigned worker) {{")
        lines.append(f"  return host_poplar::call_compute<host_poplar_vertex_{stem}_{k}>(object, worker);")
        lines.append("}")
    lines.append("")
    lines.append(f'static const host_poplar::RegisterCodelets host_poplar_registration("{stem}", {{')
    for k, (name, known) in enumerate(vertices):
        alias = f"host_poplar_vertex_{stem}_{k}"
        lines.append(f'    host_poplar::vertex<{alias}>("{name}", host_poplar_compute_{stem}_{k}, {{')
        lines += [
            f'        host_poplar::field<decltype({alias}::{f})>("{f}", offsetof({alias}, {f})),'
            for f in known.fields
        ]
        lines.append("    }),")
    lines.append("});")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the registration of a codelet's vertex classes."""
    parser = argparse.ArgumentParser(description="register a codelet's vertex classes with the host's Poplar")
    parser.add_argument("source", type=Path)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("--define", action="append", default=[], help="a compiler flag such as -DX=1")
    options = parser.parse_args()
    try:
        reader = read(options.compiler, options.source, options.include, options.define)
        options.output.write_text(generate(options.source.resolve(), reader))
    except CodeletError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
