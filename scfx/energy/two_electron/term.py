"""Coulomb and exchange energy: the one place where the two-electron operators of a functional are summed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int32

from scfx.contracts.derivatives import TwoElectronEnergy, gradient_backend
from scfx.contracts.fitting import AbstractFittingBackend, AbstractFittingRowsBackend
from scfx.contracts.requests import TwoElectronRequest
from scfx.contracts.two_electron import (
    AbstractDeviceTwoElectron,
    AbstractLaneTwoElectron,
    AbstractTwoElectron,
)
from scfx.energy.term import Contribution, Term
from scfx.energy.two_electron.density_fitting import DensityFitting
from scfx.energy.two_electron.differences import DifferenceBuild
from scfx.energy.two_electron.fitted import FittedTwoElectron
from scfx.energy.two_electron.fitted_gradient import fitted_gradient
from scfx.energy.two_electron.fitted_rows import RowFittedTwoElectron, fitted_dtype
from scfx.errors import CapabilityError
from scfx.execution.device import running
from scfx.execution.lanes import COMPILER_OPTIONS

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.backend import AbstractIntegralBackend
    from scfx.contracts.functional import AbstractFunctional
    from scfx.energy.memory import MemoryBudget
    from scfx.model.batch import Batch


class OperatorPart(NamedTuple):
    """One operator of a functional: which integrals, and the fraction of their exchange; J is taken whole or not."""

    request: TwoElectronRequest
    fraction: float


def parts_of(functional: AbstractFunctional) -> list[OperatorPart]:
    """Return J and the exchange of the full range, then the exchange of the long range, as far as the functional has
    them.
    """
    fraction = functional.exact_exchange
    out = [OperatorPart(TwoElectronRequest(exchange=fraction != 0.0), fraction)]
    if functional.long_range_exchange:
        long_range = TwoElectronRequest("erf", functional.omega, coulomb=False)
        out.append(OperatorPart(long_range, functional.long_range_exchange))
    return out


def fitting_backend(backend: AbstractIntegralBackend) -> AbstractFittingBackend:
    """Return the backend, as one that has two- and three-index integrals; `CapabilityError` otherwise."""
    if isinstance(backend, AbstractFittingBackend):
        return backend
    raise CapabilityError(
        "scf.density_fitting",
        f"backend {backend.name!r} has no two- and three-index integrals; use backend = 'simd' or 'libcint', or leave "
        "scf.density_fitting out",
    )


@partial(jax.jit, compiler_options=COMPILER_OPTIONS)
def _energies(density: Any, coulomb: Any, exchange: Any) -> tuple[Any, Any]:
    total = jnp.sum(density, axis=1)
    weight = 0.5 if density.shape[1] == 1 else 1.0
    return (
        0.5 * jnp.sum(total * jnp.sum(coulomb, axis=1), axis=(1, 2)),
        -0.5 * weight * jnp.sum(density * exchange, axis=(1, 2, 3)),
    )


class TwoElectron(Term):
    """J and K of a batch, by the operators that a backend makes on request."""

    name = "two_electron"

    def __init__(
        self,
        batch: Batch,
        backend: AbstractIntegralBackend,
        functional: AbstractFunctional,
        policy: PrecisionPolicy,
        memory: MemoryBudget,
        fitting: DensityFitting | None = None,
    ):
        """`fitting`: J and K, or J alone, by density fitting with the backend's two- and three-index integrals."""
        self._batch = batch
        self._backend = backend
        self._policy = policy
        self._memory = memory
        self._fitting = fitting
        self._parts = parts_of(functional)
        self._operators: list[AbstractTwoElectron] = []
        self._iterated: list[AbstractTwoElectron | DifferenceBuild] = []
        #: What J and K were summed in so far.
        self.dtypes: set[str] = set()

    @property
    def ready(self) -> bool:
        """Return whether the integrals are there."""
        return bool(self._operators)

    def initialize(self) -> None:
        """Compute the integrals, within the memory budget."""
        if self._operators:
            return
        requests = [part.request for part in self._parts]
        if self._fitting is None:
            self._operators = self._backend.two_electron_operators(
                self._batch, requests, self._policy, self._memory.left()
            )
        else:
            self._operators = self._fitted_operators(self._fitting)
        self._iterated = [
            DifferenceBuild(operator, len(self._batch))
            if isinstance(operator, AbstractLaneTwoElectron) and operator.screens_small_densities
            else operator
            for operator in self._operators
        ]

    def _fitted_operators(self, fitting: DensityFitting) -> list[AbstractTwoElectron]:
        backend = fitting_backend(self._backend)
        auxiliary = fitting.basis(self._batch)
        made: list[AbstractTwoElectron] = []
        try:
            for part in self._parts:
                share = self._memory.left() // len(self._parts)
                exact = None
                if fitting.fitted == "j" and part.request.exchange:
                    wanted = replace(part.request, coulomb=False)
                    share //= 2
                    exact = self._backend.two_electron_operators(self._batch, [wanted], self._policy, share)[
                        0
                    ]
                    if not part.request.coulomb:
                        made.append(exact)
                        continue
                what = (backend, self._batch, auxiliary, part.request.operator, part.request.omega, share)
                try:
                    if isinstance(backend, AbstractFittingRowsBackend):
                        operator = RowFittedTwoElectron(
                            backend, *what[1:], fitted_dtype(self._policy), exact, part.request.exchange
                        )
                    else:
                        operator = FittedTwoElectron(*what, exact)
                except BaseException:
                    if exact is not None:
                        exact.close()
                    raise
                made.append(operator)
        except BaseException:
            for operator in made:
                operator.close()
            raise
        return made

    def evaluate(
        self, density: Float64[Array, "lane spin n n"], lanes: Int32[np.ndarray, "active"]
    ) -> Contribution:
        """Return Coulomb and exchange energies and their part of the Fock matrix."""
        if running().batched and all(isinstance(o, AbstractDeviceTwoElectron) for o in self._operators):
            return self._evaluate_on_device(density, lanes)
        n, entries = self._batch.nao, len(self._batch)
        own = np.ascontiguousarray(np.asarray(density)[:entries, :, :n, :n])
        coulomb, exchange = np.zeros(density.shape), np.zeros(density.shape)
        for part, operator in zip(self._parts, self._iterated, strict=True):
            j, k = operator.contract_wanted(own, lanes, part.request.coulomb, part.request.exchange)
            if j is not None:
                coulomb[lanes, :, :n, :n] = j
                self._note(operator, j)
            if k is not None:
                exchange[lanes, :, :n, :n] += part.fraction * np.asarray(k)
                self._note(operator, k)
        weight = 0.5 if density.shape[1] == 1 else 1.0
        mine, j, k = own[lanes], coulomb[lanes, :, :n, :n], exchange[lanes, :, :n, :n]
        energies = {
            "coulomb": 0.5 * np.einsum("bsij,btij->b", mine, j),
            "exchange": -0.5 * weight * np.einsum("bsij,bsij->b", mine, k),
        }
        return Contribution(jnp.asarray(coulomb), jnp.asarray(exchange), parts=energies)

    def _evaluate_on_device(
        self, density: Float64[Array, "lane spin n n"], lanes: Int32[np.ndarray, "active"]
    ) -> Contribution:
        """Return what `evaluate` does, for operators whose J and K stay where XLA computes."""
        coulomb, exchange = jnp.zeros(density.shape), jnp.zeros(density.shape)
        for part, operator in zip(self._parts, self._operators, strict=True):
            assert isinstance(operator, AbstractDeviceTwoElectron)
            j, k = operator.contract_on_device(density, lanes, part.request.coulomb, part.request.exchange)
            coulomb = coulomb if j is None else j
            exchange = exchange if k is None else exchange + part.fraction * k
            self.dtypes.add(operator.accumulation or "float64")
        energies = _energies(density, coulomb, exchange)
        parts = {
            name: np.asarray(e)[lanes] for name, e in zip(("coulomb", "exchange"), energies, strict=True)
        }
        return Contribution(coulomb, exchange, parts=parts)

    def _note(self, operator: AbstractTwoElectron | DifferenceBuild, matrix: np.ndarray) -> None:
        self.dtypes.add(operator.accumulation or str(np.asarray(matrix).dtype))

    def gradient(
        self,
        density: Float64[np.ndarray, "active spin nao nao"],
        energy_weighted_density: Float64[np.ndarray, "active nao nao"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return the derivative of the two-electron energy by the positions of the nuclei, hartree/bohr."""
        backend = gradient_backend(self._backend)
        energies = [
            TwoElectronEnergy(r.operator, r.omega, float(r.coulomb), fraction) for r, fraction in self._parts
        ]
        if self._fitting is None:
            return backend.two_electron_gradient(self._batch, lanes, density, energies, self._policy)
        exact, fitted = [], energies
        if self._fitting.fitted == "j":
            exact = [energy._replace(coulomb=0.0) for energy in energies if energy.exchange]
            fitted = [energy._replace(exchange=0.0) for energy in energies if energy.coulomb]
        out = np.zeros((len(lanes), self._batch.natm, 3))
        if exact:
            out += backend.two_electron_gradient(self._batch, lanes, density, exact, self._policy)
        auxiliary = self._fitting.basis(self._batch)
        for row, lane in enumerate(map(int, lanes)):
            for operator, omega, coulomb, exchange in fitted:
                out[row] += fitted_gradient(
                    fitting_backend(backend), self._batch, lane, auxiliary, density[row], coulomb, exchange, operator,
                    omega,
                )  # fmt: skip
        return out

    def response(
        self,
        density: Float64[Array, "lane spin n n"],
        change: Float64[np.ndarray, "batch spin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        opposite: bool = False,
    ) -> Float64[np.ndarray, "active spin nao nao"]:
        """Return J and K at the change of the density, in which they are linear."""
        self.initialize()
        nspin = change.shape[1]
        out = np.zeros((len(lanes), *change.shape[1:]))
        for part, operator in zip(self._parts, self._operators, strict=True):
            # J of both spins' changes: they cancel where the spins turn opposite ways.
            wants_j = part.request.coulomb and not opposite
            if not wants_j and not part.request.exchange:
                continue
            j, k = operator.contract_wanted(change, lanes, wants_j, part.request.exchange)
            if j is not None:
                total = np.asarray(j, dtype=np.float64).sum(axis=1, keepdims=True)
                out += total if nspin == 2 else 2.0 * total
            if k is not None:
                out -= part.fraction * np.asarray(k)
        return out

    def held_bytes(self) -> int:
        """Return the bytes of integrals held. An operator that does not say is taken to hold all unique integrals in
        float64.
        """
        pairs = self._batch.nao * (self._batch.nao + 1) // 2
        unknown = min(self._memory.total, len(self._batch) * pairs * (pairs + 1) // 2 * 8)
        stated = [operator.held_bytes() for operator in self._operators]
        return sum(unknown if held is None else held for held in stated)

    def close(self) -> None:
        """Free the integrals."""
        for operator in self._operators:
            operator.close()
        self._operators, self._iterated = [], []
