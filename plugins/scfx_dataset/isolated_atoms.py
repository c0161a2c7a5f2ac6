"""Energies of isolated atoms at the level of a dataset: what trainers subtract from the energies of molecules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import scfx
from scfx.config.old_keys import with_present_names
from scfx.model.elements import SYMBOLS, electrons_by_angular_momentum
from scfx.model.system import HARTREE_IN_EV

if TYPE_CHECKING:
    from scfx_dataset.quality import Selected
    from scfx_dataset.reader import Dataset


@dataclass(frozen=True)
class IsolatedAtom:
    """A neutral atom in its ground state's multiplicity, spin-unrestricted; `energy_ev` in eV."""

    atomic_number: int
    multiplicity: int
    energy_ev: float


def isolated_atoms(dataset: Dataset | Selected, atomic_numbers: Iterable[int]) -> list[IsolatedAtom]:
    """Return the neutral atoms of these elements, computed as the plan of `dataset` says, by atomic number.

    A plan that asks for restricted orbitals is followed but for that, since most atoms have open shells. Raises
    `InputError` where the plan names something that is not to be had here, `ConvergenceError` for an atom that does not
    converge.
    """
    elements = sorted({int(z) for z in atomic_numbers})
    if not elements:
        return []
    stored = {
        key: value
        for key, value in with_present_names(dataset.plan.identity["spec"]).items()
        if key in scfx.SCFSpec.model_fields
    }
    reference = stored.get("reference", "auto")
    changed = {"properties": (), "reference": "auto" if reference == "restricted" else reference}
    spec = scfx.SCFSpec.create({**stored, **changed}, key="plan.spec")
    systems = [
        scfx.System.from_arrays([z], np.zeros((1, 3)), "bohr", 0, ground_state_multiplicity(z), SYMBOLS[z])
        for z in elements
    ]
    result = scfx.Solver(spec, atomic_numbers=elements).solve(systems).raise_for_status()
    return [
        IsolatedAtom(z, system.multiplicity, float(energy) * HARTREE_IN_EV)
        for z, system, energy in zip(elements, systems, result.energy, strict=True)
    ]


def ground_state_multiplicity(z: int) -> int:
    """Return 2S + 1 of the neutral atom by Hund's first rule, from its ground-state configuration: carbon 3, nitrogen
    4.
    """
    unpaired = 0
    for l, electrons in enumerate(electrons_by_angular_momentum(z)):
        in_shell = electrons % (4 * l + 2)
        unpaired += min(in_shell, 4 * l + 2 - in_shell)
    return unpaired + 1
