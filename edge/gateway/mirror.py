"""What a workstation tells of its own runs, as rows here: shown like all others, decided there.

Whoever tells may be anybody with the workstation's key, so nothing is believed but what concerns
runs of its own: what cannot be stored, or is somebody else's, is passed over, and said in the log.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from psycopg import AsyncConnection, DataError, IntegrityError

from edge import attempts
from edge.attempts import Own
from edge.desk import Hand, Stage
from edge.messages import File, Frame, Happened, Item, Log, RunTold, Ticked
from scheduler.domain.board import Attempt, Event
from scheduler.domain.errors import Refusal
from scheduler.domain.events import NewEvent
from scheduler.domain.states import AttemptState
from scheduler.domain.values import refuse_unstorable
from scheduler.domain.wakes import Wake
from scheduler.services import events
from scheduler.store import boards, mirrors
from scheduler.store.rows import Row
from scheduler.store.workstations import Key

log = logging.getLogger(__name__)
Conn = AsyncConnection[Any]
Told: TypeAlias = RunTold | Happened | Ticked
TOLD = (RunTold, Happened, Ticked)

WRONG = (Refusal, DataError, IntegrityError, ArithmeticError, KeyError, TypeError, ValueError)
LONGEST_ERROR = 2_000
LAST_MOMENT = 253_000_000_000.0
LATE = 1.0  # seconds that its clock is wrong, below which it is the way of its words


async def hear(conn: Conn, station: Row, told: Sequence[Told]) -> Wake:
    """In the order in which it was said, each by itself: one that is wrong spoils no other."""
    wake = Wake()
    for each in told:
        try:
            async with conn.transaction():
                wake.merge(await one(conn, station, each))
        except WRONG as error:
            log.warning(
                "what a workstation tells cannot be kept",
                extra={"workstation": station["name"], "error": str(error)[:300]},
            )
    return wake


async def one(conn: Conn, station: Row, told: Told) -> Wake:
    match told:
        case RunTold():
            return await run(conn, station, told)
        case Happened():
            return await happened(conn, station, told)
        case Ticked():
            return await ticked(conn, station, told)


def queue_of(station: Row) -> str:
    """Nobody serves it: no workstation is called like that, and no queue of people."""
    return f"ws:{station['name']}:own"


# Runs.


async def run(conn: Conn, station: Row, told: RunTold) -> Wake:
    id, ahead = UUID(told.run), ahead_of(station)
    row = parsed(told.row)
    if not await mirrors.put_run(conn, station["id"], await run_row(conn, station, id, row)):
        raise ValueError(f"run {id} is not this workstation's, or its type is not known here")
    tasks = [task_row(parsed(text), ahead) for text in told.tasks]
    if tasks:
        holder = station["holder"]
        await mirrors.put_tasks(conn, id, tasks, queue=queue_of(station), holder=holder)
        await mirrors.put_hands(conn, station["id"], id, [each["position"] for each in tasks])
    await write_rest(conn, station, id, told)
    wake = Wake()
    wake.add(runs=[id])
    return wake


async def run_row(conn: Conn, station: Row, id: UUID, row: Row) -> Row:
    parent_run, parent_task = await parent(conn, station, row)
    ahead = ahead_of(station)
    return {
        **row,
        **dated(row, ahead),
        "id": str(id),
        "parent_run": str(parent_run) if parent_run else None,
        "parent_task": parent_task,
        "error": short(row.get("error")),
        "triggered_by": f"workstation {station['name']}, {row['triggered_by']}"[:500],
        "created_at": moment(row["created_at"] + ahead).isoformat(),
    }


async def parent(conn: Conn, station: Row, row: Row) -> tuple[UUID | None, int | None]:
    """The task that the run was handed over for, or the one that started it there."""
    if row.get("attempt"):
        task, _, number = str(row["attempt"]).partition(".")
        found = await mirrors.parent_of(conn, station["id"], int(task), int(number))
        return (found["run_id"], found["task_id"]) if found else (None, None)
    if row.get("parent_run"):
        run, position = UUID(row["parent_run"]), int(row["parent_position"])
        id = await mirrors.task_at(conn, station["id"], run, position)
        return (run, id) if id is not None else (None, None)
    return None, None


def ahead_of(station: Row) -> float:
    """What has to be added to its clock to have ours."""
    skew = station["skew"] or 0.0
    return -skew if abs(skew) > LATE else 0.0


def dated(row: Row, ahead: float) -> Row:
    """When it began and ended, by our clock."""
    return {name: shifted(row.get(name), ahead) for name in ("started_at", "finished_at")}


def shifted(text: str | None, ahead: float) -> str | None:
    return text and (datetime.fromisoformat(text) + timedelta(seconds=ahead)).isoformat()


def task_row(row: Row, ahead: float) -> Row:
    return {**row, **dated(row, ahead), "error": short(row.get("error"))}


async def write_rest(conn: Conn, station: Row, id: UUID, told: RunTold) -> None:
    """Attempts that are over, what happened, and what is asked of people."""
    ahead = ahead_of(station)
    ended, happened = [parsed(each) for each in told.attempts], [parsed(e) for e in told.events]
    positions = {row["position"] for row in (*ended, *happened) if row["position"] is not None}
    tasks = await mirrors.tasks_of(conn, id, sorted(positions)) if positions else {}
    if ended:
        holder, at = station["holder"], moment(told.at + ahead)
        rows = [{**row, **dated(row, ahead)} for row in ended]
        await boards.write_attempts(conn, [attempt(id, holder, row, tasks, at) for row in rows])
    if happened:
        rows = [{**row, "at": row["at"] + ahead} for row in happened]
        await boards.write_events(conn, [event(id, row, tasks) for row in rows])
    if told.questions:
        await mirrors.put_questions(conn, id, [parsed(each) for each in told.questions])


def attempt(
    run: UUID, holder: int | None, row: Row, tasks: Mapping[int, int], at: datetime
) -> Attempt:
    return Attempt(
        run_id=run,
        task_id=tasks[row["position"]],
        number=row["number"],
        round=row["round"],
        state=AttemptState(row["state"]),
        counted=row["counted"] is True,
        holder=holder,
        started_at=datetime.fromisoformat(row["started_at"]) if row["started_at"] else None,
        exit_code=row["exit_code"],
        output=None if row["output"] is None else json.dumps(row["output"]),
        error=short(row["error"]),
        detail=row["detail"] if isinstance(row["detail"], Mapping) else None,
        finished_at=at,
    )


def event(run: UUID, row: Row, tasks: Mapping[int, int]) -> Event:
    """With the time there: it is told later than it happened."""
    data = row["data"] if isinstance(row["data"], Mapping) else {}
    position = row["position"]
    return Event(
        run_id=run,
        seq=int(row["seq"]),
        kind=str(row["kind"])[:100],
        task_id=None if position is None else tasks.get(position),
        attempt=row["attempt"],
        data={**data, "at": moment(row["at"]).isoformat()},
    )


def parsed(text: str) -> Row:
    row = json.loads(text)
    if not isinstance(row, dict):
        raise ValueError("a row is an object")
    refuse_unstorable(row, "row")
    return row


def short(text: Any) -> str | None:
    return None if text is None else str(text)[:LONGEST_ERROR]


def moment(stamp: float) -> datetime:
    return datetime.fromtimestamp(min(max(float(stamp), 0.0), LAST_MOMENT), UTC)


# Attempts by their names there.


async def known(conn: Conn, station: int, frame: Frame) -> dict[str, Hand]:
    """Of own attempts whose logs come with the frame: how much is stored. Of those whose run this
    very frame tells of first there is nothing yet."""
    logs = {each.attempt for each in frame.messages if isinstance(each, Log | File)}
    rows = await hands(conn, station, logs)
    told = {
        each.body.run
        for each in frame.messages
        if isinstance(each, Item) and isinstance(each.body, RunTold)
    }
    unknown = [(each, attempts.own(each)) for each in logs - rows.keys()]
    fresh = {name for name, own in unknown if own is not None and str(own.run) in told}
    stored = {name: row["logged"] for name, row in rows.items()} | dict.fromkeys(fresh, 0)
    return {name: Hand(name, Stage.OVER, 0.0, logged) for name, logged in stored.items()}


async def keys(conn: Conn, station: int, names: Iterable[str]) -> dict[str, Key]:
    """What they are called here."""
    rows = await hands(conn, station, names)
    return {name: (row["task_id"], row["number"]) for name, row in rows.items()}


async def hands(conn: Conn, station: int, names: Iterable[str]) -> dict[str, Row]:
    own = [found for each in names if (found := attempts.own(each)) is not None]
    if not own:
        return {}
    rows = await mirrors.own_hands(conn, station, [(e.run, e.position, e.number) for e in own])
    return {str(Own(row["run_id"], row["position"], row["number"])): row for row in rows}


# Events and ticks.


async def happened(conn: Conn, station: Row, told: Happened) -> Wake:
    """What happens there may be waited for here."""
    new = NewEvent(
        source=f"workstation:{station['name']}/{told.source}"[:500],
        id=told.event,
        type=told.kind,
        key=told.key,
        data=json.loads(told.data),
    )
    _, wake = await events.receive_within(
        conn, events.check([new]), by=[f"workstation {station['name']}"]
    )
    return wake


async def ticked(conn: Conn, station: Row, told: Ticked) -> Wake:
    row, ticks = parsed(told.row), [parsed(each) for each in told.ticks]
    if ticks:
        await mirrors.put_ticks(conn, station["id"], told.schedule, ticks)
    last = max((datetime.fromisoformat(each["tick"]) for each in ticks), default=None)
    following = datetime.fromisoformat(row["next_tick"]) if row.get("next_tick") else None
    await mirrors.move_schedule(conn, station["id"], told.schedule, following, last)
    return Wake()
