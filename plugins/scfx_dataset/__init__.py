"""Datasets of labels: SMILES to conformers to SCF results to committed Parquet shards, and their reader.

Only hook implementations and `open` live here: RDKit, pyarrow and matplotlib are imported when a dataset is made or
read, so that listing plugins stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import scfx

if TYPE_CHECKING:
    import os

    from scfx_dataset.reader import Dataset

__all__ = ["open"]


def open(path: str | os.PathLike[str]) -> Dataset:
    """Open the dataset in a folder for reading. Only committed rows are seen. See `scfx_dataset.reader.Dataset`.

    Raises `scfx.InputError` if the folder holds no dataset or its plan is damaged.
    """
    from scfx_dataset.reader import Dataset

    return Dataset(path)


@scfx.hookimpl
def scfx_register_tasks() -> list[scfx.Offer]:
    """Offer the task `dataset`."""
    return [
        scfx.Offer(
            "dataset",
            "scfx_dataset.task:DatasetTask",
            summary="SMILES -> ETKDGv3 conformers -> SCF labels -> Parquet; resumable, no row is lost",
            requires=("rdkit", "pyarrow"),
        )
    ]


@scfx.hookimpl
def scfx_register_labels() -> list[scfx.Offer]:
    """Offer datasets of this package to tasks that need labels."""
    return [
        scfx.Offer(
            "dataset",
            "scfx_dataset.labels:DatasetLabels",
            summary="datasets in committed Parquet shards, made and read for other tasks",
            requires=("rdkit", "pyarrow"),
        )
    ]


@scfx.hookimpl
def scfx_register_executors() -> list[scfx.Offer]:
    """Offer the executors `local` and `ray`."""
    return [
        scfx.Offer(
            "local",
            "scfx.jobs.local:LocalExecutor",
            summary="worker processes on this machine, threads pinned",
        ),
        scfx.Offer(
            "ray",
            "scfx.jobs.ray_executor:RayExecutor",
            summary="actors of a Ray cluster: one that is given, or one of this machine's cores",
            requires=("ray",),
        ),
    ]


@scfx.hookimpl
def scfx_register_commands(group: Any) -> None:
    """Offer the commands `scfx dataset ...`."""
    from scfx_dataset.commands import dataset

    group.add_command(dataset)
