"""What happened lately, at a price that does not grow with how much did.

A window is looked at in parts. Of each, runs are counted as far as `COUNTED`, and what became of
the newest `LOOKED_AT` of them stands for the others.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain import windows
from scheduler.domain.counts import MOST, Count
from scheduler.domain.states import FINAL_RUNS, RunState
from scheduler.domain.windows import Part, Window
from scheduler.store import statistics
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

COUNTED = 10_000
LOOKED_AT = 500
WAITS_LOOKED_AT = 20
QUEUES = 50


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds."""

    p50: float
    p95: float
    max: float


@dataclass(slots=True)
class Tally:
    """What became of some runs."""

    runs: dict[RunState, float] = field(default_factory=lambda: defaultdict(float))
    duration: Spread | None = None
    wait: Spread | None = None

    @property
    def total(self) -> float:
        return sum(self.runs.values())

    @property
    def success_rate(self) -> float | None:
        """Of those that have ended; None if none has."""
        ended = sum(count for state, count in self.runs.items() if state in FINAL_RUNS)
        return self.runs[RunState.COMPLETED] / ended if ended else None


@dataclass(frozen=True, slots=True)
class Statistics:
    window: Window
    until: datetime
    parts: list[tuple[Part, int]]
    is_approximate: bool
    all: Tally
    types: dict[str, Tally]
    living: dict[RunState, Count]
    letters_open: Count
    letters_made: Count
    oldest: list[Row]


async def look(conn: Conn, window: Window) -> Statistics:
    now = await statistics.now(conn)
    parts = windows.parts(window, now)
    counts = await statistics.counts(conn, parts, COUNTED)
    tallies = await tallied(conn, parts, counts)
    living = await statistics.living(conn, MOST + 1)
    letters = await statistics.letters(conn, parts[0].start, MOST + 1)
    return Statistics(
        window=window,
        until=now,
        parts=list(zip(parts, counts, strict=True)),
        is_approximate=max(counts) > LOOKED_AT,
        all=tallies.pop(None, Tally()),
        types={name: tally for name, tally in tallies.items() if name is not None},
        living={RunState(state): Count.of(count) for state, count in living.items()},
        letters_open=Count.of(letters["open"]),
        letters_made=Count.of(letters["made"]),
        oldest=await statistics.oldest(conn, QUEUES),
    )


async def tallied(
    conn: Conn, parts: Sequence[Part], counts: Sequence[int]
) -> dict[str | None, Tally]:
    """By type; of None, all types together."""
    weights = [max(1.0, count / LOOKED_AT) for count in counts]
    tallies: dict[str | None, Tally] = defaultdict(Tally)
    for row in await statistics.ends(conn, parts, weights, LOOKED_AT):
        if row["state"] is None:
            tallies[row["type"]].duration = spread(row)
        else:
            for tally in (tallies[row["type"]], tallies[None]):
                tally.runs[RunState(row["state"])] += row["runs"]
    for row in await statistics.waits(conn, parts, WAITS_LOOKED_AT):
        tallies[row["type"]].wait = spread(row)
    return dict(tallies)


def spread(row: Row) -> Spread | None:
    if row["longest"] is None:
        return None
    middle, most = row["seconds"]
    return Spread(middle, most, row["longest"])
