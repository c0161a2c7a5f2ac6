"""Schedules, memory and the cost model of the IPU backend."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from scfx_bse.source import BasisSetExchangeSource
from scfx_ipu.cost_model import BUNDLES, costs, predict, schedule
from scfx_ipu.library import OPERATIONS, Machine, count_operations
from scfx_ipu.molecule import ShellStructure

from scfx.model.basis import BasisSet
from scfx.model.batch import Batch
from scfx.model.system import System


def _structure(carbons: int, basis: str = "sto-3g") -> ShellStructure:
    numbers = np.array([6] * carbons + [1] * (2 * carbons + 2), dtype=np.int32)
    positions = np.arange(3.0 * len(numbers)).reshape(-1, 3)
    source = BasisSetExchangeSource(basis)
    system = System(numbers, positions)
    return ShellStructure.from_layout(
        Batch.from_systems([system], BasisSet.from_source(source, [1, 6])).layout
    )


@pytest.mark.parametrize("machine", [Machine(), Machine(4, 1472), Machine(1, 10)], ids=str)
@pytest.mark.parametrize("recompute", [False, True])
def test_every_unique_quartet_is_scheduled_once(machine, recompute):
    structure = _structure(3)
    numbers = schedule(structure, machine, recompute).numbers()
    pairs = len(structure.shells) * (len(structure.shells) + 1) // 2
    assert numbers.quartets == pairs * (pairs + 1) // 2


def test_blocks_of_shells_stand_for_the_same_quartets_as_shells():
    # Octane's 42 shells make 0.4 million quartets, too many for ten tiles to list one by one.
    structure = _structure(8)
    numbers = schedule(structure, Machine(1, 10), False).numbers()
    pairs = len(structure.shells) * (len(structure.shells) + 1) // 2
    assert numbers.blocks < len(structure.shells)
    assert numbers.tasks < numbers.quartets == pairs * (pairs + 1) // 2


def test_workers_are_balanced_where_there_is_enough_to_share():
    prediction = predict(schedule(_structure(9), Machine(), False))
    assert prediction.balance_integrals > 0.85
    assert prediction.balance_contraction > 0.8


@pytest.mark.parametrize("recompute", [False, True])
def test_bytes_are_those_of_the_graph(recompute):
    program = schedule(_structure(4), Machine(), recompute)
    program.build()
    needed, measured = program.numbers().needed, program.measured_bytes()
    # Planned before the graph exists: never too little, and not by much too much.
    assert measured <= needed <= 2.0 * measured


def test_no_worker_keeps_a_matrix_of_its_own():
    # 56 functions (C8H18): the paper's private matrix would have 3,136 elements a worker.
    structure = _structure(8)
    numbers = schedule(structure, Machine(), False).numbers()
    assert numbers.touched < structure.n_functions**2 / 4


def test_keeping_integrals_takes_four_bytes_for_an_eighth_of_the_tensor():
    structure = _structure(8)
    numbers = schedule(structure, Machine(), False).numbers()
    n = structure.n_functions
    # Diagonal shells are kept whole, so a little more than n^4 / 8.
    assert 1.0 < numbers.integrals / (n**4 / 8) < 1.35


def test_more_ipus_share_the_integrals_and_add_one_sum():
    structure = _structure(8)
    one, four = (predict(schedule(structure, Machine(n), True)) for n in (1, 4))
    assert four.contraction < 0.5 * one.contraction
    assert one.final == 0.0 < four.final


def test_counted_operations_grow_with_roots_and_primitives():
    add = OPERATIONS.index("add")
    small = count_operations((0, 0, 0, 0), (1, 1, 1, 1), 2.0)[0]
    # (ss|ss): two pairs and one quartet of primitives, so three divisions, one square root and two exponentials.
    assert dict(zip(OPERATIONS, small.tolist(), strict=True)) | {
        "divide": 3,
        "root": 1,
        "exponential": 2,
    } == dict(zip(OPERATIONS, small.tolist(), strict=True))
    # n primitives a shell make n⁴ quartets of primitives and n² pairs on each side, and nothing else grows.
    n = np.array([1, 2, 3, 4])
    counted = [count_operations((0, 0, 0, 0), (k,) * 4, 2.0)[0][add] for k in n]
    growth = np.linalg.solve(
        np.stack([n[:3] ** 4, n[:3] ** 2, n[:3] ** 0], axis=1).astype(float), counted[:3]
    )
    assert (growth[:2] > 0.0).all()
    assert counted[3] == round(float(growth @ np.array([4.0**4, 4.0**2, 1.0])))
    primitive = costs()[0]
    assert (np.diff(np.diag(primitive)[[0, 2, 5, 9]]) > 0).all()
    assert set(BUNDLES) == set(OPERATIONS)


def test_operands_in_memory_cost_up_to_three_times_what_registers_do():
    # Two loads and a store beside each addition or multiplication; division and roots take as long as before.
    ratio = costs(from_memory=True) / costs()
    assert (ratio > 2.0).all()
    assert (ratio <= 3.0).all()


def test_the_plan_command_prints_what_the_molecule_takes():
    from scfx.cli import main

    with CliRunner().isolation() as streams:
        assert main(["ipu", "plan", "CCO", "--basis", "6-31g", "--no-largest"]) == 0
        text = streams[0].getvalue().decode()
    for line in (
        "tiles",
        "bytes, fullest tile",
        "integrals",
        "cycles, contraction",
        "balance",
        "labels/s",
        "recompute",
    ):
        assert line in text
