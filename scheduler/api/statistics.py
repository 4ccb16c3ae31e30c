"""What happened lately, in figures."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.models import Outward, Time
from scheduler.api.state import Conn
from scheduler.domain.states import RunState
from scheduler.domain.windows import PARTS, Window
from scheduler.services import statistics
from scheduler.services.statistics import Tally

router = APIRouter(tags=["health"], route_class=GuardedRoute)

MOST_TYPES = 100


class Spread(BaseModel):
    """In seconds."""

    model_config = ConfigDict(from_attributes=True)

    p50: float
    p95: float
    max: float


class TypeStatistics(BaseModel):
    """The runs of one process type that began in the window."""

    type: str
    runs: dict[RunState, int] = Field(description="How many are in each state now.")
    total: int
    success_rate: float | None = Field(description="Of those that ended; null if none did.")
    duration: Spread | None = Field(description="From the start to the end.")
    wait: Spread | None = Field(description="From the start until a task was claimed.")


class Bucket(BaseModel):
    """A part of the window."""

    since: Time
    started: int = Field(description="Runs that began in it; counting ends at 10,000.")


class DeadLetterStatistics(BaseModel):
    open: int
    open_is_capped: bool = Field(description="There are more than `open` says.")
    made: int = Field(description="In the window; counting ends at 10,000.")


class OldestReady(Outward):
    """What has been READY longest in a queue."""

    queue: str
    run: UUID
    type: str
    task: str
    run_created_at: Time


class Statistics(BaseModel):
    """What became of the runs that began in a window."""

    window: Window
    since: Time
    until: Time
    runs: dict[RunState, int] = Field(description="How many are in each state now.")
    total: int
    success_rate: float | None = Field(description="Of those that ended; null if none did.")
    duration: Spread | None = Field(description="From the start to the end.")
    wait: Spread | None = Field(description="From the start until a task was claimed.")
    is_approximate: bool = Field(
        description="There were so many that some stand for others: 500 of each bucket."
    )
    types: list[TypeStatistics] = Field(description="The hundred with the most runs.")
    bucket_seconds: int
    buckets: list[Bucket] = Field(description="The oldest first.")
    living: dict[RunState, int] = Field(
        description="Runs that have not ended, whenever they began; counting ends at 10,000."
    )
    dead_letters: DeadLetterStatistics
    oldest_ready: list[OldestReady] = Field(description="One for each queue, the oldest first.")


@router.get("/statistics", responses=problems(422))
async def get_statistics(
    conn: Conn,
    window: Annotated[Window, Query(description="How far it looks back.")] = Window.DAY,
) -> Statistics:
    """Say what became of the runs of the last hour, day or week.

    Its price does not grow with how much happened: where more than 500 runs began in a bucket, the
    newest 500 stand for all of it, and `is_approximate` says so. Buckets go by the time in the ids
    of runs; waits are those of the newest 20 of each bucket.
    """
    found = await statistics.look(conn, window)
    _, length = PARTS[window]
    largest = sorted(found.types.items(), key=lambda each: (-each[1].total, each[0]))
    return Statistics(
        window=window,
        since=found.parts[0][0].start,
        until=found.until,
        **told(found.all),
        is_approximate=found.is_approximate,
        types=[TypeStatistics(type=name, **told(tally)) for name, tally in largest[:MOST_TYPES]],
        bucket_seconds=int(length.total_seconds()),
        buckets=[Bucket(since=part.start, started=count) for part, count in found.parts],
        living={state: count.number for state, count in found.living.items()},
        dead_letters=DeadLetterStatistics(
            open=found.letters_open.number,
            open_is_capped=found.letters_open.is_capped,
            made=found.letters_made.number,
        ),
        oldest_ready=[OldestReady.model_validate(row) for row in found.oldest],
    )


def told(tally: Tally) -> dict[str, Any]:
    """Parts that stand for others are rounded when all is added up."""
    return {
        "runs": {state: round(tally.runs.get(state, 0.0)) for state in RunState},
        "total": round(tally.total),
        "success_rate": tally.success_rate,
        "duration": spread(tally.duration),
        "wait": spread(tally.wait),
    }


def spread(found: statistics.Spread | None) -> Spread | None:
    return Spread.model_validate(found) if found else None
