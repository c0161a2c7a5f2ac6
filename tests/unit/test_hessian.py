"""The Hessian by differences of gradients: against analytic second derivatives, and what a molecule's symmetry says."""

from __future__ import annotations

import numpy as np
import pytest

import scfx
from scfx.errors import ConvergenceError, InputError
from scfx.hessian import hessian

CHEAP = {"functional": "hf", "basis": "sto-3g", "precision": "float64", "threads": 1}
WATER = scfx.System.from_arrays(
    ["O", "H", "H"], [[0, 0, 0.12], [0, 0.76, -0.48], [0.02, -0.76, -0.48]], "angstrom"
)


@pytest.fixture(scope="module")
def water():
    return hessian(scfx.Solver(properties="gradient", **CHEAP), WATER)


def test_it_is_the_analytic_one(water):
    from pyscf import gto, scf

    mole = gto.M(
        atom=list(zip(WATER.symbols, WATER.positions, strict=True)), unit="bohr", basis="sto-3g", verbose=0
    )
    reference = scf.RHF(mole).run(conv_tol=1e-12).Hessian().kernel().transpose(0, 2, 1, 3).reshape(9, 9)
    np.testing.assert_allclose(water.matrix, reference, atol=1e-4)


def test_shifting_the_molecule_costs_nothing(water):
    np.testing.assert_allclose(water.matrix.reshape(9, 3, 3).sum(axis=1), 0, atol=1e-5)


def test_it_is_symmetric_and_says_how_far_it_was_not(water):
    np.testing.assert_array_equal(water.matrix, water.matrix.T)
    assert 0 < water.asymmetry < 1e-5


def test_its_result_is_that_of_the_molecule_itself(water):
    alone = scfx.solve(WATER, properties="gradient", **CHEAP)
    assert water.result.energy[0] == alone.energy[0]
    assert (len(water.result), len(water.forth), len(water.back)) == (1, 3 * 3, 3 * 3)
    # Begun from its density, those moved forth take fewer iterations; those moved back begin nearer still.
    assert water.forth.iterations.max() < alone.iterations[0]
    assert water.back.iterations.mean() < water.forth.iterations.mean() - 1


def test_a_solver_without_gradients_is_refused():
    with pytest.raises(InputError, match="properties='gradient'"):
        hessian(scfx.Solver(**CHEAP), WATER)


@pytest.mark.parametrize("step", [0.0, -1e-3, float("nan")])
def test_a_step_that_is_no_length_is_refused(step):
    with pytest.raises(InputError, match=r"step is .* bohr"):
        hessian(scfx.Solver(properties="gradient", **CHEAP), WATER, step)


def test_a_displacement_that_does_not_converge_is_named():
    solver = scfx.Solver(
        properties="gradient",
        convergence={"preset": "forces", "max_iterations": 1},
        recovery=False,
        **CHEAP,
    )
    with pytest.raises(ConvergenceError, match="undisplaced geometry"):
        hessian(solver, WATER)
