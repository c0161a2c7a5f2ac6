"""`scfx dataset plan`: make plans, and say what they will cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from scfx_dataset.estimate import Estimate
    from scfx_dataset.plan import Plan
    from scfx_dataset.task import DatasetTask

#: Rows timed by default: seconds of work, some 10 % of error.
_SAMPLE = 128


@click.command()
@click.argument("config", type=click.Path(dir_okay=False))
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, as in `scfx run`."
)
@click.option(
    "--sample", default=_SAMPLE, show_default=True, type=click.IntRange(min=0), help="Rows to time; 0: none."
)
@click.option(
    "--cores",
    multiple=True,
    type=click.IntRange(min=1),
    help="Say the wall-clock on so many cores (repeatable).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each task.")
def plan(config: str, overrides: tuple[str, ...], sample: int, cores: tuple[int, ...], as_json: bool) -> None:
    """Make the plan of every dataset task in CONFIG, then time a sample of its rows.

    Prints what became of every line, rows and shards, and core-hours, wall-clock and disk with 95 % error bars.
    """
    import scfx
    from scfx_dataset.solvers import available_cores
    from scfx_dataset.task import DatasetTask

    registry = scfx.Registry.discover()
    loaded = scfx.Config.load(config, overrides)
    tasks = [task for task in loaded.tasks(registry) if isinstance(task, DatasetTask)]
    if not tasks:
        raise scfx.ConfigError("task", f'{config!r} has no [[task]] with name = "dataset"')
    for task in tasks:
        context = scfx.TaskContext(loaded.scf, registry, None, config)
        made, created = task.plan(context)
        found = _estimate(task, made, context, sample) if sample else None
        ks = cores or (available_cores(), 64, 1024)
        if as_json:
            click.echo(json.dumps(_as_json(task, made, created, found, ks)))
            continue
        click.echo(
            f"{'planned' if created else 'already planned'}: {task.options.output} (plan {made.plan_id})"
        )
        for line in _lines(made, found, ks):
            click.echo(line)


def _estimate(task: DatasetTask, made: Plan, context: Any, sample: int) -> Estimate:
    from scfx_dataset.estimate import estimate
    from scfx_dataset.solvers import describe, make_solver

    elements = task.options.filters.atomic_numbers
    cost = describe(context.spec, context.registry, elements).cost
    assert cost is not None
    solver = make_solver(context.spec, 1, elements)
    return estimate(made, cost, solver, task.options.embedding, sample, context.spec.lane_width)


def _lines(made: Plan, found: Estimate | None, cores: tuple[int, ...]) -> list[str]:
    from scfx_dataset.estimate import as_text, clock

    counts, rows = made.counts, [shard.rows for shard in made.shards]
    kept = [_many(counts["molecules"], "molecule")]
    if counts["geometries"]:
        kept.append(_many(counts["geometries"], "geometry", "geometries"))
    left = {"duplicates": counts["duplicates"], **{f"filter {k}": n for k, n in counts["excluded"].items()}}
    out = ", ".join(f"{n:,} by {name}" for name, n in sorted(left.items()) if n and name != "duplicates")
    lines = [
        f"source      {_many(counts['lines'], 'record')} of {made.record['molecules']}: {' with '.join(kept)} kept",
        f"left out    {_many(counts['duplicates'], 'duplicate')}; {out or 'none by a filter'}"
        + (" (plan/excluded-*.parquet lists them)" if counts["duplicates"] or out else ""),
    ]
    if bad := counts["unreadable"]:
        lines.append(f"unreadable  {_many(bad, 'record')}: a failed row each, with the reason")
    size = f"{min(rows):,}" if min(rows) == max(rows) else f"{min(rows):,} to {max(rows):,}"
    lines += [
        f"rows        {counts['rows']:,} in {_many(len(rows), 'shard')} of {size} rows",
        f"model       {clock(made.record['model_core_seconds'])} on one core of the machine of docs/speed.md",
    ]
    return lines if found is None else [*lines, as_text(found, cores)]


def _many(n: int, thing: str, things: str = "") -> str:
    return f"{n:,} {thing if n == 1 else things or thing + 's'}"


def _as_json(
    task: DatasetTask, made: Plan, created: bool, found: Estimate | None, cores: tuple[int, ...]
) -> dict[str, Any]:
    from scfx_dataset.estimate import to_json

    return {
        "output": task.options.output,
        "plan_id": made.plan_id,
        "created": created,
        "counts": made.counts,
        "model_core_seconds": made.record["model_core_seconds"],
        "estimate": None if found is None else to_json(found, cores),
    }
