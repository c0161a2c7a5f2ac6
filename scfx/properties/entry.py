"""`ConvergedEntry`: one solved system, as its properties see it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int32

from scfx.contracts.property import PropertyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scfx.contracts.property import Value
    from scfx.model.basis import BasisSet
    from scfx.model.batch import Batch
    from scfx.model.system import System
    from scfx.scf.batch_scf import BatchSCF

#: Points whose AO values are made at once: one compiled shape serves every molecule of an AO bucket.
_POINTS = 4096


class Lane(NamedTuple):
    """Where an entry stands in its batch, and its arrays there, whose atoms and AOs are in the batch's order."""

    batch: Batch
    index: int
    density: Float64[np.ndarray, "spin nao nao"]
    orthogonal_density: Float64[np.ndarray, "spin nao nao"]
    overlap: Float64[np.ndarray, "nao nao"]
    dipole: Float64[np.ndarray, "3 nao nao"]
    owner: Int32[np.ndarray, "nao"]
    charges: Float64[np.ndarray, "natm"]


class ConvergedEntry:
    """One system with its density and orbitals, in hartree and bohr, atoms and AOs in the system's own order.

    What is not there yet is made on request and kept until the batch is done. Arrays are not to be changed.
    """

    def __init__(
        self,
        run: BatchSCF,
        lane: Lane,
        orbital_energies: Float64[np.ndarray, "spin n_orbitals"],
        energy: float,
        energy_components: Mapping[str, float],
        residual: float,
    ):
        self._run = run
        #: The same in the batch's own order of atoms, for properties that work on the arrays of a batch.
        self.lane = lane
        #: Kept by `evaluate`: values found so far and the reasons of those that failed, by name.
        self.values: dict[str, Value] = {}
        self.reasons: dict[str, str] = {}
        #: Of each spin, ascending, and the orbitals that they belong to, [spin, nao, n_orbitals].
        self.orbital_energies = orbital_energies
        self.orbital_coefficients: Float64[np.ndarray, "spin nao n_orbitals"] = np.empty(0)
        #: Total energy, its parts by name, and the largest element of the orbital gradient; hartree.
        self.energy = energy
        self.energy_components = energy_components
        self.residual = residual

    def value(self, name: str) -> Any:
        """Return the value of a property that this one `needs`. `PropertyError` where that has none."""
        if name in self.values:
            return self.values[name]
        raise PropertyError(f"{name}: {self.reasons.get(name, 'was not asked for before')}")

    # ---- the system --------------------------------------------------------------------------------------------

    @property
    def system(self) -> System:
        """Return the molecule, as it was given."""
        return self.lane.batch.systems[self.lane.index]

    @property
    def basis(self) -> BasisSet:
        """Return the basis set."""
        return self.lane.batch.basis

    @cached_property
    def own_atoms(self) -> Int32[np.ndarray, "natm"]:
        """Return where the system's atoms stand in the batch, without those that only fill it up."""
        order = np.argsort(self.lane.batch.atom_order[self.lane.index])
        return order[: self.system.natm].astype(np.int32)

    @cached_property
    def own_functions(self) -> Int32[np.ndarray, "nao"]:
        """Return where the AOs of the system's own atoms, in their order, stand in the batch."""
        found = [np.flatnonzero(self.lane.owner == atom) for atom in self.own_atoms]
        return np.concatenate(found).astype(np.int32)

    @property
    def natm(self) -> int:
        """Return the number of atoms."""
        return len(self.own_atoms)

    @property
    def nuclear_charges(self) -> Float64[np.ndarray, "natm"]:
        """Return the charges of the nuclei, less the electrons that core potentials replace; 0 for ghost atoms."""
        return self.lane.charges[self.own_atoms]

    @property
    def positions(self) -> Float64[np.ndarray, "natm 3"]:
        """Return the positions [natm, 3] in bohr."""
        return self.lane.batch.positions[self.lane.index][self.own_atoms]

    @property
    def n_electrons(self) -> tuple[int, int]:
        """Return the numbers of alpha and beta electrons that are in the calculation."""
        batch, index = self.lane.batch, self.lane.index
        return int(batch.n_alpha[index]), int(batch.n_beta[index])

    @property
    def has_core_potentials(self) -> bool:
        """Return whether electrons of this molecule are replaced by core potentials."""
        sets = self.basis.of_atoms(self.system)
        return any(own.n_core(int(z)) for own, z in zip(sets, self.system.nuclear_charges, strict=True))

    # ---- matrices ----------------------------------------------------------------------------------------------

    def _own(self, matrix: np.ndarray) -> np.ndarray:
        index = self.own_functions
        return matrix[..., index[:, None], index]

    @cached_property
    def density(self) -> Float64[np.ndarray, "spin nao nao"]:
        """Return the density matrix of each spin; one, of all electrons, where both spins have the same."""
        return self._own(self.lane.density)

    @property
    def spin_densities(self) -> Float64[np.ndarray, "2 nao nao"]:
        """Return the density matrices of alpha and beta electrons."""
        return self.density if len(self.density) == 2 else np.stack([0.5 * self.density[0]] * 2)

    @cached_property
    def overlap(self) -> Float64[np.ndarray, "nao nao"]:
        """Return the overlap matrix."""
        return self._own(self.lane.overlap)

    @cached_property
    def one_electron(self) -> dict[str, Float64[np.ndarray, "..."]]:
        """Return matrices by name: "overlap", "kinetic", "nuclear" (the attraction), and "dipole" [3, nao, nao]
        (<μ|r|ν>).
        """
        one = self._run.matrices.one
        return {name: self._own(getattr(one, name)[self.lane.index]) for name in one._fields}

    @cached_property
    def fock(self) -> Float64[np.ndarray, "spin nao nao"]:
        """Return the Fock (Kohn-Sham) matrix of each spin at this density."""
        index = self.lane.index
        prime = self._run.spin_fock(np.array([index], dtype=np.int32))[0]
        inverse = self._run.matrices.inverse[index]
        return self._own(inverse.T @ prime @ inverse)

    @cached_property
    def ao_atom(self) -> Int32[np.ndarray, "nao"]:
        """Return the atom that carries each AO."""
        return np.repeat(
            np.arange(self.natm, dtype=np.int32), [np.sum(self.lane.owner == atom) for atom in self.own_atoms]
        )

    # ---- the grid ----------------------------------------------------------------------------------------------

    @cached_property
    def grid(self) -> tuple[Float64[np.ndarray, "npoint 3"], Float64[np.ndarray, "npoint"]]:
        """Return points (bohr) and weights (bohr³) of `scf.grid`; also where there is no functional."""
        if self._run.energy.grids:
            return self._run.energy.grids[self.lane.index]
        from scfx.grid import molecular_grid

        batch, index = self.lane.batch, self.lane.index
        return molecular_grid((batch.atomic_numbers[index], batch.positions[index]), self._run.spec.grid)

    @property
    def electrons_on_grid(self) -> float:
        """Return the number of electrons to which the functional's grid integrated the density; NaN without a
        functional.
        """
        return float(self._run.electrons[self.lane.index])

    def ao_values(self, points: Float64[np.ndarray, "npoint 3"]) -> Float64[np.ndarray, "nao npoint"]:
        """Return values of the AOs at some points (bohr)."""
        from scfx.energy.orbitals import evaluate_orbitals

        alone = self._alone
        own = np.concatenate(
            [np.flatnonzero(alone.layout.ao_atom == atom) for atom in np.argsort(alone.atom_order[0])]
        )
        out = np.empty((len(own), len(points)))
        for start in range(0, len(points), _POINTS):
            part = points[start : start + _POINTS]
            padded = np.concatenate([part, np.repeat(part[:1], _POINTS - len(part), axis=0)])
            out[:, start : start + len(part)] = evaluate_orbitals(alone, padded[None])[0, 0, own, : len(part)]
        return out

    @cached_property
    def _alone(self) -> Batch:
        from scfx.model.batch import Batch

        return Batch.from_systems([self.system], self.basis)

    @cached_property
    def density_on_grid(self) -> Float64[np.ndarray, "npoint"]:
        """Return the density of all electrons at the points of `grid`, bohr⁻³."""
        points, _ = self.grid
        out, matrix = np.empty(len(points)), self.density.sum(axis=0)
        for start in range(0, len(points), _POINTS):
            values = self.ao_values(points[start : start + _POINTS])
            out[start : start + _POINTS] = np.einsum("ig,ig->g", values, matrix @ values)
        return out

    @cached_property
    def free_atoms_on_grid(self) -> Float64[np.ndarray, "natm npoint"]:
        """Return the densities of `free_atoms` at the points of `grid`, bohr⁻³."""
        points, _ = self.grid
        out = np.zeros((self.natm, len(points)))
        for start in range(0, len(points), _POINTS):
            values = self.ao_values(points[start : start + _POINTS])
            for atom, free in enumerate(self.free_atoms):
                own = values[self.ao_atom == atom]
                out[atom, start : start + _POINTS] = np.einsum("ig,ig->g", own, free @ own)
        return out

    @cached_property
    def free_atoms(self) -> list[Float64[np.ndarray, "n n"]]:
        """Return the density matrix of each atom, alone and neutral, over its own AOs; zero for ghost atoms.

        It is the atom of the initial guess: spin-restricted Hartree-Fock in the molecule's basis, ground-state
        electrons spread evenly over each subshell, so that it is spherical (van Lenthe et al. 2006).
        """
        out = []
        for atom, (z, charge) in enumerate(
            zip(self.system.atomic_numbers, self.nuclear_charges, strict=True)
        ):
            size = int(np.sum(self.ao_atom == atom))
            out.append(self._run.free_atom(int(z)) if charge else np.zeros((size, size)))
        return out
