"""Labels of every option, by whoever makes labels, and one table of them all."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIndexIssue=false
# pyright: reportReturnType=false
# (the types that pandas states are unions which pyright cannot narrow)

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from scfx.contracts.labels import scalar_properties
from scfx.errors import InputError
from scfx_study.combinations import KEY
from scfx_study.statistics import QUANTITY_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.abstract import TaskContext
    from scfx.contracts.labels import AbstractDataset
    from scfx_study.checked_options import Option

#: Columns taken over from the dataset, where it has them.
_COLUMNS = (
    "row_id", "molecule", "smiles", "input_smiles", "name", "conformer", "charge", "multiplicity", "atomic_numbers",
    "positions_angstrom", "energy_ev", "homo_ev", "lumo_ev", "gap_ev", "dipole_debye", "status", "reason", "rung",
    "forces_ev_per_angstrom", "iterations", "residual", "nao", "n_grid", "backend", "device", "precision",
)  # fmt: skip
#: A row counts only where all of these are there, in every option.
LABELS = ("energy_ev", "homo_ev", "lumo_ev", "gap_ev", "dipole_debye")
#: Stages of a dataset's clock that are no work on labels, or the sum of the others.
_NOT_LABELS = ("total", "compile", "start", "embedding", "write")


def compute(option: Option, folder: Path, context: TaskContext) -> int:
    """Make the labels of one option that are not there yet; 0 done, 1 some are lost, 130 interrupted."""
    labels = context.labels()
    options = labels.Options.model_validate({**option.dataset, "output": str(folder / option.key)})
    return labels.make(options, replace(context, spec=option.spec, scf_lists={}))


def opened(option: Option, folder: Path, context: TaskContext) -> AbstractDataset:
    """Return the labels of an option, as far as they are there."""
    return context.labels().open(folder / option.key)


def quantities_of(
    options: Sequence[Option], folder: Path, context: TaskContext
) -> dict[str, tuple[str, str]]:
    """Return properties that are numbers and that all options have: by name, (column, unit of its statistics).

    Energies are in meV there, others in the unit of their column.
    """
    found = [scalar_properties(opened(option, folder, context).schema) for option in options]
    common = set.intersection(*map(set, found)) - set(QUANTITY_COLUMNS)
    return {
        name: (column, "meV" if unit == "eV" else unit)
        for name, (column, unit) in found[0].items()
        if name in common
    }


def table(options: Sequence[Option], folder: Path, context: TaskContext) -> pd.DataFrame:
    """Return one row for each option and conformer, in the order of options and of rows.

    `used`: every option has every label of this conformer; statistics take these rows and no others. `entry` pairs
    the rows of one conformer. Energies in eV, `relative_energy_ev` to the mean over the used conformers of a
    molecule (null where it has one), dipoles in debye. Raises `InputError` if conformers cannot be paired.
    """
    parts = []
    by_rows = len({_source(option) for option in options}) == 1
    for option in options:
        dataset = opened(option, folder, context)
        columns = [name for name in _COLUMNS if name in dataset.schema.names]
        columns += [name for name, _ in scalar_properties(dataset.schema).values() if name not in columns]
        part = dataset.to_table(columns).select(columns).to_pandas()
        part.insert(0, "option", option.label)
        part.insert(1, "entry", part["row_id"] if by_rows else _pairing(part, option))
        parts.append(part)
    whole = pd.concat(parts, ignore_index=True)
    good = (whole["status"] == "ok") & whole[list(LABELS)].notna().all(axis=1)
    counts = whole[good].groupby("entry")["option"].nunique()
    whole["used"] = whole["entry"].isin(counts.index[counts == len(options)])
    if not by_rows:
        whole["molecule"] = pd.factorize(_molecule_name(whole))[0]
    mean = whole[whole["used"]].groupby(["option", "molecule"])["energy_ev"].transform("mean")
    several = whole[whole["used"]].groupby(["option", "molecule"])["energy_ev"].transform("size") > 1
    whole["relative_energy_ev"] = (whole.loc[mean.index, "energy_ev"] - mean).where(several)
    return whole


def _source(option: Option) -> str:
    return repr(
        sorted({**option.rows, "molecules": option.dataset["molecules"]}.items(), key=lambda item: item[0])
    )


def _molecule_name(part: pd.DataFrame) -> pd.Series:
    name = part["smiles"].fillna(part["input_smiles"])
    return name.where(name.astype(bool), part["name"]) if "name" in part else name


def _pairing(part: pd.DataFrame, option: Option) -> pd.Series:
    """Where options have geometries of their own, the molecule and the number of the conformer pair them."""
    key = _molecule_name(part).astype(str) + " #" + part["conformer"].fillna(-1).astype(int).astype(str)
    readable = part["conformer"].notna()
    twice = key[readable & key.duplicated()]
    if len(twice):
        raise InputError(
            f"{KEY}.molecules: option {option.label!r} has several rows for {twice.iloc[0]!r}; options with geometries "
            "of their own are paired by molecule and conformer, so each may occur once"
        )
    return key


def cost(options: Sequence[Option], folder: Path, context: TaskContext) -> pd.DataFrame:
    """Return a row for each option: planned rows, rows by status, mean iterations, labels a second, seconds a label.

    `labels_per_second` is of one worker, all in, as the dataset's commits have it. `seconds_per_label` sums the
    stages of its clock without compiling, starting, embedding and writing: it counts every thread.
    """
    out = []
    for option in options:
        dataset = opened(option, folder, context)
        summary = dataset.summary()
        rows = dataset.filter("ok").to_table(["iterations", "rung"]).to_pandas()
        stages = {k: v for k, v in summary["worker_seconds"].items() if k not in _NOT_LABELS}
        statuses = summary["statuses"]
        n = statuses["ok"]
        out.append(
            {
                "option": option.label,
                "rows": dataset.planned,
                **{
                    status: summary["statuses"].get(status, 0)
                    for status in ("ok", "not_converged", "failed", "poison")
                },
                "convergence_rate": n / max(1, n + statuses["not_converged"]),
                "recovered": int((rows["rung"].fillna("") != "").sum()),
                "mean_iterations": float(rows["iterations"].mean()) if n else None,
                "labels_per_second": summary["labels_per_worker_second"],
                "seconds_per_label": sum(stages.values()) / n if n else None,
                "compile_seconds": summary["worker_seconds"].get("compile", 0.0),
            }
        )
    return pd.DataFrame(out)
