"""Energies and orbital energies equal PySCF's in float64 at the same grid, molecule by molecule."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import molecule
from pyscf_oracle import frontier, orbital_energies, pyscf_solved

import scfx

#: (molecule, charge, multiplicity, functional, basis). Ground states without orbital degeneracy, so that both
#: programs can only find one. 6-31G* is Cartesian in d, as the Basis Set Exchange states it.
CASES = [
    ("H2O", 0, 1, "b3lyp", "sto-3g"),
    ("HCN", 0, 1, "b3lyp", "sto-3g"),
    ("HCOOH", 0, 1, "b3lyp", "sto-3g"),
    ("CH3F", 0, 1, "b3lyp5", "sto-3g"),
    ("CH3OH", 0, 1, "pbe0", "sto-3g"),
    ("CH4", 0, 1, "blyp", "sto-3g"),
    ("C2H4", 0, 1, "pbe", "sto-3g"),
    ("NH3", 0, 1, "hf", "6-31g"),
    ("CO", 0, 1, "svwn", "6-31g"),
    ("HF", 0, 1, "b3lyp", "6-31g*"),
    ("H2CO", 0, 1, "pbe0", "6-31g*"),
    ("F2", 0, 1, "hf", "6-31g*"),
    ("N2", 0, 1, "b3lyp", "def2-svp"),
    ("CO2", 0, 1, "lda", "def2-svp"),
    ("NH4", 1, 1, "pbe", "def2-svp"),
    ("OH", -1, 1, "b3lyp5", "def2-svp"),
    ("CH3", 0, 2, "b3lyp", "sto-3g"),
    ("H2O", 1, 2, "b3lyp", "6-31g"),
    ("CH2", 0, 3, "hf", "6-31g"),
    ("NH2", 0, 2, "pbe", "6-31g*"),
    ("O2", 0, 3, "pbe0", "6-31g"),
    ("HCO", 0, 2, "b3lyp5", "6-31g"),
    ("NO2", -1, 1, "blyp", "6-31g"),
    ("H2CO", 1, 2, "blyp", "def2-svp"),
]
GRID = 0  # both programs build the very same points


def _name(case: tuple) -> str:
    name, charge, multiplicity, functional, basis = case
    return f"{name}{'+' if charge > 0 else '-' if charge < 0 else ''}-{multiplicity}-{functional}-{basis}"


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_energy_and_orbital_energies_equal_pyscf_on_the_same_grid(case, registry):
    name, charge, multiplicity, functional, basis = case
    system = molecule(name, charge, multiplicity)
    ours = scfx.solve(
        system, functional=functional, basis=basis, backend="libcint", grid=GRID, threads=1, registry=registry
    )
    theirs = pyscf_solved(system, functional, basis, GRID, registry)
    ours.raise_for_status()
    if functional != "hf":
        # PySCF pads its points to a multiple of 8.
        assert -(-ours.n_grid[0] // 8) * 8 == theirs.grids.weights.size
    assert ours.energy[0] == pytest.approx(theirs.e_tot, abs=1e-7)
    np.testing.assert_allclose(ours.orbital_energies[0], orbital_energies(theirs), rtol=0, atol=1e-6)
    homo, lumo = frontier(theirs)
    assert (ours.homo[0], ours.lumo[0]) == (pytest.approx(homo, abs=1e-6), pytest.approx(lumo, abs=1e-6))
    np.testing.assert_allclose(ours.dipole[0], theirs.dip_moment(unit="AU", verbose=0), rtol=0, atol=1e-5)
    if multiplicity > 1:
        assert ours.s_squared[0] == pytest.approx(theirs.spin_square()[0], abs=1e-6)
