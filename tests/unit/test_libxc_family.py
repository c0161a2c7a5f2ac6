"""The libxc family: names, sums, both evaluators, against PySCF and against scfx's own functionals."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from molecules import molecule
from scfx_jax_xc import census
from scfx_jax_xc.names import parse

import scfx
from scfx.abstract import Density
from scfx.testing import check_functional

OPTIONS = {"basis": "sto-3g", "backend": "libcint", "grid": 0}


def _pyscf_energy(system, xc):
    from pyscf import dft, gto

    mole = gto.M(
        atom=list(zip(system.symbols, system.positions, strict=True)), unit="bohr", basis="sto-3g",
        charge=system.charge, spin=system.multiplicity - 1, verbose=0,
    )  # fmt: skip
    field = dft.KS(mole, xc=xc)
    field.grids.level, field.conv_tol = 0, 1e-11
    return field.kernel()


# By kernels: a GGA hybrid, a sum, a range-separated hybrid, a meta-GGA; by libxc on the host where the census says no.
@pytest.mark.parametrize(
    "xc",
    ["b97-3", "0.2*hf + 0.8*slater, lyp", "hyb_gga_xc_wb97x", "mgga_x_revtpss, mgga_c_revtpss", "b0kcis"],
)
def test_name_of_libxc_gives_pyscfs_energy(xc):
    water = molecule("H2O")
    ours = scfx.solve(water, functional=xc, **OPTIONS).raise_for_status().energy[0]
    assert ours == pytest.approx(_pyscf_energy(water, xc), abs=1e-7)


@pytest.mark.parametrize("evaluator", ["libxc", "jax-xc"])
def test_both_evaluators_give_the_native_b3lyp(evaluator):
    # For a triplet, so that the spin-resolved forms are used; libxc's number 402 is B3LYP with VWN-RPA.
    radical = scfx.System.from_arrays("NH", [[0, 0, 0], [0, 0, 1.04]], multiplicity=3)
    theirs = scfx.solve(radical, functional={"name": evaluator, "xc": "hyb_gga_xc_b3lyp"}, **OPTIONS)
    native = scfx.solve(radical, functional="b3lyp", **OPTIONS)
    assert theirs.energy[0] == pytest.approx(native.energy[0], abs=1e-9)
    np.testing.assert_allclose(theirs.orbital_energies, native.orbital_energies, atol=1e-7)


@pytest.mark.parametrize("evaluator", ["libxc", "jax-xc"])
@pytest.mark.parametrize("xc", ["lda,vwn", "pbe,pbe", pytest.param("tpss,tpss", marks=pytest.mark.slow)])
def test_evaluator_fulfils_the_contract_of_a_functional(evaluator, xc):
    check_functional(scfx.Registry.discover().functional({"name": evaluator, "xc": xc}))


@pytest.mark.parametrize(
    "xc", ["hyb_gga_xc_b97_3", pytest.param("mgga_x_revtpss, mgga_c_revtpss", marks=pytest.mark.slow)]
)
def test_hydrogen_atom_whose_other_spin_is_empty(xc):
    # High powers of the empty spin's density overflow in these formulas' derivatives if it is let down to nothing.
    atom = scfx.System.from_arrays("H", [[0, 0, 0]], multiplicity=2)
    by_kernels, by_libxc = (
        scfx.solve(atom, functional={"name": evaluator, "xc": xc}, **OPTIONS).raise_for_status()
        for evaluator in ("jax-xc", "libxc")
    )
    assert by_kernels.energy[0] == pytest.approx(by_libxc.energy[0], abs=1e-9)
    # libxc cuts the empty spin's derivatives off at a density of its own.
    np.testing.assert_allclose(by_kernels.orbital_energies, by_libxc.orbital_energies, atol=1e-4)


@pytest.mark.slow
def test_every_functional_of_the_census_is_finite_where_densities_vanish():
    names = [name for name, record in census.table().items() if record["verdict"] == "agrees"]
    assert [name for name in names if not census.finite_where_densities_vanish(name)] == []


def test_evaluators_agree_point_by_point():
    rho, sigma, tau = census.points()
    registry = scfx.Registry.discover()
    with jax.enable_x64(True):
        density = Density(*(jax.numpy.asarray(x) for x in (*rho.T, *sigma.T, *tau.T)))
        ours, theirs = (
            registry.functional({"name": name, "xc": "mgga_x_scan, mgga_c_scan"})
            for name in ("jax-xc", "libxc")
        )
        values = [
            jax.value_and_grad(lambda d, f=f: f.energy_density(d).sum())(density) for f in (ours, theirs)
        ]
    assert float(values[0][0]) == pytest.approx(float(values[1][0]), rel=1e-10)
    for mine, other in zip(values[0][1], values[1][1], strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-7, atol=1e-9)


def test_sums_mean_what_pyscf_means():
    found = parse("0.2*hf + 0.8*slater, lyp")
    assert found.parts == (("lda_x", 0.8), ("gga_c_lyp", 1.0))
    assert found.exact_exchange == pytest.approx(0.2)
    assert found.omega == 0.0
    screened = parse("hse06")  # Krukau et al. (2006): a quarter of exact exchange, at short range only
    assert (screened.exact_exchange, screened.long_range_exchange, screened.omega) == (0.25, -0.25, 0.11)
    assert parse("no-such-functional") is None


def test_name_takes_kernels_only_if_all_its_parts_passed_the_census():
    registry = scfx.Registry.discover()
    assert registry.functional("gga_x_b86, gga_c_lyp").evaluator == "jax-xc"
    assert not census.passed("hyb_mgga_xc_b0kcis")  # its kernel is a third of the energy away from libxc's
    assert registry.functional("b0kcis").evaluator == "libxc"


def test_census_table_is_complete_and_says_why_not():
    from scfx_jax_xc.kernels import parameters

    table = census.table()
    assert set(table) == set(parameters())
    for name, record in table.items():
        if record["verdict"] == "agrees":
            assert record["value"] <= census.TOLERANCE["value"], name
            assert record["derivative"] <= census.TOLERANCE["derivative"], name
    assert sum(r["verdict"] == "agrees" for r in table.values()) > 450


@pytest.mark.parametrize("name", ["gga_x_b88", "gga_c_p86", "hyb_gga_xc_cam_b3lyp", "mgga_c_m06_l"])
def test_census_can_be_repeated(name):
    assert census.compare(name)["verdict"] == census.table()[name]["verdict"] == "agrees"


@pytest.mark.parametrize(
    ("xc", "message"),
    [
        ("nonsense", "is not a functional that PySCF's parser and libxc know"),
        ("gga_xc_b97_d", r"Grimme's dispersion of 2006 \(D2\)"),
        ("0.5*wb97x_v + 0.5*pbe", "VV10 is computed whole and once"),
        ("lda_k_tf", "it is a kinetic-energy functional"),
        ("mgga_x_br89", "needs the Laplacian"),
        ("lda_x_2d", "one- or two-dimensional"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_reason(xc, message):
    with pytest.raises(scfx.InputError, match=message):
        scfx.Registry.discover().functional({"name": "libxc", "xc": xc})


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ((), "as JAX code"),
        (("jax_xc",), "pip install --no-deps jax-xc"),
        (("pyscf", "jax_xc"), "scfx[libcint]"),
    ],
)
def test_info_says_by_what_libxcs_names_are_evaluated(monkeypatch, missing, said):
    import scfx_jax_xc

    monkeypatch.setattr(scfx_jax_xc, "find_spec", lambda name: None if name in missing else object())
    assert said in scfx_jax_xc.scfx_report_header()
