"""Levels of published datasets: a word stands for keys, keys that are given win, and the hash is that of the keys."""

from __future__ import annotations

import json
import tomllib
import typing
from pathlib import Path

import numpy as np
import pytest

import scfx
from scfx.cli import main
from scfx.config import keywords, levels
from scfx.config.levels import LEVELS
from scfx.config.spec import SCFSpec
from scfx.errors import ConfigError

#: Functional, basis and quadrature of each set, from the publications that `Level.sources` names.
PUBLISHED = {
    "qm1b": ("b3lyp5", "sto-3g"),
    "qm9": ("b3lyp", "6-31g(2df,p)-qm9"),
    "pcq": ("b3lyp", "6-31g*"),
    "ani": ("wb97x", "6-31g*"),
    "nabla": ("wb97x-d", "def2-svp"),
    "spice": ("wb97m-d3bj", "def2-tzvppd"),
    "omol25": ("wb97m-v", "def2-tzvpd"),
    "r2scan-3c": ("r2scan-d4-gcp", "def2-mtzvpp"),
    "b97-3c": ("b97-d3-srb", "def2-mtzvp"),
    "wb97x-3c": ("wb97x-d4-3c", "grimme-vdzp"),
}
HYDROGEN = scfx.System.from_arrays(["H", "H"], [[0, 0, 0], [0, 0, 1.4]], "bohr")


@pytest.mark.parametrize("name", LEVELS)
def test_a_level_has_the_hash_of_its_keys_written_out(name, registry, capsys):
    resolved = SCFSpec.create({"level": name}).resolve(registry, [1, 6])
    assert (resolved.names["functional"], resolved.names["basis"]) == PUBLISHED[name]
    assert main(["level", name]) == 0
    printed = tomllib.loads(capsys.readouterr().out)["scf"]
    assert SCFSpec.create(printed).resolve(registry, [1, 6]).spec_hash == resolved.spec_hash
    assert {p.name for p in resolved.properties.ordered} >= set(LEVELS[name].scf.get("properties", ()))
    assert "convergence" in printed  # else it would depend on the properties asked for


def test_every_level_is_listed_and_known_to_editors(capsys):
    assert set(PUBLISHED) == set(LEVELS) == set(typing.get_args(keywords.LevelName))
    assert main(["level"]) == 0
    listed = capsys.readouterr().out
    assert all(level.title in listed for level in LEVELS.values())
    assert all(len(line) <= 80 for line in listed.splitlines())
    assert main(["level", "omol25", "--json"]) == 0
    assert "exact J and K" in " ".join(json.loads(capsys.readouterr().out)["deviations"])


def test_what_a_row_costs_is_said_where_it_was_measured(capsys, monkeypatch):
    measured = json.loads((Path(levels.__file__).parent / "level_costs.json").read_text())
    assert set(measured["seconds"]) <= set(LEVELS)
    monkeypatch.setattr(
        levels.Level, "costs", lambda self: {"seconds": {"CO": 0.5, "CCO": 12.25}, "how": "one core"}
    )
    assert main(["level", "pcq"]) == 0
    assert "# A row costs\n# - CO 0.5 s, CCO 12.2 s: one core\n" in capsys.readouterr().out


def test_keys_that_are_given_win_over_the_level():
    spec = SCFSpec.create({"level": "SPICE", "grid": 1, "convergence": {"max_iterations": 99}})
    assert (spec.functional, spec.basis, spec.grid) == ("wb97m-d3bj", "def2-tzvppd", 1)
    assert (spec.convergence.gradient, spec.convergence.max_iterations) == (1e-8, 99)  # "forces", but for one
    assert SCFSpec.create(spec.model_dump(mode="json")).model_dump() == spec.model_dump()


def test_a_level_in_place_of_another_is_not_overruled_by_it():
    """What a study does where levels are compared."""
    spec = SCFSpec.create({"level": "spice", "grid": 1})
    said = {key: getattr(spec, key) for key in spec.model_fields_set}
    other = SCFSpec.create({**said, "level": "ani"})
    assert (other.functional, other.basis, other.grid) == ("wb97x", "6-31g*", 1)


def test_unknown_levels_are_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"'spice'.*omol25") as raised:
        SCFSpec.create({"level": "spyce"})
    assert raised.value.key == "scf.level"


def test_solve_takes_a_level_and_says_what_it_was(capsys):
    result = scfx.solve(HYDROGEN, level="qm1b", threads=1)
    keys = scfx.solve(HYDROGEN, **LEVELS["qm1b"].scf, threads=1)
    np.testing.assert_array_equal(result.energy, keys.energy)
    assert result.provenance["spec_hash"] == keys.provenance["spec_hash"]
    assert result.provenance["level"] == "qm1b"
    assert result.provenance["scf"]["functional"] == "b3lyp5"
    assert "level" not in keys.provenance


def test_the_command_says_which_keys_of_a_level_were_changed(tmp_path, capsys):
    path = tmp_path / "hydrogen.xyz"
    path.write_text("2\n\nH 0 0 0\nH 0 0 0.74\n")
    words = ["energy", str(path), "--level", "qm1b", "--functional", "hf", "--threads", "1"]
    assert main(words) == 0
    assert "level       qm1b, but for functional\n" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["level_changed"], record["scf"]["functional"]) == (["functional"], "hf")
    assert (record["basis"], record["scf"]["grid"], record["iterations"]) == ("sto-3g", 0, 20)


def test_r2scan_3c_has_its_own_d4_and_a_counterpoise_correction(registry):
    """Positive for water in a basis set of triple zeta: gCP outweighs D4, which is smaller than that of r2SCAN-D4."""
    water = scfx.System.from_arrays(["O", "H", "H"], [[0, 0, 0.2], [0, 1.43, -0.9], [0, -1.43, -0.9]], "bohr")
    both = registry.dispersion({"name": "d4-gcp"}).energy(water)
    parameters = registry.dispersion({"name": "d4", "functional": "r2scan-3c"}).energy(water)
    assert both > 1e-3 > 0 > parameters
    with pytest.raises(scfx.InputError, match=r"level = 'r2scan-3c'"):
        registry.functional("r2scan-3c")


#: psi4's tests/pytests/test_dftd3.py: what ORCA, dftd4 and mctc-gcp give for the ethyne of S22-16, in hartree.
ETHYNE = scfx.System.from_arrays(
    ["C", "C", "H", "H"], [[0, 0, z] for z in (5.48115630, 3.19975986, 1.18552346, 7.49074019)], "bohr"
)


@pytest.mark.parametrize(("functional", "published"), [
    ("r2scan-d4-gcp", -3.3971225644558e-04 + 0.0003797674), ("b97-d3-srb", -0.003247342 - 0.012690835),
    ("wb97x-d4-3c", -1.4323024694511e-03),
])  # fmt: skip
def test_corrections_of_composite_methods_are_the_published_ones(registry, functional, published):
    chosen = registry.functional(functional).dispersion
    correction = registry.dispersion(
        {"name": chosen["method"], **{k: chosen[k] for k in chosen if k != "method"}}
    )
    assert correction.energy(ETHYNE) == pytest.approx(published, abs=5e-8)


#: MB16-43/08 of mstore, bohr: the molecule of mctc-gcp's test of HF/def2-SVP.
MINDLESS = scfx.System.from_arrays(
    ["C", "O", "B", "F", "H", "Al", "H", "H", "O", "B", "Be", "C", "H", "H", "B", "F"],
    [
        [-1.27823293129313, 0.06442674490989, 2.76980447300615],
        [2.05039033278229, 0.64690940303039, -0.29571013189632],
        [-0.07388472989895, 2.46033979750309, -1.30590420482375],
        [1.10019432741349, 4.43501067437330, -2.64796515354449],
        [-1.89008873387150, 0.02064696008121, 4.74727599156952],
        [0.81013963557610, 1.41165582964016, -6.35835508532445],
        [2.51638337449170, 1.74086425451198, 3.45340860505386],
        [2.62048878651566, -1.58024532804571, 2.87415150030394],
        [-0.92472602392464, -3.37659091509259, -0.68138826965952],
        [-2.19962829538645, -2.53092502025386, 1.35654623095955],
        [0.92594749614406, -1.61669775704536, -1.93872059141561],
        [1.63141903847248, 0.18081362275364, 2.42899361614054],
        [-3.96336280784845, -3.68611886004249, 2.18920954455515],
        [-1.17097381446263, 1.08303722364990, -3.04753977323348],
        [-2.18263847972349, 2.31604957286801, 1.11461091308323],
        [2.02857282501340, -1.56917620284149, -4.65841766477431],
    ],
    "bohr", multiplicity=2,
)  # fmt: skip


def test_gcp_of_a_named_basis_set_is_that_of_the_original_program(registry):
    """mctc-gcp, test/test_gcp_hf_methods.f90."""
    table = dict(registry.functional("HF-gCP(def2-SVP)").dispersion)
    found = registry.dispersion({"name": table.pop("method"), **table})
    assert found.energy(MINDLESS) == pytest.approx(3.7848835788317346e-2, abs=1e-9)
    both = dict(registry.functional("b3lyp_d3bj-gcp(6-31g(d))").dispersion)
    assert (both["functional"], both["dispersion"]["functional"]) == ("hybrid", "b3lyp")
    smaller = registry.dispersion({"name": "gcp", "functional": "hf", "basis": "def2-SV(P)"})
    assert smaller.energy(MINDLESS) != pytest.approx(found.energy(MINDLESS), abs=1e-4)
    assert registry.functional("hf_d3bj-gcp(def2-tzvp)").dispersion["functional"] == "hf"
    assert registry.functional("blyp-d3bj-gcp(6-31g*)").dispersion["functional"] == "blyp"


@pytest.mark.slow
@pytest.mark.parametrize(("level", "published"), [
    ("r2scan-3c", -77.30233380 - 3.3971225644558e-04 + 0.0003797674), ("b97-3c", -77.285860375503),
    ("wb97x-3c", -12.501060363754),
])  # fmt: skip
def test_composite_methods_give_the_energies_of_orca(level, published):
    """ORCA without fitting on an unpruned (400, 770) grid, as psi4's tests quote it; here (99, 590)."""
    assert scfx.solve(ETHYNE, level=level, threads=1).energy[0] == pytest.approx(published, abs=1e-5)


@pytest.mark.slow
def test_r2scan_3c_of_water_is_that_of_psi4():
    """Energy and gradient of psi4's tests/gcp/r2scan3c (J and K fitted, as Psi4 does by default)."""
    half = np.deg2rad(104.5 / 2)
    y, z = 0.96 * np.sin(half), 0.96 * np.cos(half)
    water = scfx.System.from_arrays(["O", "H", "H"], [[0, 0, 0], [0, y, z], [0, -y, z]], "angstrom")
    fitted = "def2-universal-jkfit"
    result = scfx.solve(water, level="r2scan-3c", properties="gradient", density_fitting=fitted, threads=1)
    assert result.energy[0] == pytest.approx(-76.41835894, abs=2e-6)
    published = [[0, 0, 0.00270896], [0, -0.00079913, -0.00135448], [0, 0.00079913, -0.00135448]]
    np.testing.assert_allclose(result.gradient[0], published, atol=5e-6)
