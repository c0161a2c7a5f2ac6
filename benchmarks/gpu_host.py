"""What of a label stays with the host where its batch is worked on by the card, timed."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from gpu import conformers, systems_of
from scfx_precision import policies
from scfx_xc.functionals import B3LYP

from scfx.energy.exchange_correlation.portable import PortableQuadrature
from scfx.execution.device import Execution, executing
from scfx.grid import GridSpec, batch_grids, partition
from scfx.model.batch import Batch
from scfx.scf.batch_matrices import orthogonaliser


def host_seconds(molecule: dict, basis: Any, guess: Any) -> dict[str, float]:
    """Return the processor seconds of a label that stay with the host, timed here on one core, by what it does."""
    entries = 64
    systems = systems_of(molecule, conformers(np.array(molecule["positions_bohr"]), entries, 0))
    spent = {}

    def timed(name: str, work: Any) -> Any:
        made, times = None, []
        for _ in range(4):
            start = time.process_time()
            made = work()
            times.append(time.process_time() - start)
        spent[name] = min(times) / entries
        return made

    batch = timed("batch of systems", lambda: Batch.from_systems(systems, basis))
    whole = partition.becke_fractions_of_lanes
    partition.becke_fractions_of_lanes = lambda numbers, positions, points, owners: [
        np.ones(o.size) for o in owners
    ]
    try:
        with executing(Execution("cpu", True)):
            grids = timed(
                "points", lambda: batch_grids(batch.atomic_numbers, batch.positions, GridSpec.from_config(0))
            )
    finally:
        partition.becke_fractions_of_lanes = whole
    timed("points in blocks",
          lambda: PortableQuadrature(batch, grids, B3LYP(), policies.FLOAT32, entries, 2**40))  # fmt: skip
    timed("first density", lambda: guess.density(batch))
    overlap = np.broadcast_to(np.eye(batch.nao) + 0.01, (entries, batch.nao, batch.nao)).copy()
    timed("orthogonaliser", lambda: [orthogonaliser(s, np.dtype("float64"), 1e-8) for s in overlap])
    return spent
