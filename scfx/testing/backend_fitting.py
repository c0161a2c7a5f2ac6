"""What `check_backend` asks of a backend that gives the integrals of density fitting."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from scfx.contracts.fitting import AbstractFittingRowsBackend
from scfx.model.basis import BasisSet, Shell
from scfx.model.batch import Batch
from scfx.testing import reference_integrals as reference
from scfx.testing.backend_batches import small_batch
from scfx.testing.compare import along, assert_close, directions, displaced, symmetric_matrices

if TYPE_CHECKING:
    from scfx.contracts.derivatives import Operator
    from scfx.contracts.fitting import AbstractFittingBackend, AbstractFittingRows

#: Largest error allowed: of integrals in hartree; of derivatives as a fraction of their size.
_INTEGRAL_ERROR, _GRADIENT_ERROR = 1e-9, 1e-7
_DIRECTIONS = 11
_OPERATORS: tuple[Operator, ...] = ("coulomb", "erf", "erfc")


@cache
def auxiliary_basis() -> BasisSet:
    """Return auxiliary functions s to f; hydrogen has more shells than the heavy atoms, so atoms come in another
    order.
    """
    hydrogen = [Shell.normalised(0, [exponent], [1.0]) for exponent in (6.0, 1.4, 0.3)]
    hydrogen.append(Shell.normalised(1, [0.8], [1.0]))
    heavy = [Shell.normalised(l, [exponent], [1.0]) for l, exponent in ((0, 4.0), (2, 1.1), (3, 0.9))]
    return BasisSet("check_backend, auxiliary", {8: tuple(heavy), 7: tuple(heavy), 1: tuple(hydrogen)})


def check_fitting(
    backend: AbstractFittingBackend, label: str, kind: tuple[int, bool, bool], omega: float, seed: int
) -> None:
    """Check two- and three-index integrals and their contracted derivatives, by ranges of auxiliary shells and whole.

    `kind`: the arguments of `small_batch`.
    """
    batch, auxiliary = small_batch(*kind), auxiliary_basis()
    entry = len(batch) - 1
    layout = Batch.from_systems([batch.systems[entry]], auxiliary).layout
    pairs = batch.nao * (batch.nao + 1) // 2
    of_triples = np.random.default_rng(seed).uniform(-1.0, 1.0, (layout.nao, pairs))
    of_metric = symmetric_matrices(seed, (layout.nao, layout.nao))
    of_triples.setflags(write=False)
    way = directions(batch, _DIRECTIONS)[entry]
    rows, columns = np.tril_indices(batch.nao)
    twice = np.where(rows == columns, 1.0, 2.0)
    middle = layout.n_shells // 2
    for operator in _OPERATORS:
        own = 0.0 if operator == "coulomb" else omega
        (triple, metric), (triple_slope, metric_slope) = _reference(kind, operator, own)
        what = f"{label}.three_index of {operator!r}"
        found = backend.three_index(batch, entry, auxiliary, operator, own)
        hint = "Rows are auxiliary functions in the order of their own Batch, columns pairs j <= i of AOs"
        assert_close(found, triple, _INTEGRAL_ERROR, what, hint)
        parts = [
            backend.three_index(batch, entry, auxiliary, operator, own, shells)
            for shells in ((0, middle), (middle, layout.n_shells))
        ]
        assert_close(np.concatenate(parts), triple, _INTEGRAL_ERROR, f"{what} by ranges of shells", hint)
        found = backend.two_index(batch, entry, auxiliary, operator, own)
        assert_close(found, metric, _INTEGRAL_ERROR, f"{label}.two_index of {operator!r}")
        if isinstance(backend, AbstractFittingRowsBackend):
            what = f"{label}.fitting_rows of {operator!r}"
            _check_rows(backend.fitting_rows(batch, entry, auxiliary, operator, own), what, triple, metric)

        what = f"{label}.three_index_gradient of {operator!r}"
        found = backend.three_index_gradient(batch, entry, auxiliary, of_triples, operator, own)
        expected = np.sum(of_triples * twice * triple_slope)
        _compare(found, expected, way, what, "Off-diagonal pairs count twice")
        split = int(layout.ao_offset[middle])
        found = sum(
            backend.three_index_gradient(batch, entry, auxiliary, part, operator, own, shells)
            for part, shells in (
                (of_triples[:split], (0, middle)),
                (of_triples[split:], (middle, layout.n_shells)),
            )
        )
        _compare(np.asarray(found), expected, way, f"{what} by ranges of shells", "")
        found = backend.two_index_gradient(batch, entry, auxiliary, of_metric, operator, own)
        what = f"{label}.two_index_gradient of {operator!r}"
        _compare(found, np.sum(of_metric * metric_slope), way, what, "")


def _check_rows(rows: AbstractFittingRows, what: str, triple: np.ndarray, metric: np.ndarray) -> None:
    """The blocks hold every pair, and their order of auxiliary functions, which is theirs, is the metric's too."""
    n = int(np.sqrt(2 * triple.shape[1]))
    # What does not depend on the order: Σ_P (P|P)^k and Σ_P |(P|ij)|^2 (P|P)^k.
    weights = np.stack([np.diagonal(metric) ** k for k in (0, 1, 2)])
    own = rows.metric()
    found_weights = np.stack([np.diagonal(own) ** k for k in (0, 1, 2)])
    scale = 1.0 + weights.sum(axis=1)
    assert_close(
        found_weights.sum(axis=1) / scale, weights.sum(axis=1) / scale, _INTEGRAL_ERROR, f"{what}: metric"
    )
    charged = np.zeros((3, n, n))
    for index, block in enumerate(rows.blocks):
        found = rows.rows(index)
        shape = (block.columns.size, block.stop - block.start, rows.n_auxiliary)
        assert found.shape == shape, f"{what} has shape {found.shape}, expected {shape}"
        sums = np.einsum("crq,kq->kcr", found**2, found_weights)
        charged[:, block.columns, block.start : block.stop] = sums
        charged[:, block.start : block.stop, block.columns] = sums.transpose(0, 2, 1)
    i, j = np.tril_indices(n)
    expected = np.einsum("qp,kq->kp", triple**2, weights)
    hint = "Every pair is in a block, and those left out are negligible"
    assert_close(charged[:, i, j] / scale[:, None], expected / scale[:, None], _INTEGRAL_ERROR, what, hint)
    rows.close()


def _compare(found: np.ndarray, expected: float, way: np.ndarray, what: str, hint: str) -> None:
    assert found.shape == way.shape, f"{what} has shape {found.shape}, expected {way.shape}"
    allowed = _GRADIENT_ERROR * max(1.0, float(np.abs(found).max()))
    slope = np.array([np.sum(found * way)])
    hint = f"Atoms are those of the orbital batch, in its order. {hint}"
    assert_close(slope, np.array([expected]), allowed, f"{what}, along a direction,", hint)
    net = np.abs(found.sum(axis=0)).max()
    assert net <= allowed, f"{what} adds up to {net:.2g} over the atoms, expected 0 up to rounding"


@cache
def _reference(
    kind: tuple[int, bool, bool], operator: Operator, omega: float
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """(P|ij) and (P|Q) of the last entry, and their derivatives along its direction."""
    if operator == "erfc":
        whole, far = _reference(kind, "coulomb", 0.0), _reference(kind, "erf", omega)
        return tuple(
            tuple(a - b for a, b in zip(*both, strict=True)) for both in zip(whole, far, strict=True)
        )  # type: ignore[return-value]
    batch, auxiliary = small_batch(*kind), auxiliary_basis()
    entry = len(batch) - 1
    own = batch.take([entry])
    fitting = Batch.from_systems([batch.systems[entry]], auxiliary)
    way = directions(batch, _DIRECTIONS)[entry]
    # The same atoms, in the auxiliary batch's order.
    place = [int(np.flatnonzero(own.atom_order[0] == atom)[0]) for atom in fitting.atom_order[0]]

    def triples(step: float) -> np.ndarray:
        moved = displaced(own, step * way[None]), displaced(fitting, step * way[None, place])
        return reference.three_index(*moved, omega)

    def metric(step: float) -> np.ndarray:
        return reference.two_index(displaced(fitting, step * way[None, place]), omega)

    return (triples(0.0), metric(0.0)), (along(triples), along(metric))
