"""A label has the same bits however many processors the process may use."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, os, sys
os.sched_setaffinity(0, {int(cpu) for cpu in sys.argv[2].split(",")})
import numpy as np
import scfx
systems = [scfx.System.from_smiles(s, seed=1) for s in ("FC=C1C2CN2N=C1C=O", "CCCCCCCCC")]
for precision in ("float64", "float32"):
    r = scfx.solve(systems, backend=sys.argv[1], precision=precision, grid=0, convergence="loose")
    bits = b"".join(np.ascontiguousarray(a).tobytes() for a in (r.energy, r.homo, r.lumo, r.dipole, r.iterations))
    print(hashlib.sha256(bits).hexdigest())
hydroxyl = scfx.System.from_arrays([8, 1], [[0.1, 0, 0.2], [0.3, -0.2, 1.95]], multiplicity=2, unit="bohr")
options = {"functional": "wb97m-v", "precision": "float64", "grid": 1, "nonlocal_grid": 0}
r = scfx.solve(hydroxyl, backend=sys.argv[1], **(options if sys.argv[1] == "simd" else {}))
bits = b"".join(np.ascontiguousarray(a).tobytes() for a in (r.energy, r.homo, r.lumo, r.dipole, r.iterations))
print(hashlib.sha256(bits).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processor affinity is Linux's")
@pytest.mark.parametrize("backend", ["libcint", "simd"])
def test_labels_have_the_same_bits_on_one_processor_and_on_all(backend):
    # No compilation cache: what was compiled for one number of processors must not serve the other.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    every = sorted(os.sched_getaffinity(0))
    digests = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, backend, ",".join(map(str, processors))],
            env=environment, capture_output=True, text=True, check=True,
        ).stdout.split()
        for processors in (every[:1], every)
    ]  # fmt: skip
    assert len(digests[0]) == 3
    assert digests[0] == digests[1]
