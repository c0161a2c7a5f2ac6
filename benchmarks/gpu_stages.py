"""The stages of a label on the card: their programs compiled, their launches and bytes counted, their arithmetic."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import numpy as np
from gpu_compiler import Compiled, compiled, shape
from gpu_integrals import integrals
from gpu_rates import EIGH, HISTORY, ITERATIONS, LANES, SMALL_EIGH, SQUARINGS, TILE, Stage, operations
from scfx_jax.pairs import power_of_two
from scfx_jax.two_electron import _block, _contract, row_plan
from scfx_xc.functionals import B3LYP

from scfx.energy.exchange_correlation.functional_at_points import evaluate_closed_shell
from scfx.energy.exchange_correlation.portable import (
    BLOCK,
    BLOCKS,
    StaticFunctional,
    Totals,
    _quadrature_blocks,
)
from scfx.energy.orbitals import orbital_tables, orbital_values
from scfx.execution.lanes import ActiveLanes, ao_bucket
from scfx.grid import GridSpec, batch_grids, partition
from scfx.model.batch import Batch
from scfx.scf import step
from scfx.scf.diis import DIISState


def rows(plan: Any, dtype: str) -> Stage:
    """Return the putting of integrals into rows."""
    stage = Stage()
    for c, mine in enumerate(plan.classes):
        parts: list[Any] = []
        for other, theirs in enumerate(plan.classes):
            x, y = (mine, theirs) if other <= c else (theirs, mine)
            made = shape(
                power_of_two(y.n_tiles),
                x.kind.n_functions,
                y.kind.n_functions,
                TILE,
                TILE,
                LANES,
                dtype=dtype,
            )
            parts.append(made if other <= c else (made,) * theirs.n_tiles)
        swapped = tuple(other > c for other in range(len(plan.classes)))
        program = compiled("rows", _block, tuple(parts), shape(dtype="int32"), shape(plan.n**2, dtype="int32"),
                            swapped=swapped, n=plan.n)  # fmt: skip
        stage.add(program, mine.n_tiles)
    return stage


@cache
def contraction(rows: int, n: int, stored: str, working: str) -> Compiled:
    """Return J and K from one block of rows."""
    return compiled(
        "J and K", _contract, shape(LANES, rows, n, n, dtype=stored), shape(LANES, 1, n, n, dtype=working),
        *(shape(rows, dtype="int32"),) * 2, shape(rows), *(shape(LANES, 1, n, n),) * 2, coulomb=True, exchange=True,
    )  # fmt: skip


def _active() -> ActiveLanes:
    return ActiveLanes(shape(LANES, dtype="int32"), True)


@cache
def quadrature(n: int, dtype: str) -> Compiled:
    """Return density, functional and potential on a chunk of points."""
    totals = Totals(shape(LANES), shape(LANES), shape(LANES, 1, n, n))
    return compiled(
        "exchange-correlation", _quadrature_blocks, StaticFunctional(B3LYP()), totals,
        shape(LANES, BLOCKS, 4, n, BLOCK, dtype=dtype), shape(LANES, BLOCKS, BLOCK), shape(LANES, 1, n, n), _active(),
        shape(dtype="int32"), dtype="float64",
    )  # fmt: skip


@cache
def functional_flops() -> float:
    """Return the operations of the functional at a point, all in float64, as XLA counts them."""

    def at_points(components: Any, weights: Any) -> Any:
        return evaluate_closed_shell(B3LYP(), components, weights, np.dtype("float64"))

    lowered = jax.jit(at_points).lower(np.ones((4, 512)), np.ones(512))
    return (lowered.cost_analysis() or {})["flops"] / 512


@cache
def matrices(n: int) -> tuple[Compiled, Compiled, Compiled]:
    """Return the step's three programs: Fock matrix and energy, new density, canonical orbitals."""
    square, old = shape(LANES, 1, n, n), shape(LANES, HISTORY, 1, n, n)
    number = shape(LANES)
    state = step.SCFState(
        square,
        square,
        square,
        square,
        number,
        number,
        number,
        DIISState(old, old, shape(LANES, dtype="int32")),
    )
    fixed = step.Fixed(shape(LANES, n, n), shape(LANES, n, n), shape(LANES), shape(LANES, 1, dtype="int32"),
                       shape(LANES, dtype="int32"))  # fmt: skip
    parts = step.FockParts(*(square if name != "energy" else shape(LANES) for name in step.FockParts._fields))
    control = step.Control(shape(LANES), shape(LANES), shape(LANES, dtype="bool"))
    count = shape(dtype="int32")
    return (
        compiled("step", step.build, state, fixed, parts, _active(), count, shared=False),
        compiled("step", step.advance, state, fixed, control, _active(), count, dtype="float64", shared=False,
                  rounds=SQUARINGS),
        compiled("step", step.canonical_orbitals, state, fixed, _active(), count, shape(dtype="bool"),
                  shape(dtype="bool")),
    )  # fmt: skip


def stages(batch: Batch, policy: Any, lines: dict[str, float]) -> dict[str, Stage]:
    """Return what a label costs the card by stage."""
    stored = "float32" if policy.integrals == "float32" and policy.schwarz_float64 is None else "float64"
    working = "float64" if stored == "float64" else policy.coulomb_exchange
    orbital, n, plan = policy.orbitals, ao_bucket(batch.nao), row_plan(batch.layout, TILE)
    points = len(batch_grids(batch.atomic_numbers, batch.positions, GridSpec.from_config(0))[0][1])
    chunks = -(-points // (BLOCK * BLOCKS))
    found = {"integrals": integrals(plan, stored, lines[stored]), "integrals into rows": rows(plan, stored)}

    jk = found["J and K"] = Stage()
    for number, tables in enumerate(plan.classes):
        jk.add(contraction(plan.block_rows(number), n, stored, working), tables.n_tiles * ITERATIONS)
    # Three products of each integral, and of sums over l with the rows' functions.
    kept = plan.stored_rows()
    jk.arithmetic = ITERATIONS * (
        operations(6.0 * kept * n**2, working) + operations(6.0 * kept * n**2, "float64")
    )

    tables, lmax = orbital_tables(batch, 1)
    wide = jax.tree.map(lambda a: shape(LANES, *a.shape[1:], dtype=a.dtype), tables[:3])
    shared = [None if a is None else shape(*a.shape, dtype=a.dtype) for a in tables[3:]]
    ao = compiled("AO values", orbital_values, type(tables)(*wide, *shared), shape(LANES, BLOCKS, 3, BLOCK), _active(),
                   shape(dtype="int32"), lmax=lmax, derivatives=True, dtype=orbital)  # fmt: skip
    found["AO values"] = Stage()
    found["AO values"].add(ao, chunks)

    atoms = -(-batch.natm // partition.ATOM_BUCKET) * partition.ATOM_BUCKET
    blocks = -(-points // partition.POINT_BLOCK)
    share = compiled(
        "Becke's cells", partition._compiled_for_lanes(), shape(LANES, 3, partition.POINT_BLOCK),
        shape(LANES, partition.POINT_BLOCK, dtype="int32"), shape(LANES, atoms, 3), *(shape(LANES, atoms, atoms),) * 2,
        shape(dtype="int32"), rounds=batch.natm,
    )  # fmt: skip
    found["weights of points"] = Stage(operations(25.0 * batch.natm**2 * points, "float64"))
    found["weights of points"].add(share, blocks)
    found["weights of points"].rounds = 2.0 * batch.natm * blocks

    xc = found["exchange-correlation"] = Stage()
    xc.add(quadrature(n, orbital), chunks * ITERATIONS)
    padded = chunks * BLOCK * BLOCKS
    xc.arithmetic = ITERATIONS * padded * (
        operations(4.0 * n**2 + 16.0 * n, orbital) + operations(functional_flops(), "float64")
    )  # fmt: skip

    build, advance, orbitals = matrices(n)
    linear = found["Fock matrix, DIIS, purification"] = Stage()
    linear.add(build, ITERATIONS)
    linear.add(advance, ITERATIONS)
    linear.arithmetic = operations(ITERATIONS * (SQUARINGS + 8) * 2.0 * n**3, "float64")
    linear.rounds, linear.library_of_batch = ITERATIONS * SQUARINGS, ITERATIONS * SMALL_EIGH
    found["orbital energies"] = Stage(library=EIGH * (n / 64) ** 2)
    found["orbital energies"].add(orbitals)
    return found
