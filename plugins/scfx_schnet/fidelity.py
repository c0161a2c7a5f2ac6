"""Two kinds of labels in one network: heads for both, or a correction to a network that learnt the cheap ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from scfx_schnet.batch import PackedMolecules, pack_arrays
from scfx_schnet.targets import Standardiser, scalars

if TYPE_CHECKING:
    from scfx.registry import Registry
    from scfx_schnet.molecules import Molecules


class Heads(nn.Module):
    """One network with `count` outputs for each target: which of them a molecule gets, its `batch.head` says.

    Without `batch.head` it is the first one, that of the labels that count.
    """

    def __init__(self, network: nn.Module, count: int):
        super().__init__()
        self.network, self.count = network, count

    @property
    def max_neighbors(self) -> int | None:
        """Return how many neighbours the network hears."""
        return getattr(self.network, "max_neighbors", None)

    def forward(self, batch: PackedMolecules) -> Float[torch.Tensor, "molecule target"]:
        """Return the targets [molecule, target] of a batch."""
        out = self.network(batch)
        out = out.reshape(len(out), self.count, -1)
        if batch.head is None:
            return out[:, 0]
        return out[torch.arange(len(out), device=out.device), batch.head]


class Delta(nn.Module):
    """A trained network, which stays as it is, and a second one that learns what it is off by.

    The correction begins at nothing: its output is multiplied by a number that is trained from zero on.
    """

    def __init__(self, base: nn.Module, correction: nn.Module):
        super().__init__()
        self.base, self.correction = base.requires_grad_(False).eval(), correction
        self.gate = nn.Parameter(torch.zeros(1))

    @property
    def max_neighbors(self) -> int | None:
        """Return how many neighbours the network hears."""
        return getattr(self.correction, "max_neighbors", None)

    def train(self, mode: bool = True) -> Delta:
        """Switch the correction to training; the trained network stays as it is evaluated."""
        super().train(mode)
        self.base.eval()
        return self

    def forward(self, batch: PackedMolecules) -> Float[torch.Tensor, "molecule target"]:
        """Return the targets [molecule, target] of a batch."""
        return self.base(batch) + self.gate * self.correction(batch)


@dataclass(frozen=True)
class Form:
    """How a network is made of the model that was asked for: alone, `heads` of it, or as a `delta` on another."""

    heads: int = 1
    delta: bool = False

    def plain(self) -> dict[str, Any]:
        """Return plain data for a checkpoint; {} for the network alone."""
        return ({"heads": self.heads} if self.heads > 1 else {}) | ({"delta": True} if self.delta else {})

    def build(
        self, model: dict[str, Any], outputs: int, registry: Registry, key: str = "task.model"
    ) -> nn.Module:
        """Return the network of `outputs` targets, with random weights by torch's generator.

        Raises `ConfigError` with `key` for a model that cannot be made.
        """

        def one(count: int) -> nn.Module:
            return cast("nn.Module", registry.model({**model, "num_targets": count}, key=key))

        if self.delta:
            return Delta(one(outputs), one(outputs))
        if self.heads > 1:
            return Heads(one(outputs * self.heads), self.heads)
        return one(outputs)


def shifted(
    before: Standardiser,
    names: Sequence[str],
    off: Float[np.ndarray, "molecule target"],
    counts: Float[np.ndarray, "molecule number"],
) -> Standardiser:
    """Return a standardiser moved to other labels, off by `off` from what a network says by `before`.

    Energies move by a least-squares fit of what each atom adds, other targets by their mean.
    """
    mean, references = before.mean.copy(), before.references.copy()
    present = np.flatnonzero(counts.any(axis=0))
    for column, name in enumerate(names):
        if name == "energy":
            fit = np.linalg.lstsq(counts[:, present], off[:, column], rcond=None)[0]
            references[present, column] += fit
        else:
            mean[column] += off[:, column].mean()
    return Standardiser(mean, before.std, references)


class Joined:
    """Rows of two data sets as one: first those of the labels that count, then the cheap ones.

    Cheap targets are moved by what `shifted` fits between the two training subsets, so that one standardiser does for
    both; heads learn the rest. Otherwise as `scfx_schnet.molecules.Molecules`.
    """

    def __init__(
        self,
        better: Molecules,
        cheap: Molecules,
        better_rows: np.ndarray,
        cheap_rows: np.ndarray,
        names: Sequence[str],
    ):
        self._parts, self._names = (better, cheap), scalars(names)
        self.identity = f"joined {better.identity} {cheap.identity}"
        self.description: dict[str, Any] = better.description
        self.sizes = np.concatenate([better.sizes, cheap.sizes])
        self.keys = np.concatenate([better.keys, cheap.keys])
        fits = [
            Standardiser.fit(self._names, part.targets(rows, self._names), part.atom_counts(rows))
            for part, rows in ((better, better_rows), (cheap, cheap_rows))
        ]
        self._moved = (fits[0].references - fits[1].references, fits[0].mean - fits[1].mean)

    def __len__(self) -> int:
        return len(self.sizes)

    def cheap(self, rows: np.ndarray) -> np.ndarray:
        """Return rows of the cheap data set as rows of this one."""
        return rows + len(self._parts[0])

    def unit(self, target: str) -> str:
        """Return the unit of a target."""
        return self._parts[0].unit(target)

    def targets(self, rows: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Return targets that are numbers, [row, target], each in its unit; cheap ones are moved."""
        columns = [self._names.index(name) for name in names]
        out = np.empty((len(rows), len(names)))
        for part, where, mine in self._split(rows):
            out[where] = part.targets(mine, names)
            if part is self._parts[1]:
                references, mean = self._moved
                out[where] += part.atom_counts(mine) @ references[:, columns] + mean[columns]
        return out

    def atom_counts(self, rows: np.ndarray) -> np.ndarray:
        """Return how many atoms of each atomic number: [row, 100], float64."""
        parts = [(where, part.atom_counts(mine)) for part, where, mine in self._split(rows)]
        out = np.empty((len(rows), parts[0][1].shape[1]))
        for where, counts in parts:
            out[where] = counts
        return out

    def elements(self, rows: np.ndarray) -> list[int]:
        """Return the atomic numbers that occur in some rows, ascending."""
        return sorted({z for part, _, mine in self._split(rows) for z in part.elements(mine)})

    def geometry(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the atomic numbers [natm] and positions [natm, 3] (angstrom) of a row."""
        size = len(self._parts[0])
        return self._parts[0].geometry(row) if row < size else self._parts[1].geometry(row - size)

    def forces(self, rows: np.ndarray) -> np.ndarray:
        """Return forces on the concatenated atoms of some rows, [atom, 3], eV/angstrom."""
        sizes = self.sizes[rows].astype(np.int64)
        out, owner = np.empty((int(sizes.sum()), 3), dtype=np.float32), np.repeat(np.arange(len(rows)), sizes)
        for part, where, mine in self._split(rows):
            out[np.isin(owner, where)] = part.forces(mine)
        return out

    def pack(
        self, rows: np.ndarray, targets: np.ndarray | None = None, forces: np.ndarray | None = None
    ) -> PackedMolecules:
        """Return a batch of some rows, each with its head."""
        geometries = [self.geometry(int(row)) for row in rows]
        numbers, positions = (np.concatenate(parts) for parts in zip(*geometries, strict=True))
        batch = pack_arrays(numbers, positions, self.sizes[rows].astype(np.int64), targets, forces)
        return replace(batch, head=torch.from_numpy((rows >= len(self._parts[0])).astype(np.int64)))

    def _split(self, rows: np.ndarray) -> list[tuple[Molecules, np.ndarray, np.ndarray]]:
        """(data set, places in `rows`, its own rows) of each data set that has some."""
        size = len(self._parts[0])
        first, second = np.flatnonzero(rows < size), np.flatnonzero(rows >= size)
        parts = [(self._parts[0], first, rows[first]), (self._parts[1], second, rows[second] - size)]
        return [part for part in parts if len(part[1])]


def balanced(better: np.ndarray, cheap: np.ndarray) -> np.ndarray:
    """Return rows in which both kinds come equally often: the fewer are repeated."""
    most = max(len(better), len(cheap))
    return np.concatenate([np.resize(better, most), np.resize(cheap, most)])


def predicted(network: nn.Module, before: Standardiser, molecules: Molecules, rows: np.ndarray) -> np.ndarray:
    """Return what a trained network says of some rows, [row, target], each in its unit; not forces."""
    out = []
    with torch.no_grad():
        for start in range(0, len(rows), 128):
            part = rows[start : start + 128]
            values = network(molecules.pack(part)).float().numpy()
            out.append(before.to_ev(values, molecules.atom_counts(part)))
    return np.concatenate(out)
