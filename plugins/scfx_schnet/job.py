"""`TrainingJob`: all that decides the weights of one training."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx_schnet.fidelity import Form

if TYPE_CHECKING:
    import torch

    from scfx_schnet.fidelity import Joined
    from scfx_schnet.molecules import Molecules
    from scfx_schnet.options import TrainingOptions
    from scfx_schnet.targets import Standardiser

_PLAIN = Form()


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """What is trained on what. `rows`, `validation`, `test` are rows of `molecules`.

    With "forces" among the targets, which go with "energy", the network is trained on the derivative of its energy too.
    `model` is a table with `name` and options; `start` a state to begin from instead of random weights (fine-tuning),
    of the whole network that `form` makes of the model, or of some of its parts, and `learnt` names the data that this
    state was trained on. `standardiser` replaces the fit to the training subset.
    """

    molecules: Molecules | Joined
    rows: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    targets: tuple[str, ...]
    model: dict[str, Any]
    options: TrainingOptions
    seed: int
    start: dict[str, torch.Tensor] | None = None
    learnt: tuple[str, ...] = ()
    form: Form = _PLAIN
    standardiser: Standardiser | None = None

    def identity(self) -> str:
        """Return a hash of all that decides the weights."""
        digest = hashlib.sha256(self.molecules.identity.encode())
        digest.update(np.ascontiguousarray(self.rows).tobytes())
        plain = [self.targets, self.model, self.options.identity(), self.seed]
        plain += [self.form.plain()] if self.form.plain() else []
        if self.standardiser is not None:
            plain += [{k: v.tolist() for k, v in self.standardiser.state().items()}]
        digest.update(json.dumps(plain, sort_keys=True, default=str).encode())
        for name, tensor in sorted((self.start or {}).items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def asked(self) -> str:
        """A hash of the rows whose errors are in the result: of validation, test, and a part of the training subset."""
        return rows_hash(self.validation, self.test, self.rows[: self.options.evaluate_rows])


def rows_hash(*parts: np.ndarray) -> str:
    """Return a short hash of lists of rows, each told from the others."""
    digest = hashlib.sha256()
    for rows in parts:
        digest.update(f"{len(rows)} ".encode() + np.ascontiguousarray(rows, dtype=np.int64).tobytes())
    return digest.hexdigest()[:16]
