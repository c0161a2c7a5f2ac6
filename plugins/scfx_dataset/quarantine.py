"""Finding the rows that kill: a shard whose workers died is bisected, each part alone in a process that may die.

A dead worker proves nothing about a row. A row becomes `poison` only if

- its process died, or passed a stated limit, `max_deaths` times while the row was alone in it,
- no other work of this run went on beside it,
- and some other row was computed in the same way, so that it is not the machine that fails.

Deaths that were asked for (SIGTERM: preemption) or came before the work began are not counted.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from scfx.errors import InputError, ScfxError
from scfx_dataset.attempt import Outcome, Probe, commit_rows
from scfx_dataset.label import blank_row
from scfx_dataset.plan import current_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from scfx_dataset.plan import Plan, Shard

#: Deaths that do not count, over one shard, after which the run stops: something keeps ending its processes.
MOST_UNCHARGED = 20


class Quarantine:
    """Settles shards that kill their workers.

    `alone(probes)` is the executor's: one outcome per probe, the next one asked for after it. `say` tells people.
    """

    def __init__(
        self,
        plan: Plan,
        alone: Callable[[Iterable[Probe]], Iterator[Outcome]],
        max_deaths: int,
        say: Callable[[str], None],
    ):
        self._plan = plan
        self._alone = alone
        self._max_deaths = max_deaths
        self._say = say

    def settle(self, shard: Shard, anything_worked: bool) -> Outcome | None:
        """Commit the shard with its poison rows named; None if every row with a geometry died, which blames none.

        `anything_worked`: this run has computed some label already. Raises `ScfxError` for faults of the machine,
        `InputError` for those of the configuration.
        """
        began = time.perf_counter()
        planned = self._plan.rows(shard).to_pylist()
        versions = current_versions()
        identity = {**self._plan.identity, "versions": versions}
        rows = {row["row_id"]: blank_row(row, identity) for row in planned}
        suspects = [row_id for row_id, row in rows.items() if not row["status"]]
        found, poison = self._bisect(shard, suspects)
        if not (anything_worked or any(row["status"] in ("ok", "not_converged") for row in found.values())):
            return None
        for row_id, reason in poison.items():
            rows[row_id] |= {"status": "poison", "reason": reason}
        rows |= found
        table = pa.Table.from_pylist([rows[row["row_id"]] for row in planned], schema=self._plan.schema)
        seconds = {"quarantine": time.perf_counter() - began}
        return commit_rows(self._plan, shard, table, seconds, began, versions)

    def _bisect(self, shard: Shard, suspects: list[int]) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
        """(computed rows by row_id, reasons of the poison rows by row_id)."""
        todo = [tuple(suspects)] if suspects else []
        found: dict[int, dict[str, Any]] = {}
        poison: dict[int, str] = {}
        deaths: Counter[int] = Counter()
        uncharged = 0
        current: list[tuple[int, ...]] = []

        def probes() -> Iterator[Probe]:
            while todo:
                current[:] = [todo.pop()]
                yield Probe(shard.index, current[0])

        for outcome in self._alone(probes()):
            trial = current[0]
            if outcome.state == "tried":
                assert outcome.table is not None
                found |= {row["row_id"]: row for row in outcome.table.to_pylist()}
            elif outcome.state == "error":
                raise (InputError if outcome.bad_input else ScfxError)(f"shard {shard.id}: {outcome.message}")
            elif not outcome.charged:
                uncharged += 1
                if uncharged >= MOST_UNCHARGED:
                    raise ScfxError(
                        f"shard {shard.id}: {outcome.message}, {uncharged} times: something keeps ending the "
                        "processes of this run, or they cannot start. No row is blamed for it"
                    )
                todo.append(trial)
            elif len(trial) > 1:
                half = len(trial) // 2
                todo += [trial[half:], trial[:half]]
            else:
                [row_id] = list(trial)
                deaths[row_id] += 1
                self._say(
                    f"shard {shard.id}, row {row_id} alone: {outcome.message}; death {deaths[row_id]} of "
                    f"{self._max_deaths}"
                )
                if deaths[row_id] < self._max_deaths:
                    todo.append(trial)
                else:
                    times = f"{deaths[row_id]} times of {deaths[row_id]}"
                    poison[row_id] = f"alone in a process, {times}: {outcome.message}"
        return found, poison
