"""What `check_backend` asks of a backend that takes over the grid contractions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int32

from scfx.contracts.derivatives import AbstractGridGradientOperator
from scfx.contracts.grid import AbstractGridBackend, AbstractGridOperator
from scfx.testing import reference_orbitals as reference
from scfx.testing.compare import (
    BUDGET,
    along,
    assert_close,
    directions,
    displaced,
    same_bits,
    symmetric_matrices,
)

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.functional import Family
    from scfx.model.batch import Batch

#: Largest error allowed by dtype of the AO values, as a fraction of the largest element (at least one).
_ERROR = {"float64": 1e-10, "float32": 2e-5}
#: Displacement of differences in bohr: single points next to a nucleus count here.
_STEP = 3e-4
_FAMILIES: tuple[Family, ...] = ("lda", "gga", "mgga")


def check_grid(
    backend: AbstractGridBackend,
    label: str,
    batch: Batch,
    policies: Sequence[PrecisionPolicy],
    families: Sequence[str],
    seed: int,
) -> None:
    """Check density, potential and, where there is one, gradient against plain AO values; points, memory, `close`."""
    points, weights = _points(batch, seed)
    for policy in policies:
        for family in _FAMILIES:
            if family not in families:
                continue
            where = f"{label}.grid_operator for {family!r} under policy {policy.name!r}"
            operator = backend.grid_operator(batch, points, weights, family, policy, BUDGET)
            assert isinstance(operator, AbstractGridOperator), (
                f"{where} returns {operator!r}, expected an AbstractGridOperator"
            )
            check = _GridCheck(operator, where, batch, points, weights, family, policy, seed)
            found = check.contractions()
            if isinstance(operator, AbstractGridGradientOperator):
                check.gradient()
            held = _held(operator, where)
            _check_closed(operator, where, check)
            _check_small_budget(
                backend.grid_operator(batch, points, weights, family, policy, 1), where, check, found, held
            )


def _points(batch: Batch, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Points about the atoms, as many as no block has, and weights of which no two are equal."""
    random = np.random.default_rng(seed)
    points, weights = [], []
    for entry in range(len(batch)):
        count = 331 - 40 * entry
        atoms = batch.positions[entry][random.integers(0, batch.natm, count)]
        points.append(atoms + random.normal(scale=1.2, size=(count, 3)))
        weights.append(random.uniform(0.5, 1.5, count))
        for array in (points[-1], weights[-1]):
            array.setflags(write=False)
    return points, weights


def _held(operator: AbstractGridOperator, where: str) -> int:
    held = operator.held_bytes()
    assert isinstance(held, int), f"{where}: held_bytes() is {held!r}, expected a number of bytes"
    assert 0 <= held <= BUDGET, (
        f"{where}: held_bytes() is {held:,}, expected 0 to the budget of {BUDGET:,} bytes"
    )
    return held


class _GridCheck:
    """One operator beside its reference."""

    def __init__(
        self,
        operator: AbstractGridOperator,
        where: str,
        batch: Batch,
        points: list[np.ndarray],
        weights: list[np.ndarray],
        family: Family,
        policy: PrecisionPolicy,
        seed: int,
    ):
        self.operator, self.where, self.batch, self.family = operator, where, batch, family
        self.points, self.given = points, weights
        self.error = _ERROR[policy.orbitals]
        self.lanes = np.arange(len(batch), dtype=np.int32)
        self.density = symmetric_matrices(seed + 2, (len(batch), 2, batch.nao, batch.nao))
        self.random = np.random.default_rng(seed + 3)
        self.order = [self._order(block) for block in range(operator.n_blocks)]
        self._check_every_point_is_there()
        n_components = reference.COMPONENTS[family]
        #: What the driver would give back: a derivative at each of the given points, zero where filled up.
        self.derivative = [
            np.where(
                order[:, None, None, :] >= 0,
                self.random.uniform(-1.0, 1.0, (len(batch), 2, n_components, order.shape[1])),
                0.0,
            )
            for order in self.order
        ]

    def _order(self, block: int) -> Int32[np.ndarray, "batch point"]:
        """Where the points of a block stand among the given ones, told by their weights; -1 where filled up."""
        out = []
        for lane, weights in enumerate(np.asarray(self.operator.weights(block, self.lanes))):
            given = self.given[lane]
            sorted_by = np.argsort(given)
            at = np.minimum(np.searchsorted(given, weights, sorter=sorted_by), len(given) - 1)
            index = sorted_by[at]
            assert ((given[index] == weights) | (weights == 0.0)).all(), (
                f"{self.where}: weights of block {block} are neither those that were given nor zero"
            )
            out.append(np.where(weights == 0.0, -1, index))
        return np.array(out, dtype=np.int32)

    def _check_every_point_is_there(self) -> None:
        for lane, given in enumerate(self.given):
            seen = np.concatenate([order[lane] for order in self.order])
            seen = np.sort(seen[seen >= 0])
            assert same_bits(seen, np.arange(len(given))), (
                f"{self.where}: the blocks hold {len(np.unique(seen))} of the {len(given)} points of entry {lane}, "
                "some of them more than once or not at all"
            )

    def _at(self, lane: int, values: np.ndarray, block: int) -> np.ndarray:
        """What belongs to the given points [..., npoint], in the order of a block."""
        return values[..., np.maximum(self.order[block][lane], 0)]

    def contractions(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Compare density and potential with the reference; what the operator gave."""
        operator, where, lanes = self.operator, self.where, self.lanes
        nao = self.batch.nao
        some = np.array([len(lanes) - 1], dtype=np.int32)
        potential = np.zeros((len(lanes), 2, nao, nao))
        expected = np.zeros_like(potential)
        densities = []
        values = [reference.orbitals(self.batch, lane, self.points[lane]) for lane in map(int, lanes)]
        components = [
            reference.density_components(values[lane], self.density[lane], self.family)
            for lane in map(int, lanes)
        ]
        for block, derivative in enumerate(self.derivative):
            found = np.asarray(operator.density(block, self.density, lanes))
            densities.append(found)
            there = self.order[block] >= 0
            for lane in map(int, lanes):
                right = self._at(lane, components[lane], block)[..., there[lane]]
                self._compare(
                    found[lane][..., there[lane]],
                    right,
                    "density",
                    "rho, then its gradient, then tau with a factor ½",
                )
            alone = operator.density(block, self.density[some], some)
            assert same_bits(alone, found[some]), (
                f"{where}: the density of an entry differs in bits when other entries are left out"
            )
            for lane in map(int, lanes):
                expected[lane] += reference.potential(self._at(lane, values[lane], block), derivative[lane])
            part = np.asarray(operator.potential(block, derivative, lanes))
            assert same_bits(operator.potential(block, derivative[some], some), part[some]), (
                f"{where}: the potential of an entry differs in bits when other entries are left out"
            )
            operator.add_potential(block, derivative, lanes, potential)
            first = potential.copy() if block == 0 else None
            if first is not None:
                self._compare(first, part, "what add_potential adds to zeros", "It is `potential`")
        self._compare(potential, expected, "potential", "V_ij = Σ_g Σ_c derivative_cg ∂(component c)/∂D_ij")
        return densities, potential

    def _compare(self, found: Any, right: np.ndarray, what: str, hint: str) -> None:
        size = max(1.0, float(np.abs(right).max(initial=0.0)))
        assert_close(found, right, self.error * size, f"{self.where}: {what}", hint)

    def gradient(self) -> None:
        """Compare the derivative by centres and by points, along a direction, with differences."""
        operator, lanes, batch = self.operator, self.lanes, self.batch
        assert isinstance(operator, AbstractGridGradientOperator)
        way = directions(batch, 5)
        moved_with = [self.random.integers(0, batch.natm, len(w)).astype(np.int32) for w in self.given]
        totals = np.zeros((2, len(lanes), batch.natm, 3))
        for block, derivative in enumerate(self.derivative):
            order = np.asarray(operator.order(block, lanes))
            assert same_bits(order, self.order[block]), (
                f"{self.where}: order of block {block} is not that of its weights (-1 where filled up)"
            )
            owners = np.stack([self._at(lane, moved_with[lane], block) for lane in map(int, lanes)])
            functions, points = operator.gradient(block, self.density, derivative, lanes, owners)
            some = lanes[-1:]
            alone = operator.gradient(block, self.density[some], derivative[some], some, owners[some])
            for one, whole in zip(alone, (functions, points), strict=True):
                assert same_bits(one, whole[some]), (
                    f"{self.where}: the gradient of an entry differs in bits when other entries are left out"
                )
            totals += np.stack([functions, points])
        found = np.einsum("kbax,bax->kb", totals, way)
        size = max(1.0, float(np.abs(totals).max()))
        # The sum at points of float32 values is as good as those; differences are good to 1e-8.
        allowed = max(self.error, 1e-8) * size
        for lane in map(int, lanes):
            right = self._slopes(lane, way[lane], moved_with[lane])
            for name, value, expected in zip(("functions", "points"), found[:, lane], right, strict=True):
                assert_close(
                    value[None], np.array([expected]), allowed,
                    f"{self.where}: gradient by {name} of entry {lane}, along a direction,",
                    "functions: centres move and points stay; points: points move with their owners",
                )  # fmt: skip
        net = np.abs(totals.sum(axis=(0, 2))).max()
        assert net <= allowed, (
            f"{self.where}: functions and points add up to {net:.2g} over the atoms, expected 0 up to rounding"
        )

    def _slopes(
        self, lane: int, way: Float64[np.ndarray, "natm 3"], moved_with: Int32[np.ndarray, "npoint"]
    ) -> tuple[float, float]:
        """Σ_g Σ_c derivative_cg ∂(component c at g) where functions move, and where points move, along a direction."""
        given = np.zeros((2, reference.COMPONENTS[self.family], len(self.given[lane])))
        for order, derivative in zip(self.order, self.derivative, strict=True):
            there = order[lane] >= 0
            given[..., order[lane][there]] = derivative[lane][..., there]
        everyone = np.zeros((len(self.batch), *way.shape))
        everyone[lane] = way

        def value(functions: float, points: float) -> np.ndarray:
            at = self.points[lane] + points * way[moved_with]
            values = reference.orbitals(displaced(self.batch, functions * everyone), lane, at)
            components = reference.density_components(values, self.density[lane], self.family)
            return np.asarray(np.sum(given * components))

        return (
            float(along(lambda step: value(step, 0.0), _STEP)),
            float(along(lambda step: value(0.0, step), _STEP)),
        )


def _check_closed(operator: AbstractGridOperator, where: str, check: _GridCheck) -> None:
    operator.close()
    assert operator.held_bytes() == 0, f"{where}: held_bytes() is {operator.held_bytes()} after close()"
    try:
        operator.density(0, check.density, check.lanes)
    except Exception:  # any error will do: what must not happen is a result, or a crash
        return
    raise AssertionError(f"{where}: density still answers after close(), so the AO values are not freed")


def _check_small_budget(
    operator: AbstractGridOperator,
    where: str,
    check: _GridCheck,
    found: tuple[list[np.ndarray], np.ndarray],
    held: int,
) -> None:
    """Without room AO values are computed anew, to the same bits."""
    assert operator.held_bytes() <= 1, (
        f"{where}: {operator.held_bytes():,} bytes are held where the budget is one byte"
    )
    potential = np.zeros_like(found[1])
    for block, derivative in enumerate(check.derivative):
        assert same_bits(operator.density(block, check.density, check.lanes), found[0][block]), (
            f"{where}: the density differs in bits with the memory budget (of {held:,} bytes held, none are left)"
        )
        operator.add_potential(block, derivative, check.lanes, potential)
    assert same_bits(potential, found[1]), f"{where}: the potential differs in bits with the memory budget"
    operator.close()
