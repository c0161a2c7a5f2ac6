"""Computing properties of solved entries: each once, after those it needs; one that fails costs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.contracts.property import AbstractBatchProperty, AbstractProperty, PropertyError
from scfx.properties.bond_orders import BondOrders
from scfx.properties.dipole import Dipole
from scfx.properties.loewdin_charges import LoewdinCharges
from scfx.properties.mulliken_charges import MullikenCharges
from scfx.properties.s_squared import SpinSquared

if TYPE_CHECKING:
    from scfx.properties.entry import ConvergedEntry
    from scfx.scf.batch_scf import BatchSCF

#: What every result has, asked for or not: they cost next to nothing.
ALWAYS: tuple[AbstractProperty, ...] = (
    Dipole(), SpinSquared(), MullikenCharges(), LoewdinCharges(), BondOrders(),
)  # fmt: skip


def evaluate(
    run: BatchSCF,
    entries: Sequence[ConvergedEntry],
    lanes: Sequence[int],
    properties: Sequence[AbstractProperty],
) -> None:
    """Fill `values` and `reasons` of the entries `lanes` of a batch with the properties that are not there yet."""
    for each in properties:
        todo = [b for b in lanes if each.name not in entries[b].values]
        if isinstance(each, AbstractBatchProperty):
            with run.profile.stage(each.name):
                _by_batch(run, entries, todo, each)
        else:
            with run.profile.stage("properties"):
                for b in todo:
                    _one(entries[b], each)


def _by_batch(
    run: BatchSCF, entries: Sequence[ConvergedEntry], todo: list[int], each: AbstractBatchProperty
) -> None:
    usable = [b for b in todo if _needed(entries[b], each)]
    if not usable:
        return
    lanes = np.array(usable, dtype=np.int32)
    try:
        found = list(each.compute_batch(run, lanes))
        if len(found) != len(lanes):
            raise PropertyError(f"it gave {len(found)} values for {len(lanes)} entries")
    except Exception as error:
        found = [error] * len(lanes)
    for b, value in zip(usable, found, strict=True):
        _keep(entries[b], each, value)


def _one(entry: ConvergedEntry, each: AbstractProperty) -> None:
    if not _needed(entry, each):
        return
    try:
        found = each.compute(entry)
    except Exception as error:
        found = error
    _keep(entry, each, found)


def _needed(entry: ConvergedEntry, each: AbstractProperty) -> bool:
    """Whether what it needs is there; keeps the reason where it is not."""
    for name in each.needs:
        if name not in entry.values:
            entry.reasons[each.name] = f"needs {name}: {entry.reasons.get(name, 'not computed')}"
            return False
    return True


def _keep(entry: ConvergedEntry, each: AbstractProperty, found: Any) -> None:
    if not isinstance(found, Exception):
        try:
            entry.values[each.name] = _checked(entry, each, found)
            return
        except Exception as error:  # a value that is no number, of whatever kind
            found = error
    text = " ".join(str(found).split())
    own = isinstance(found, PropertyError)
    entry.reasons[each.name] = (
        text if own else f"{type(found).__name__}: {text}" if text else type(found).__name__
    )


def _checked(entry: ConvergedEntry, each: AbstractProperty, value: Any) -> Any:
    """A value as float64, of the shape that the axes say."""
    if each.axes == ("component",):
        if not isinstance(value, Mapping):
            raise PropertyError(f"it gave a {type(value).__name__}, expected numbers by name")
        return {str(name): float(number) for name, number in value.items()}
    array = np.asarray(value, dtype=np.float64)
    sizes = {
        "atom": entry.natm,
        "xyz": 3,
        "spin": len(entry.lane.density),
        "ao": len(entry.lane.overlap),
        "orbital": entry.orbital_energies.shape[1],
    }
    expected = tuple(sizes.get(axis) for axis in each.axes)
    if array.ndim != len(expected) or any(
        want not in (None, got) for want, got in zip(expected, array.shape, strict=True)
    ):
        raise PropertyError(
            f"it gave an array of shape {array.shape}, expected axes ({', '.join(each.axes)}), here {expected}"
        )
    return float(array) if not array.ndim else array
