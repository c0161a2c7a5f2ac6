"""How good a network is by better labels than those that it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scfx.errors import InputError
from scfx_schnet.job import rows_hash
from scfx_schnet.molecules import Molecules
from scfx_schnet.split import Split, subset
from scfx_schnet.targets import FORCES, scalars
from scfx_schnet.training import Training


class Judge:
    """Errors against other labels on the same kind of molecules: as they are, and after a straight line.

    The line (slope and offset, target by target) from predictions to the judge's labels is fitted by least squares to
    `calibration` rows of the judge's pool. What remains is what the cheap labels got wrong between molecules, not
    their common offset. Forces, being derivatives of the energy, are multiplied by its slope. Validation and test rows
    of the judge are asked: a molecule falls into those parts of every data set or of none, so none of them was trained
    on, which is checked.
    """

    def __init__(self, molecules: Molecules, split: Split, targets: Sequence[str], calibration: int):
        #: The labels that judge, and the rows of them that are asked.
        self.molecules, self.asked = molecules, np.concatenate([split.validation, split.test])
        self._targets = tuple(targets)
        size = min(calibration, len(split.pool))
        self._calibration = subset(molecules.keys, split.pool, size, seed=0)

    @property
    def identity(self) -> list[Any]:
        """Return plain data that is the same for equal labels, rows that are asked, and rows for the line."""
        return [self.molecules.identity, rows_hash(self.asked, self._calibration)]

    @property
    def elements(self) -> list[int]:
        """Return the elements of the rows that are asked, and of those for the line."""
        return self.molecules.elements(np.concatenate([self.asked, self._calibration]))

    def __call__(self, training: Training) -> dict[str, Any]:
        """{"judged_mae_ev", "judged_line_mae_ev", "calibration_rows", "judged_rows"}, lists target by target."""
        asked = self.asked
        if np.isin(self.molecules.keys[asked], training.job.molecules.keys[training.job.rows]).any():
            raise InputError("molecules that the judge asks about were trained on: the splits differ")
        names = scalars(self._targets)
        truth = self.molecules.targets(asked, names)
        predicted, forces = training.predictions(self.molecules, asked)
        seen = training.predict(self.molecules, self._calibration)
        labels = self.molecules.targets(self._calibration, names)
        plain, corrected = {}, {}
        for column, name in enumerate(names):
            slope, offset = np.polyfit(seen[:, column], labels[:, column], 1)
            plain[name] = np.abs(predicted[:, column] - truth[:, column]).mean()
            corrected[name] = np.abs(slope * predicted[:, column] + offset - truth[:, column]).mean()
            if name == "energy" and FORCES in self._targets:
                better = self.molecules.forces(asked)
                plain[FORCES] = np.abs(forces - better).mean()
                corrected[FORCES] = np.abs(slope * forces - better).mean()
        return {
            "judged_mae_ev": [float(plain[name]) for name in self._targets],
            "judged_line_mae_ev": [float(corrected[name]) for name in self._targets],
            "judged_rows": len(asked),
            "calibration_rows": len(self._calibration),
        }
