"""Statistics are those of the textbooks: against NumPy, SciPy and pandas on made-up labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scfx_study.force_statistics import FORCES, force_statistics, has_forces
from scfx_study.statistics import EV_IN_KCAL_PER_MOL, Errors, errors, statistics, summary
from scipy import stats


def made_up(rng, molecules=40, conformers=6, error=0.01):
    """Two options: 'exact', and 'rough' with an error that has a part common to each molecule (eV)."""
    rows = []
    for m in range(molecules):
        common = rng.normal(0, error)
        for c in range(conformers):
            gap, energy = rng.normal(5, 1), rng.normal(-1e4, 1)
            label = {"entry": m * conformers + c, "molecule": m, "conformer": c, "used": True}
            for option, e in (("exact", 0.0), ("rough", common + rng.normal(0, error))):
                rows.append(
                    {
                        **label, "option": option, "energy_ev": energy + e, "relative_energy_ev": energy + e,
                        "homo_ev": -gap, "lumo_ev": e, "gap_ev": gap + e, "dipole_debye": 1.0 + e,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def table():
    return made_up(np.random.default_rng(7))


@pytest.fixture(scope="module")
def gap(table):
    return statistics(table, [("rough", "exact")], 1000, 0.95).set_index("quantity").loc["gap"]


def difference(table):
    wide = table.pivot(index="entry", columns="option", values="gap_ev")
    return wide["rough"] - wide["exact"]


def test_moments_and_percentiles_are_numpys_in_mev(table, gap):
    error = 1e3 * difference(table).to_numpy()
    assert gap["n"] == 240
    assert gap["molecules"] == 40
    assert gap["mean_error"] == pytest.approx(error.mean())
    assert gap["mae"] == pytest.approx(np.abs(error).mean())
    assert gap["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    assert gap["max"] == pytest.approx(np.abs(error).max())
    for p in (50, 90, 95, 99):
        assert gap[f"p{p}"] == pytest.approx(np.percentile(np.abs(error), p))


def test_the_order_within_molecules_is_scipys_correlation_averaged_over_molecules(table, gap):
    wide = table.pivot(index=["molecule", "entry"], columns="option", values="gap_ev")
    groups = [group for _, group in wide.groupby("molecule")]
    pearson = np.mean([stats.pearsonr(g["rough"], g["exact"]).statistic for g in groups])
    spearman = np.mean([stats.spearmanr(g["rough"], g["exact"]).statistic for g in groups])
    assert (gap["pearson"], gap["spearman"]) == (pytest.approx(pearson), pytest.approx(spearman))


def test_kcal_per_mol_is_the_thermochemical_one(gap):
    # CODATA 2018: 1 eV a particle is 96.48533212 kJ/mol; 4.184 kJ to the kcal.
    assert pytest.approx(96.48533212 / 4.184, rel=1e-9) == EV_IN_KCAL_PER_MOL
    assert gap["mae_kcal_mol"] == pytest.approx(gap["mae"] / 1e3 * 96.48533212 / 4.184)


def test_the_bootstrap_draws_molecules_and_not_conformers(table, gap):
    """The interval's width is that of the mean of molecule means: wider than independent conformers would give."""
    error = 1e3 * difference(table)
    molecule = table.drop_duplicates("entry").set_index("entry")["molecule"]
    means = error.groupby(molecule).mean()
    width = gap["mean_error_high"] - gap["mean_error_low"]
    by_molecule = 2 * 1.96 * means.std() / np.sqrt(len(means))
    by_conformer = 2 * 1.96 * error.std() / np.sqrt(len(error))
    assert width == pytest.approx(by_molecule, rel=0.15)
    assert by_conformer < 0.75 * by_molecule
    assert gap["mae_low"] < gap["mae"] < gap["mae_high"]


def test_the_interval_covers_the_truth_as_often_as_it_says():
    covered = 0
    molecule = np.repeat(np.arange(25), 4)
    for seed in range(200):
        random = np.random.default_rng(seed)
        values = random.normal(size=25)[molecule] + random.normal(size=100)
        row = summary(Errors(values, molecule, np.zeros(0), np.zeros(0)), "a", "b", ("gap", "meV"), 400, 0.8)
        covered += row["mean_error_low"] <= 0.0 <= row["mean_error_high"]
    # 200 trials at 0.8 have a standard deviation of 0.028; percentile intervals of 25 molecules are a little narrow.
    assert 0.66 < covered / 200 < 0.91


def test_rows_that_are_not_used_do_not_count(table):
    without = table.copy()
    without["used"] = without["molecule"] < 10
    assert errors(without, "rough", "exact", "gap_ev").values.size == 60


def test_an_option_equal_to_its_reference_has_no_error_and_keeps_the_order(table):
    row = statistics(table, [("exact", "exact")]).set_index("quantity").loc["gap"]
    assert (row["mae"], row["max"]) == (0.0, 0.0)
    assert row["spearman"] == pytest.approx(1.0)


def with_forces(rng, molecules=6, conformers=3):
    """Two options whose forces (eV/angstrom) differ by a hundredth on average; one row has none."""
    rows = []
    for m in range(molecules):
        for c in range(conformers):
            numbers, forces = np.array([8, 1, 1]), rng.normal(0, 2, (3, 3))
            label = {"entry": m * conformers + c, "molecule": m, "used": True, "atomic_numbers": numbers}
            for option, size in (("exact", 0.0), ("rough", 0.01)):
                found = forces + size * rng.normal(size=(3, 3)) * (1 + m)
                rows.append({**label, "option": option, FORCES: list(found)})
    rows[-1][FORCES] = None
    return pd.DataFrame(rows)


def test_force_statistics_are_numpys_by_element():
    table = with_forces(np.random.default_rng(3))
    found = force_statistics(table, [("rough", "exact")], 200).set_index("element")
    assert found.index.tolist() == ["all", "H", "O"]
    wide = table.pivot(index="entry", columns="option", values=FORCES).dropna()
    rough, exact = (np.array([np.stack(x) for x in wide[name]]) * 1e3 for name in ("rough", "exact"))
    for name, atoms in (("all", slice(0, 3)), ("O", slice(0, 1)), ("H", slice(1, 3))):
        row, error = found.loc[name], (rough - exact)[:, atoms]
        sizes = np.linalg.norm(error, axis=2)
        assert row["n"] == error.size
        assert (row["conformers"], row["molecules"]) == (17, 6)
        assert row["mae"] == pytest.approx(np.abs(error).mean())
        assert row["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
        assert row["max"] == pytest.approx(np.abs(error).max())
        assert row["worst_atom"] == pytest.approx(sizes.max())
        assert row["mean_worst_atom"] == pytest.approx(sizes.max(axis=1).mean())
        a, b = rough[:, atoms].reshape(-1, 3), exact[:, atoms].reshape(-1, 3)
        cosines = [u @ v / np.linalg.norm(u) / np.linalg.norm(v) for u, v in zip(a, b, strict=True)]
        assert row["cosine"] == pytest.approx(np.mean(cosines))
        assert row["rms_force"] == pytest.approx(np.sqrt((exact[:, atoms] ** 2).mean()))
        assert row["mae_low"] < row["mae"] < row["mae_high"]


def test_forces_that_vanish_have_no_direction_and_options_without_forces_no_row():
    table = with_forces(np.random.default_rng(3), 1, 1)
    assert len(force_statistics(table, [("rough", "exact")])) == 0
    for i in table.index:
        table.at[i, FORCES] = [np.zeros(3)] * 3
    row = force_statistics(table, [("rough", "exact")]).iloc[0]
    assert row["mae"] == 0.0
    assert row["cosine"] is None
    assert not has_forces(table.drop(columns=FORCES))
