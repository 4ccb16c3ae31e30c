"""What Prometheus reads: the state of the engine, and of this server."""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from psycopg import AsyncConnection

from scheduler.api.access import GuardedRoute
from scheduler.api.documents import Responses, problems
from scheduler.api.measures import Sample, counter, gauge, histogram
from scheduler.api.state import Server, TheServer
from scheduler.domain.states import LIVING_RUNS, AttemptState
from scheduler.store import metrics, queues

router = APIRouter(tags=["health"], route_class=GuardedRoute)

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TEXT: Responses = {
    200: {
        "description": "The text format of Prometheus, version 0.0.4.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


@router.get("/metrics", response_class=PlainTextResponse, responses=TEXT | problems())
async def get_metrics(server: TheServer) -> PlainTextResponse:
    """What there is to watch, for Prometheus."""
    async with server.connection() as conn:
        lines = [*await of_engine(conn), *of_server(server)]
    return PlainTextResponse("\n".join(lines) + "\n", media_type=MEDIA_TYPE)


async def of_engine(conn: AsyncConnection[Any]) -> list[str]:
    rows = await queues.all(conn)
    lags = await metrics.lags(conn)
    leases = await metrics.leases(conn)
    return [
        *gauge(
            "procession_runs",
            "Runs that have not ended, by state.",
            by("state", LIVING_RUNS, await metrics.living_runs(conn)),
        ),
        *gauge(
            "procession_attempts_recent",
            "Attempts that ended in the last five minutes, by how.",
            by("state", set(AttemptState) - {"STARTED"}, await metrics.recent_attempts(conn)),
        ),
        *gauge(
            "procession_dead_letters",
            "Tasks that gave up and wait for a decision.",
            [({}, await metrics.open_letters(conn))],
        ),
        *gauge(
            "procession_tasks_ready",
            "Tasks that wait for a worker, by queue.",
            [({"queue": row["name"]}, row["ready"]) for row in rows],
        ),
        *gauge(
            "procession_tasks_in_hand",
            "Tasks that somebody carries out, by queue.",
            [({"queue": row["name"]}, row["in_hand"]) for row in rows],
        ),
        *gauge(
            "procession_tasks_limited",
            "Tasks that wait for a place under a limit, by queue.",
            [({"queue": row["name"]}, row["limited"]) for row in rows],
        ),
        *gauge(
            "procession_queue_paused",
            "1 for a queue that is paused.",
            [({"queue": row["name"]}, int(bool(row["paused_at"]))) for row in rows],
        ),
        *gauge(
            "procession_loop_lag_seconds",
            "For how long the oldest thing that a loop should do has been due.",
            [({"loop": loop}, lag) for loop, lag in lags.items()],
        ),
        *gauge(
            "procession_lease_seconds",
            "Until the lease of a worker ends; below zero it is late.",
            [({"worker": row["name"], "state": row["state"]}, row["seconds"]) for row in leases],
        ),
        *gauge(
            "procession_worker_slots",
            "How many tasks a worker takes at once.",
            [({"worker": row["name"]}, row["slots"]) for row in leases],
        ),
    ]


def of_server(server: Server) -> Iterator[str]:
    requests = server.requests
    yield from counter(
        "procession_requests_total",
        "Requests that this server answered, by operation and status.",
        [
            ({"operation": operation, "status": status}, count)
            for (operation, status), count in sorted(requests.answers.items())
        ],
    )
    yield from histogram(
        "procession_request_duration_seconds",
        "Until the answer began, by operation.",
        requests.durations,
    )
    yield from gauge(
        "procession_followers", "Streams that this server feeds.", [({}, len(server.hub))]
    )


def by(label: str, known: set[Any] | frozenset[Any], counts: Mapping[str, int]) -> list[Sample]:
    """A line for each that could be, so that none comes and goes."""
    return [({label: str(each)}, counts.get(each, 0)) for each in sorted(known)]
