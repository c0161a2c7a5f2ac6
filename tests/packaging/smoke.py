"""A release's first minute: what the installed scfx must do anywhere. Run as a program, outside of a checkout.

    python smoke.py

Prints what it did; ends with an error if something is not as it should be. Needs the extras libcint and bse.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

#: Water, angstrom, and its energy in hartree at HF/STO-3G: Crawford's programming project 3, test case 1 (bohr there).
WATER = [
    [0.0, -0.143225816552, 0.0],
    [1.638036840407, 1.136548822547, 0.0],
    [-1.638036840407, 1.136548822547, 0.0],
]
ENERGY = -74.942079928192


def main() -> None:
    began = time.perf_counter()
    os.chdir(tempfile.mkdtemp())
    import scfx

    registry = scfx.Registry.discover()
    assert any(plugin.status == "available" for plugin in registry.plugins)
    water = scfx.System.from_arrays(["O", "H", "H"], WATER, "bohr")
    for backend in ("simd", "libcint"):
        result = scfx.solve(water, "hf", "sto-3g", backend=backend, registry=registry).raise_for_status()
        assert abs(result.energy[0] - ENERGY) < 1e-8, (backend, result.energy)
        print(f"{backend} ({result.provenance['kernels']}): {result.energy[0]:.10f} hartree")
    forces = scfx.solve(water, "pbe0", "sto-3g", grid=1, properties=["gradient"], registry=registry)[
        0
    ].gradient
    assert forces is not None
    assert abs(forces.sum(axis=0)).max() < 1e-10
    path = scfx.solve(water, "hf", registry=registry).save("water.npz")
    assert scfx.SCFResult.load(path).systems == [water]
    done = subprocess.run([sys.executable, "-m", "scfx", "info"], capture_output=True, text=True, check=True)
    print(done.stdout.splitlines()[1], f"; {time.perf_counter() - began:.1f} s in all")


if __name__ == "__main__":
    main()
