"""Write parameters.json: libxc's parameters of every functional that jax-xc 0.0.11 has a formula for.

Run by hand, once for each version of jax-xc, with an interpreter that has **numpy 1** (beside numpy 2, jax-xc's
compiled library repeats the first element of every array) and jax-xc unpacked somewhere:

    python extract_parameters.py FOLDER_OF_JAX_XC parameters.json

The numbers are libxc's (MPL-2.0; Lehtola et al., SoftwareX 7, 1 (2018)); census.py checks every functional against
PySCF's libxc.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_KEPT = (
    "type", "maple_name", "params", "dens_threshold", "zeta_threshold", "sigma_threshold", "tau_threshold",
    "cam_omega", "cam_alpha", "cam_beta",
)  # fmt: skip


def plain(record: Any) -> dict[str, Any]:
    """Return one functional as plain data; what it mixes, inside."""
    fields = record._asdict()
    out = {key: value(fields[key]) for key in _KEPT if key in fields}
    if fields.get("func_aux"):
        out["func_aux"] = [plain(part) for part in fields["func_aux"]]
        out["mix_coef"] = value(fields.get("mix_coef", []))
    return out


def value(entry: Any) -> Any:
    """Return a value as plain data."""
    if hasattr(entry, "_asdict"):
        return {key: value(v) for key, v in entry._asdict().items()}
    if hasattr(entry, "tolist"):
        return entry.tolist()
    return [value(v) for v in entry] if isinstance(entry, (list, tuple)) else entry


def main(folder: str, target: str) -> None:
    """Write the parameters of all functionals."""
    import numpy

    if int(numpy.__version__.partition(".")[0]) != 1:
        sys.exit(f"numpy {numpy.__version__} is installed; this needs numpy 1 (see the head of this file)")
    package = ModuleType("jax_xc")  # its own __init__ imports JAX code that current JAX refuses
    package.__path__ = [folder]
    sys.modules["jax_xc"] = package
    from jax_xc.utils import get_p  # type: ignore[import-not-found]

    source = (Path(folder) / "functionals.py").read_text(encoding="utf-8")
    names = [name for name in re.findall(r"^def (\w+)\(", source, re.MULTILINE) if name != "invoke"]
    records = {name: plain(get_p(name, True)) for name in sorted(names)}
    lines = ",\n".join(f"{json.dumps(n)}:{json.dumps(r, separators=(',', ':'))}" for n, r in records.items())
    Path(target).write_text("{\n" + lines + "\n}\n", encoding="utf-8")
    print(f"{len(records)} functionals -> {target}")


if __name__ == "__main__":
    main(*sys.argv[1:])
