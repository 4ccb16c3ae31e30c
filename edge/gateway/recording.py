"""What a workstation's word makes of runs: results recorded, attempts given back, lost, or kept.

Everything of one frame is recorded in the transaction of that frame: runs are locked by id, plain
successes go the short way, and the rest is judged.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from psycopg import AsyncConnection

from edge.desk import HandedBack, Lost, Orphaned, Recorded
from edge.gateway import bounds
from edge.messages import Ended, Refusal
from executor.base import Ending, Outcome
from scheduler.domain import places
from scheduler.domain.board import Board
from scheduler.domain.places import Station
from scheduler.domain.wakes import Wake
from scheduler.services.catalog import Catalog
from scheduler.services.judging import judge
from scheduler.store import runs, tasks, workstations
from scheduler.store.tasks import Success
from scheduler.store.workstations import Key

Conn = AsyncConnection[Any]
Verdict: TypeAlias = Recorded | HandedBack | Lost | Orphaned

LONGEST_ERROR = 2_000
HIGHEST = 2**31 - 1
ENDINGS = frozenset(each.value for each in Ending)
FOR_GOOD = frozenset({Refusal.POLICY, Refusal.UNABLE})


@dataclass(frozen=True, slots=True)
class Closing:
    """An attempt of a workstation that comes to an end, and how."""

    run: UUID
    key: Key
    verdict: Verdict
    at: datetime | None = None  # when it ended, if that was long before it was told


async def record(
    conn: Conn, catalog: Catalog, holder: int, name: str, closings: Sequence[Closing]
) -> Wake:
    """The workstation's row is locked by the caller, and no run is."""
    wake = Wake()
    if not closings:
        return wake
    await runs.lock(conn, sorted({each.run for each in closings}))
    plain = [each for each in closings if is_plain(each.verdict)]
    closed = await record_plain(conn, holder, plain, wake) if plain else frozenset()
    rest = [each for each in closings if not (is_plain(each.verdict) and each.key[0] in closed)]
    if rest:
        wake.merge(await record_judged(conn, catalog, holder, name, rest))
    return wake


def is_plain(verdict: Verdict) -> bool:
    return isinstance(verdict, Recorded) and outcome_of(verdict.ended).ending is Ending.SUCCEEDED


async def record_plain(
    conn: Conn, holder: int, closings: Sequence[Closing], wake: Wake
) -> frozenset[int]:
    done = await tasks.record(conn, holder, [as_success(each) for each in closings])
    wake.add(
        runs=(each.run for each in closings if each.key[0] in done.closed),
        queues=done.readied,
        due=bool(done.unsettled or done.limited or done.freed),
    )
    return done.closed


def as_success(closing: Closing) -> Success:
    assert isinstance(closing.verdict, Recorded)
    outcome = outcome_of(closing.verdict.ended)
    detail = None if outcome.detail is None else json.dumps(outcome.detail)
    code, output = outcome.exit_code, outcome.output
    return Success(closing.run, *closing.key, code, output, detail, closing.at)


async def record_judged(
    conn: Conn, catalog: Catalog, holder: int, name: str, closings: Sequence[Closing]
) -> Wake:
    by_run: dict[UUID, list[Closing]] = {}
    for each in closings:
        by_run.setdefault(each.run, []).append(each)

    others = await elsewhere(conn, closings)

    def decide(board: Board) -> None:
        for each in by_run[board.run.id]:
            if each.key[0] in board.by_id:
                close(board, each, holder, name, others)

    return await judge(conn, catalog, sorted(by_run), decide, by=f"workstation {name}")


async def elsewhere(conn: Conn, closings: Sequence[Closing]) -> list[Station]:
    """Where what is refused here may go instead; asked for only if something is."""
    verdicts = [each.verdict for each in closings]
    if not any(isinstance(each, HandedBack) and each.refusal in FOR_GOOD for each in verdicts):
        return []
    rows = await workstations.accepted(conn)
    return [
        Station(row["name"], places.labels_of(row["labels"], row["told_labels"])) for row in rows
    ]


def close(
    board: Board, closing: Closing, holder: int, name: str, others: Sequence[Station]
) -> None:
    task, attempt = closing.key
    match closing.verdict:
        case Recorded(ended):
            outcome = replace(outcome_of(ended), ended_at=closing.at)
            refused_by = name if ended.detail.get("refused") else None
            if not board.record(task, attempt, holder, outcome, refused_by):
                board.late(task, attempt, outcome, station=name)
        case Lost(_, why):
            board.record(task, attempt, holder, lost(why))
        case HandedBack() as back:
            hand_back(board, closing.key, holder, name, back, others)
        case Orphaned(ended):  # for people to see, and more than that where they said so
            board.late(task, attempt, outcome_of(ended), station=name)


def hand_back(
    board: Board,
    key: Key,
    holder: int,
    name: str,
    back: HandedBack,
    others: Sequence[Station],
) -> None:
    task, attempt = key
    why = back.why[:LONGEST_ERROR]
    match back.refusal:
        case Refusal.POLICY | Refusal.UNABLE:
            board.refuse(task, attempt, holder, station=name, why=why, others=others)
        case Refusal.EXPIRED:
            outcome = Outcome(ending=Ending.FAILED, counted=False, retryable=False, error=why)
            board.record(task, attempt, holder, outcome)
        case _:
            board.hand_back(task, attempt, holder)


def lost(why: str) -> Outcome:
    return Outcome(ending=Ending.LOST, counted=False, error=why)


def outcome_of(ended: Ended) -> Outcome:
    """What an executor here would have said. Who says it may be anybody, so nothing is believed
    that the database could not hold."""
    ending = Ending(ended.ending) if ended.ending in ENDINGS else Ending.FAILED
    output = None if ended.output is None else json.dumps(ended.output, ensure_ascii=False)
    return Outcome(
        ending=ending,
        counted=ended.counted,
        exit_code=exit_code(ended),
        error=ended.error and ended.error[:LONGEST_ERROR],
        retryable=ended.retryable and ended.ending in ENDINGS and ending is not Ending.LOST,
        output=output,
        detail=detail_of(ended),
    )


def detail_of(ended: Ended) -> dict[str, Any] | None:
    """With how much it printed: until so much is stored, more of it may come."""
    printed = {"printed": ended.printed} if ended.printed else {}
    return {**(bounds.detail(ended.detail) or {}), **printed} or None


def exit_code(ended: Ended) -> int | None:
    return ended.exit_code if ended.exit_code is None or ended.exit_code <= HIGHEST else None


def progress_of(ended: Iterable[tuple[Key, Ended]]) -> dict[Key, Any]:
    """The last that attempts told of themselves, which goes along with their results."""
    said = ((key, bounds.progress(each.detail.get("progress"))) for key, each in ended)
    return {key: value for key, value in said if value}
