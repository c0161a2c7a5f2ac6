"""`Potential`: a network that was trained on energies and forces, as a function of molecules."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from scfx.errors import InputError
from scfx.model.elements import SYMBOLS
from scfx_schnet.batch import pack
from scfx_schnet.checkpoint import load_model, read
from scfx_schnet.forces import WithForces
from scfx_schnet.processes import Processes, choose_device
from scfx_schnet.targets import FORCES

if TYPE_CHECKING:
    from scfx.registry import Registry
    from scfx_schnet.targets import Standardiser


@dataclass(frozen=True, eq=False)
class Potential:
    """Energies and forces of molecules by the averaged weights of a `model.pt`.

    `elements` are those of the rows that it was trained on, `charges` those of the data: it knows no others. Charges
    are empty where the data said none.
    """

    network: WithForces
    standardiser: Standardiser
    elements: frozenset[int]
    charges: frozenset[int]
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        precision: Literal["float32", "float64"] = "float64",
        device: str = "auto",
        registry: Registry | None = None,
    ) -> Potential:
        """Open a `model.pt`. `precision` is that of the evaluation; the weights are those of the training.

        Raises `InputError` for a file that is not there, or of a network that was not trained on forces.
        """
        if precision not in ("float32", "float64"):
            raise InputError(f"precision: got {precision!r}, expected 'float32' or 'float64'")
        network, standardiser, targets = load_model(path, registry)
        if FORCES not in targets:
            raise InputError(
                f"{os.fspath(path)!r} was trained on {', '.join(targets)}, not on forces: it is no potential"
            )
        content = read(path)
        dtype, where = getattr(torch, precision), choose_device(device, Processes())
        energy = [name for name in targets if name != FORCES].index("energy")
        network = WithForces(network, energy).to(device=where, dtype=dtype).eval().requires_grad_(False)
        elements, charges = frozenset(content["elements"]), frozenset(content["charges"])
        return cls(network, standardiser, elements, charges, where, dtype)

    def __call__(
        self, numbers: Sequence[np.ndarray], positions: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return energies [molecule] in eV, and forces [natm, 3] of each molecule in eV/angstrom, all in one batch.

        Atomic numbers [natm] and positions [natm, 3] in angstrom of each. Raises `InputError` for elements that were
        not trained on, and for molecules of which the network would see only the nearest neighbours.
        """
        for index, z in enumerate(numbers):
            self._check(index, np.asarray(z))
        batch = pack(numbers, positions, dtype=self.dtype).to(self.device)
        out, forces = self.network(batch)
        energy, scale = self.network.energy, self.standardiser.std[self.network.energy]
        values = (
            out[:, energy].detach().cpu().numpy().astype(np.float64) * scale + self.standardiser.mean[energy]
        )
        references = self.standardiser.references[:, energy]
        values += np.array([references[np.asarray(z)].sum() for z in numbers])
        of_atoms = forces.cpu().numpy().astype(np.float64) * scale
        return values, np.split(of_atoms, np.cumsum([len(z) for z in numbers])[:-1])

    def _check(self, index: int, numbers: np.ndarray) -> None:
        unknown = sorted({int(z) for z in numbers} - self.elements)
        if unknown:
            symbols = ", ".join(SYMBOLS[z] for z in unknown)
            known = ", ".join(SYMBOLS[z] for z in sorted(self.elements))
            raise InputError(
                f"molecule {index} has {symbols}, which the network was not trained on; it knows {known}"
            )
        limit = getattr(self.network.network, "max_neighbors", None)
        if limit is not None and len(numbers) > limit + 1:
            raise InputError(
                f"molecule {index} has {len(numbers)} atoms, and the network hears the {limit} nearest of an atom "
                "only: its energy would jump"
            )
