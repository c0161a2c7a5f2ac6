"""`scfx dataset ...`. Heavy imports are in the callbacks: listing the commands must stay fast."""

from __future__ import annotations

import json
from typing import Any

import click

from scfx_dataset.export_command import export
from scfx_dataset.plan_command import plan
from scfx_dataset.report_command import report


@click.group()
def dataset() -> None:
    """Plan, look at and check datasets of labels.

    A dataset is made by `scfx run config.toml` with a [[task]] whose name is "dataset"; running it again resumes it.
    """


dataset.add_command(plan)
dataset.add_command(export)
dataset.add_command(report)


@dataset.command("run")
@click.argument("config", type=click.Path(dir_okay=False))
@click.option(
    "--shard", metavar="I/N", help="Only part I (from 0) of N of the shards, for an array of batch jobs."
)
@click.option("--executor", help='Who runs the attempts: "local", "ray"...')
@click.option("--workers", type=int, help="Worker processes; 0: one for each core.")
@click.option(
    "--continue-with-other-versions",
    is_flag=True,
    default=None,
    help="Go on although other versions of packages made the rows that are there.",
)
@click.option("--progress", type=click.Choice(["auto", "rich", "plain", "json", "quiet"]))
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, as in `scfx run`."
)
def run_(config: str, overrides: tuple[str, ...], shard: str | None, **changes: Any) -> int:
    """Run the dataset tasks of CONFIG: as `scfx run`, with the options that differ from job to job.

    All parts write to one output, and each may be run again, moved or doubled without harm: what is committed is not
    computed again. Make the plan first (`scfx dataset plan`), or every part makes it for itself.
    """
    import scfx
    from scfx_dataset.task import DatasetTask

    registry = scfx.Registry.discover()
    changed = {"part": shard, **changes}
    numbers = [
        i for i, task in enumerate(scfx.Config.load(config, overrides).task) if task.get("name") == "dataset"
    ]
    if not numbers:
        raise scfx.ConfigError("task", f'{config!r} has no [[task]] with name = "dataset"')
    values = {k: "true" if value is True else value for k, value in changed.items() if value is not None}
    given = [f"task.{i}.{key}={value}" for i in numbers for key, value in values.items()]
    loaded = scfx.Config.load(config, (*overrides, *given))
    tasks = [task for task in loaded.tasks(registry) if isinstance(task, DatasetTask)]
    return max(task.run(scfx.TaskContext(loaded.scf, registry, None, config)) for task in tasks)


@dataset.command()
@click.argument("path", type=click.Path(file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def summary(path: str, as_json: bool) -> None:
    """Rows by status, gap statistics, speed and time by stage of the dataset in PATH."""
    import scfx_dataset
    from scfx_dataset.summary import as_text

    found = scfx_dataset.open(path).summary()
    click.echo(json.dumps(found, indent=2) if as_json else as_text(found))


@dataset.command()
@click.argument("path", type=click.Path(file_okay=False))
@click.option(
    "--drop-damaged", is_flag=True, help="Take back the commits of damaged shards: a run makes them again."
)
@click.option(
    "--sample",
    default=8,
    show_default=True,
    type=click.IntRange(min=0),
    help="Rows to compute again with libcint in float64; 0: only read.",
)
@click.option("--seed", default=0, show_default=True, help="Which rows the sample has.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(path: str, drop_damaged: bool, sample: int, seed: int, as_json: bool) -> None:
    """Read everything in PATH and compare it with the plan and the commits; compute a random sample of labels again.

    Checked are the checksums of plan and shards, the columns, and that the rows are the planned ones, each once. The
    sample is compared within the bounds of the precision policy; of rows with forces, one component of each is also
    compared with differences of the energy. Exit code 1: something is wrong.
    """
    import scfx_dataset
    from scfx.jobs.commits import drop_damaged as drop

    opened = scfx_dataset.open(path)
    problems = opened.verify()
    dropped = drop(opened.plan, opened.problem_of) if problems and drop_damaged else 0
    compared = None
    if not problems and sample:
        from scfx_dataset.verify import recompute

        compared = recompute(opened, sample, seed)
        problems += compared.problems()
    planned = opened.plan.counts["rows"]
    found = {
        "rows": len(opened),
        "planned": planned,
        "complete": opened.complete,
        "problems": problems,
        "dropped": dropped,
        "sample": None if compared is None else compared.as_dict(),
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for problem in problems:
            click.echo(problem, err=True)
        if dropped:
            click.echo(f"took back {dropped} commits; run the same configuration again to compute them")
        if compared is not None:
            click.echo(_compared(found["sample"]))
    if problems:
        click.get_current_context().exit(1)
    if not as_json:
        click.echo(f"{len(opened)} committed rows of {planned} planned: all checksums agree")


def _compared(sample: dict[str, Any]) -> str:
    mean, largest, bound = (sample[key] for key in ("mean_absolute_mev", "largest_mev", "bound_mev"))
    each = ", ".join(
        f"{name} {mean[name]:.4f} / {largest[name]:.4f} (bound {bound[name]:g})"
        for name in mean
        if mean[name] is not None
    )
    lines = [f"{sample['rows']} rows computed again, mean / largest difference in meV: {each}"]
    if forces := sample["forces"]:
        mean, largest, by_energy = (
            "none" if forces[key] is None else f"{forces[key]:.4g}"
            for key in (
                "mean_absolute_mev_per_angstrom",
                "largest_mev_per_angstrom",
                "from_energies_mev_per_angstrom",
            )
        )
        lines.append(
            f"forces of {forces['rows']} rows ({forces['rows_without']} have none), meV/angstrom: {mean} / {largest}; "
            f"one component of each against differences of the energy (step {forces['step_bohr']} bohr): largest "
            f"{by_energy}; a row may be off by {forces['allowed_mev_per_angstrom']:.4g}"
        )
    return "\n".join(lines)


@dataset.command()
@click.argument("path", type=click.Path(file_okay=False))
@click.option(
    "--write",
    is_flag=True,
    help="Also write README.md, summary.json, failures.parquet, gaps.png, forces.png.",
)
def card(path: str, write: bool) -> None:
    """Print the dataset card (Hugging Face layout) of the dataset in PATH."""
    import scfx_dataset
    from scfx.jobs.stores import open_store
    from scfx_dataset.report import card as make_card
    from scfx_dataset.report import write_report

    opened = scfx_dataset.open(path)
    found = opened.summary()
    click.echo(make_card(opened, found, bool(found["gap_ev"]["n"])))
    if write:
        write_report(opened, open_store(path), found)


@dataset.command()
@click.argument("path")
def compact(path: str) -> None:
    """Copy all commit records of PATH to one file, commits.parquet, which readers then use.

    For datasets of many thousands of shards. The records stay, and only they say what is committed.
    """
    import scfx_dataset
    from scfx.jobs.commits import compact as write

    click.echo(f"compacted {write(scfx_dataset.open(path).plan)} commit records")
