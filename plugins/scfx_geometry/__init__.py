"""Geometries: relaxation of many molecules side by side, harmonic frequencies and what follows from them.

Only hook implementations live here: pyberny, ASE and pyarrow are imported when a task runs, so that listing plugins
stays fast. From Python: `scfx_geometry.relax.relax` and `scfx_geometry.frequencies.frequencies`.
"""

from __future__ import annotations

import scfx


@scfx.hookimpl
def scfx_register_optimizers() -> list[scfx.Offer]:
    """Offer the optimisers of this package."""
    from scfx_geometry.optimizers import OFFERS

    return OFFERS


@scfx.hookimpl
def scfx_register_tasks() -> list[scfx.Offer]:
    """Offer the tasks `optimize`, `frequencies` and `sample`."""
    return [
        scfx.Offer(
            "optimize",
            "scfx_geometry.optimize_task:OptimizeTask",
            summary="relaxes the molecules of a file side by side; resumable, no row is lost",
            requires=("berny", "ase", "pyarrow"),
        ),
        scfx.Offer(
            "frequencies",
            "scfx_geometry.frequencies_task:FrequenciesTask",
            summary="harmonic frequencies, infrared intensities and thermochemistry of the geometries of a file",
            requires=("ase", "pyarrow"),
        ),
        scfx.Offer(
            "sample",
            "scfx_geometry.sampling.task:SampleTask",
            summary="geometries around those of a file by normal modes, dynamics or torsions, with energies and forces",
            requires=("ase", "pyarrow"),
        ),
    ]
