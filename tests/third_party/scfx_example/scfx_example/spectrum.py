"""A resumable task in fifty lines: the spectrum of the Coulomb matrix of every frame of an xyz file."""

import time
from pathlib import Path

import numpy as np
from pydantic import Field

import scfx
from scfx.jobs import AbstractWork, JobOptions, run_job
from scfx.model.xyz import frames_of, open_xyz


class Spectra(AbstractWork):
    """Eigenvalues of the Coulomb matrix (Rupp et al., Phys. Rev. Lett. 108, 058301, 2012), e²/angstrom."""

    def __init__(self, delay):
        self.delay = delay

    def compute(self, items, attempt):
        rows = []
        for item in items:
            time.sleep(self.delay)
            charges, positions = np.array(item["numbers"]), np.array(item["positions"])
            if item["problem"]:
                rows.append({"status": "failed", "reason": item["problem"], "name": item["name"]})
            else:
                distances = np.linalg.norm(positions[:, None] - positions, axis=-1)
                np.fill_diagonal(distances, 1.0)
                matrix = np.outer(charges, charges) / distances
                np.fill_diagonal(matrix, 0.5 * charges**2.4)
                values = np.linalg.eigvalsh(matrix)[::-1].tolist()
                rows.append({"status": "ok", "name": item["name"], "spectrum": values})
            attempt.done(rows[-1]["status"])
        return rows


class SpectrumTask(scfx.AbstractTask):
    class Options(JobOptions):
        molecules: str = Field(description="an xyz file")
        delay: float = Field(0.0, description="seconds to wait at each frame: for the test that kills it")

    def run(self, context):
        with open_xyz(Path(self.options.molecules)) as handle:
            items = [
                {
                    "name": f.comment,
                    "numbers": f.numbers,
                    "positions": f.positions.tolist(),
                    "problem": f.problem,
                }
                for f in frames_of(handle)
            ]
        return run_job(context, self.options, Spectra(self.options.delay), items, {"task": "spectrum"}, 4)
