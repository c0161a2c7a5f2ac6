"""Finding the items that kill: a shard whose workers died is bisected, each part alone in a process that may die.

A dead worker proves nothing about an item. Its row becomes `poison` only if

- its process died, or passed a stated limit, `max_deaths` times while the item was alone in it,
- no other work of this run went on beside it,
- and some other item was computed in the same way, so that it is not the machine that fails.

Deaths that were asked for (SIGTERM: preemption) or came before the work began are not counted.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from scfx.contracts.executor import Outcome, Probe
from scfx.contracts.work import Attempt
from scfx.errors import InputError, ScfxError
from scfx.jobs.attempt import commit_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from scfx.contracts.work import AbstractWork, Row
    from scfx.jobs.plan import AbstractPlan, Shard

#: Deaths that do not count, over one shard, after which the run stops: something keeps ending its processes.
MOST_UNCHARGED = 20


class Quarantine:
    """Settles shards that kill their workers.

    `alone(probes)` is the executor's: one outcome per probe, the next one asked for after it. `say` tells people.
    """

    def __init__(
        self,
        plan: AbstractPlan,
        work: AbstractWork,
        alone: Callable[[Iterable[Probe]], Iterator[Outcome]],
        max_deaths: int,
        say: Callable[[str], None],
    ):
        self._plan = plan
        self._work = work
        self._alone = alone
        self._max_deaths = max_deaths
        self._say = say

    def settle(self, shard: Shard, anything_worked: bool) -> Outcome | None:
        """Commit the shard with its poison rows named; None if every item that needs work died, which blames none.

        `anything_worked`: this run has computed some row already. Raises `ScfxError` for faults of the machine,
        `InputError` for those of the configuration.
        """
        began = time.perf_counter()
        items = self._plan.items(shard)
        attempt = Attempt(self._plan, shard, self._work.versions())
        rows: dict[int, Row] = {}
        for place, item in enumerate(items):
            row = self._work.settled(item, attempt)
            if row is not None:
                rows[place] = row
        found, poison = self._bisect(
            shard, items, [place for place in range(len(items)) if place not in rows]
        )
        if not (anything_worked or any(row["status"] in ("ok", "not_converged") for row in found.values())):
            return None
        rows |= found
        rows |= {place: self._work.poison(items[place], why, attempt) for place, why in poison.items()}
        attempt.seconds["quarantine"] = time.perf_counter() - began
        return commit_rows(self._work, [rows[place] for place in range(len(items))], attempt, began)

    def _bisect(
        self, shard: Shard, items: Sequence[Any], suspects: list[int]
    ) -> tuple[dict[int, Row], dict[int, str]]:
        """(computed rows, reasons of the poison rows), both by place in the shard."""
        todo = [tuple(suspects)] if suspects else []
        found: dict[int, Row] = {}
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
                assert outcome.tried is not None
                found |= dict(zip(trial, outcome.tried, strict=True))
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
                [place] = list(trial)
                deaths[place] += 1
                self._say(
                    f"shard {shard.id}, {self._work.name_of(items[place], place)} alone: {outcome.message}; death "
                    f"{deaths[place]} of {self._max_deaths}"
                )
                if deaths[place] < self._max_deaths:
                    todo.append(trial)
                else:
                    times = f"{deaths[place]} times of {deaths[place]}"
                    poison[place] = f"alone in a process, {times}: {outcome.message}"
        return found, poison
