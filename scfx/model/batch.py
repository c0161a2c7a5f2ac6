"""`Batch`: systems of one shell structure, stacked, and the grouping of arbitrary systems into batches."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float64, Int32

from scfx.errors import InputError
from scfx.model.basis import cart_to_sph
from scfx.model.filling import filled_up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.model.basis import BasisSet
    from scfx.model.system import System


@dataclass(frozen=True)
class ShellLayout:
    """The structure that every entry of a batch shares; plain tuples, so it hashes and compares.

    Per shell: `atom`, `angular_momentum`, `n_primitives`, `cartesian`. Everything else is derived.
    """

    atom: tuple[int, ...]
    angular_momentum: tuple[int, ...]
    n_primitives: tuple[int, ...]
    cartesian: tuple[bool, ...]

    @property
    def n_shells(self) -> int:
        """Return the number of shells."""
        return len(self.atom)

    @cached_property
    def primitive_offset(self) -> Int32[np.ndarray, "{self.n_shells}+1"]:
        """Return where each shell's primitives start in `Batch.exponents`."""
        return np.concatenate([[0], np.cumsum(self.n_primitives)]).astype(np.int32)

    @cached_property
    def n_functions(self) -> Int32[np.ndarray, "nshell"]:
        """Return the number of functions of each shell."""
        return np.array(
            [
                (l + 1) * (l + 2) // 2 if c else 2 * l + 1
                for l, c in zip(self.angular_momentum, self.cartesian, strict=True)
            ],
            dtype=np.int32,
        )

    @cached_property
    def ao_offset(self) -> Int32[np.ndarray, "{self.n_shells}+1"]:
        """Return where each shell's AOs start; the last element is nao."""
        return np.concatenate([[0], np.cumsum(self.n_functions)]).astype(np.int32)

    @cached_property
    def cartesian_offset(self) -> Int32[np.ndarray, "{self.n_shells}+1"]:
        """Return the first function of each shell in the fully Cartesian basis of the same shells; the last element is
        ncart.
        """
        counts = [(l + 1) * (l + 2) // 2 for l in self.angular_momentum]
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)

    @property
    def nao(self) -> int:
        """Return the number of AOs."""
        return int(self.ao_offset[-1])

    @property
    def ncart(self) -> int:
        """Return the number of functions if all shells were Cartesian."""
        return int(self.cartesian_offset[-1])

    @cached_property
    def all_cartesian(self) -> bool:
        """Return whether no shell needs a transformation to spherical functions."""
        return all(c or l < 2 for l, c in zip(self.angular_momentum, self.cartesian, strict=True))

    @cached_property
    def all_spherical(self) -> bool:
        """Return whether all shells are spherical."""
        return not any(self.cartesian)

    @cached_property
    def cart_to_ao(self) -> Float64[np.ndarray, "ncart nao"]:
        """Return the AOs as combinations of the Cartesian components, block-diagonal by shell: AO = cart @ this."""
        out = np.zeros((self.ncart, self.nao))
        for s, (l, cart) in enumerate(zip(self.angular_momentum, self.cartesian, strict=True)):
            rows = slice(self.cartesian_offset[s], self.cartesian_offset[s + 1])
            columns = slice(self.ao_offset[s], self.ao_offset[s + 1])
            out[rows, columns] = np.eye(rows.stop - rows.start) if cart else cart_to_sph(l)
        return out

    @cached_property
    def ao_atom(self) -> Int32[np.ndarray, "nao"]:
        """Return the atom that carries each AO."""
        return np.repeat(np.array(self.atom, dtype=np.int32), self.n_functions)


@dataclass(frozen=True, eq=False)
class Batch:
    """Systems that share a `ShellLayout`, stacked: every array leads with `batch`. Host arrays, float64, read-only.

    Atoms are reordered (stably, by shell structure) so that molecules whose atoms merely come in another order, or
    are other elements of the same structure, share a layout: `atom_order[b, i]` is the index in `systems[b]` of the
    batch's atom i. `exponents`/`coefficients` run over the primitives of all shells, `layout.primitive_offset`
    telling where each starts, and may differ by entry. Where the basis has an effective core potential, the electrons
    that it replaces are missing from `nuclear_charges`, `n_alpha` and `n_beta`. A ghost atom has its element's number
    and functions, and `nuclear_charges` 0.

    A system may be filled up to the batch's shape (`scfx.model.filling`): `filled` has it with the atoms that were
    added behind its own. They are ghost atoms whose coefficients are zero, and `atom_order` counts them from the
    system's `natm` on. `systems` are those that were given.
    """

    systems: tuple[System, ...]
    basis: BasisSet
    layout: ShellLayout
    atom_order: Int32[np.ndarray, "batch natm"]
    atomic_numbers: Int32[np.ndarray, "batch natm"]
    nuclear_charges: Float64[np.ndarray, "batch natm"]
    positions: Float64[np.ndarray, "batch natm 3"]
    exponents: Float64[np.ndarray, "batch nprim"]
    coefficients: Float64[np.ndarray, "batch nprim"]
    n_alpha: Int32[np.ndarray, "batch"]
    n_beta: Int32[np.ndarray, "batch"]
    filled: tuple[System, ...]

    @classmethod
    def from_systems(cls, systems: Sequence[System], basis: BasisSet, padding: float = 0.0) -> Batch:
        """Stack systems of one shell structure; `InputError` if they do not share one (`group` first).

        `padding`: share of an entry's work that may go to shells that it is filled up with; 0: none is.
        """
        given = tuple(systems)
        if not given:
            raise InputError("a Batch needs at least one System")
        return cls._stacked(given, tuple(filled_up(system, basis, padding) for system in given), basis)

    @classmethod
    def _stacked(cls, given: tuple[System, ...], systems: tuple[System, ...], basis: BasisSet) -> Batch:
        keys = {structure_key(system, basis) for system in systems}
        if len(keys) > 1:
            raise InputError(
                f"a Batch holds systems of one shell structure, got {len(keys)}; use scfx.group_by_structure"
            )
        order = np.stack([_atom_order(system, basis) for system in systems])
        numbers = np.stack([s.atomic_numbers[o] for s, o in zip(systems, order, strict=True)])
        positions = np.stack([s.positions[o] for s, o in zip(systems, order, strict=True)])
        sets = [[basis.of_atoms(s)[i] for i in o] for s, o in zip(systems, order, strict=True)]
        by_atom = [
            [own.shells[int(z)] for own, z in zip(row, atoms, strict=True)]
            for row, atoms in zip(sets, numbers, strict=True)
        ]
        shells = [[shell for atom in row for shell in atom] for row in by_atom]
        layout = ShellLayout(
            atom=tuple(i for i, atom in enumerate(by_atom[0]) for _ in atom),
            angular_momentum=tuple(s.angular_momentum for s in shells[0]),
            n_primitives=tuple(int(s.exponents.size) for s in shells[0]),
            cartesian=tuple(s.cartesian for s in shells[0]),
        )
        ghost = np.stack([s.ghost[o] for s, o in zip(systems, order, strict=True)])
        # A ghost atom has neither nucleus nor core: its potential is left out with its charge.
        cores = [
            [own.n_core(z) for own, z in zip(*row, strict=True)] for row in zip(sets, numbers, strict=True)
        ]
        core = np.where(ghost, 0, cores)
        pairs = core.sum(axis=1) // 2
        for system, replaced in zip(systems, pairs, strict=True):
            if system.n_beta < replaced:
                raise InputError(
                    f"scf.basis: {basis.name!r} replaces {2 * replaced} electrons of {system!r} by core potentials, "
                    f"more than its {system.n_electrons} electrons allow"
                )
        present = np.array([s.natm for s in given])[:, None] > order
        # A shell's coefficients are zero with its atom.
        of_primitive = np.repeat(layout.atom, layout.n_primitives)
        coefficients = np.stack([np.concatenate([s.coefficients for s in row]) for row in shells])
        arrays = {
            "atom_order": order,
            "atomic_numbers": numbers,
            "nuclear_charges": np.where(ghost, 0, numbers - core).astype(np.float64),
            "positions": positions,
            "exponents": np.stack([np.concatenate([s.exponents for s in row]) for row in shells]),
            "coefficients": np.where(present[:, of_primitive], coefficients, 0.0),
            "n_alpha": (np.array([s.n_alpha for s in systems]) - pairs).astype(np.int32),
            "n_beta": (np.array([s.n_beta for s in systems]) - pairs).astype(np.int32),
        }
        for array in arrays.values():
            array.setflags(write=False)
        return cls(given, basis, layout, **arrays, filled=systems)

    def __len__(self) -> int:
        return len(self.systems)

    @property
    def nao(self) -> int:
        """Return the number of AOs of an entry."""
        return self.layout.nao

    @property
    def natm(self) -> int:
        """Return the number of atoms of an entry."""
        return self.positions.shape[1]

    @cached_property
    def present(self) -> Bool[np.ndarray, "batch natm"]:
        """Return which atoms are the systems' own; the others fill up."""
        return np.array([system.natm for system in self.systems])[:, None] > self.atom_order

    @cached_property
    def n_functions(self) -> Int32[np.ndarray, "batch"]:
        """Return how many AOs are each entry's own."""
        return self.present[:, self.layout.ao_atom].sum(axis=1, dtype=np.int32)

    def functions_of(self, entry: int) -> Int32[np.ndarray, "own"]:
        """Return which AOs are the entry's own, ascending; the others fill up and are zero."""
        return np.flatnonzero(self.present[entry][self.layout.ao_atom]).astype(np.int32)

    @cached_property
    def atom_basis(self) -> tuple[tuple[BasisSet, ...], ...]:
        """Return the basis set of each atom of each entry: `basis`, but for atoms whose label has one of its own."""
        return tuple(
            tuple(self.basis.of_atoms(system)[i] for i in order)
            for system, order in zip(self.filled, self.atom_order, strict=True)
        )

    @cached_property
    def nuclear_repulsion(self) -> Float64[np.ndarray, "batch"]:
        """Return Σ_{a<b} Z_a Z_b / R_ab in hartree."""
        out = np.zeros(len(self))
        for b, (charges, positions) in enumerate(zip(self.nuclear_charges, self.positions, strict=True)):
            i, j = np.triu_indices(len(charges), 1)
            out[b] = np.sum(charges[i] * charges[j] / np.linalg.norm(positions[i] - positions[j], axis=-1))
        return out

    def take(self, entries: Sequence[int]) -> Batch:
        """Return a Batch of some of the entries, in the given order (repeats allowed)."""
        return Batch._stacked(
            tuple(self.systems[i] for i in entries), tuple(self.filled[i] for i in entries), self.basis
        )


def _atom_order(system: System, basis: BasisSet) -> np.ndarray:
    # More functions first (heavy atoms before hydrogens); stable, so it depends on nothing but the row itself.
    signatures = _signatures(system, basis)
    return np.array(
        sorted(range(system.natm), key=lambda i: (-len(signatures[i]), signatures[i])), dtype=np.int32
    )


def _signatures(system: System, basis: BasisSet) -> list[tuple]:
    sets = basis.of_atoms(system)
    return [own.signature(int(z)) for own, z in zip(sets, system.atomic_numbers, strict=True)]


def structure_key(system: System, basis: BasisSet) -> tuple:
    """Return the key of a system; those with equal keys can share a Batch: the multiset of the atoms' shell
    structures.
    """
    signatures = _signatures(system, basis)
    return tuple(signatures[i] for i in _atom_order(system, basis))


def group_by_structure(
    systems: Sequence[System], basis: BasisSet, size: int | None = None, padding: float = 0.0
) -> list[tuple[list[int], Batch]]:
    """Cut systems into batches of one structure and at most `size` entries, in order of first appearance.

    Returns [(indices into `systems`, Batch)]. Restricted (multiplicity 1) and open-shell systems are kept apart.
    `padding`: share of an entry's work that may go to shells that it is filled up with, so that others go along.
    """
    groups: dict[tuple, list[int]] = defaultdict(list)
    for index, system in enumerate(systems):
        shape = structure_key(filled_up(system, basis, padding), basis)
        groups[(system.multiplicity == 1, shape)].append(index)
    out = []
    for indices in groups.values():
        step = size or len(indices)
        for start in range(0, len(indices), step):
            part = indices[start : start + step]
            out.append((part, Batch.from_systems([systems[i] for i in part], basis, padding)))
    return out
