"""Milliseconds a conformer of the exchange-correlation gradient, beside one evaluation of energy and potential.

    taskset -c 0 python benchmarks/gradient_grid.py                               # B3LYP/STO-3G, grid level 0
    taskset -c 0 python benchmarks/gradient_grid.py --basis 6-31g* --level 1 --functional r2scan

One batch of conformers of the first molecule of throughput.py with random density matrices, the simd backend's grid
operator with all AO values kept. In turns, by round:

- evaluate: energy, electrons and potential matrices on the whole grid, what one iteration asks for.
- gradient: `exchange_correlation_gradient` as programs without grid response have it (the basis functions alone).
- gradient with response: the whole, with points and weights.
- weights: the response of the weights alone, by the operator and (portable) in JAX.
- grid: making points and weights.
- of a functional with VV10 (`--functional wb97m-v`): its energy and potential on the non-local grid of level 1, and its
  gradient with the response of that grid; in float64 always.

Figures are medians over rounds; the deviation is that of the gradient with response from float64's, hartree/bohr.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import jax  # noqa: E402 - after the number of threads is set
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from machine import describe, lines_to  # noqa: E402
from scfx_simd.backend import SimdBackend  # noqa: E402
from throughput import MOLECULES, conformers  # noqa: E402

from scfx.config.precision import PrecisionPolicy  # noqa: E402
from scfx.energy.exchange_correlation.backend import BackendQuadrature  # noqa: E402
from scfx.energy.exchange_correlation.gradient import exchange_correlation_gradient  # noqa: E402
from scfx.energy.memory import MemoryBudget  # noqa: E402
from scfx.energy.nonlocal_correlation import NonlocalCorrelation  # noqa: E402
from scfx.execution.lanes import ao_bucket  # noqa: E402
from scfx.grid import GridSpec, batch_grids, owned_grids  # noqa: E402
from scfx.grid.weight_gradient import weight_gradient  # noqa: E402
from scfx.model.basis import BasisSet  # noqa: E402
from scfx.model.batch import Batch  # noqa: E402
from scfx.registry import Registry  # noqa: E402
from scfx.scf.batch_matrices import pad_matrices  # noqa: E402


def densities(batch: Batch) -> np.ndarray:
    """Random density matrices [batch, 1, nao, nao] of some twenty doubly occupied functions."""
    occupied = 0.15 * np.random.default_rng(0).normal(size=(len(batch), batch.nao, 20))
    return 2.0 * (occupied @ occupied.swapaxes(1, 2))[:, None]


def measure(arguments: argparse.Namespace) -> list[str]:
    """Table rows: one for each precision of AO values."""
    registry = Registry.discover()
    functional = registry.functional(arguments.functional)
    systems = conformers(arguments.smiles, arguments.conformers, 0)
    numbers = {int(z) for s in systems for z in s.atomic_numbers}
    batch = Batch.from_systems(systems, BasisSet.from_source(registry.basis(arguments.basis), numbers))
    spec, density = GridSpec(arguments.level), densities(batch)
    lanes = np.arange(len(batch), dtype=np.int32)
    grids = batch_grids(batch.atomic_numbers, batch.positions, spec)
    owned = owned_grids(batch.atomic_numbers, grids, spec)
    rows, reference = [], None
    for dtype in ("float64", "float32"):
        policy = PrecisionPolicy("benchmark", orbitals=dtype)
        points, weights = [p for p, _ in grids], [w for _, w in grids]
        operator = SimdBackend().grid_operator(batch, points, weights, functional.family, policy, 2**33)
        quadrature = BackendQuadrature(operator, batch, functional, policy)
        gradient = partial(
            exchange_correlation_gradient, batch, owned, functional, policy, density, lanes, operator=operator
        )

        def each(of: Callable[..., Any]) -> None:
            for lane, grid in enumerate(owned):
                of(batch.atomic_numbers[lane], batch.positions[lane], grid, np.ones(len(grid.weights)))

        stages: dict[str, Callable[[], Any]] = {
            "evaluate": partial(quadrature.evaluate, jnp.asarray(density), lanes),
            "gradient": partial(gradient, response=False),
            "gradient with response": gradient,
            "weights": lambda operator=operator: [
                operator.weight_gradient(
                    lane, batch.atomic_numbers[lane], batch.positions[lane], grid, grid.weights
                )
                for lane, grid in enumerate(owned)
            ],
            "weights, portable": partial(each, weight_gradient),
            "grid": partial(batch_grids, batch.atomic_numbers, batch.positions, spec),
        }
        if functional.vv10 is not None:
            term = NonlocalCorrelation(batch, GridSpec(1), functional.vv10, MemoryBudget(2**33))
            padded = jnp.asarray(pad_matrices(density, len(batch), ao_bucket(batch.nao)))
            stages["VV10"] = partial(term.evaluate, padded, lanes)
            stages["VV10's gradient"] = partial(term.gradient, density, density[:, 0], lanes)
        seconds: dict[str, list[float]] = {name: [] for name in stages}
        for stage in stages.values():  # compiles
            stage()
        for _ in range(arguments.rounds):
            for name, stage in stages.items():
                start = time.perf_counter()
                stage()
                seconds[name].append((time.perf_counter() - start) / len(batch))
        found = gradient().gradient
        reference = found if reference is None else reference
        quadrature.close()
        if not rows:
            rows += [
                "| AO values | " + " | ".join([*stages, "deviation"]) + " |",
                "|---" * (len(stages) + 2) + "|",
            ]
        figures = [f"{1e3 * float(np.median(seconds[name])):.2f}" for name in stages]
        rows.append(f"| {dtype} | " + " | ".join([*figures, f"{np.abs(found - reference).max():.1e}"]) + " |")
    title = (
        f"{arguments.smiles}, {arguments.functional}/{arguments.basis}, grid level {arguments.level}, "
        f"{len(batch)} conformers, {batch.nao} AOs, {len(grids[0][1])} points; ms a conformer"
    )
    return [title, "", *rows]


def main() -> None:
    """Parse, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smiles", default=MOLECULES[0])
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--functional", default="b3lyp")
    parser.add_argument("--level", type=int, default=0)
    parser.add_argument("--conformers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--markdown", help="write the table to this file, too")
    arguments = parser.parse_args()
    with jax.enable_x64(True):
        lines = [describe(), "", *measure(arguments)]
    print("\n".join(lines))
    lines_to(lines, arguments.markdown)


if __name__ == "__main__":
    main()
