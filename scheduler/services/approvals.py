"""Questions that runs ask of people, and who may answer them."""

import json
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from executor.base import Ending, Outcome
from scheduler.domain.board import Board
from scheduler.domain.errors import Conflict, Forbidden, Invalid, NotFound
from scheduler.domain.inputs import check_against
from scheduler.services import station_runs
from scheduler.services.access import PEOPLE, Caller, at_least
from scheduler.services.catalog import Catalog
from scheduler.services.judging import judge
from scheduler.services.station_runs import Wanted
from scheduler.services.waking import notify
from scheduler.store import approvals, mirrors, runs
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

ROLE = "role:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    approve: bool
    data: dict[str, Any]
    note: str | None = None


async def get(conn: Conn, approval: int) -> Row:
    found = await approvals.get(conn, approval)
    if found is None:
        raise NotFound(f"there is no approval {approval}")
    return found


async def decide(
    conn: Conn, catalog: Catalog, approval: int, decision: Decision, caller: Caller
) -> Row:
    """Answer once and for all, and let the run go on. Of two who answer, one wins."""
    asked = await get(conn, approval)
    require_asked(asked, caller)
    require_open(asked)
    data = checked(asked, decision)
    outcome = outcome_of(decision, data, caller.name)

    def deliver(board: Board) -> None:
        board.deliver(asked["task_id"], asked["attempt"], outcome)

    if (station := await mirrors.station_of(conn, asked["run_id"])) is not None:
        return await ask_there(conn, station, asked, decision, data, caller)
    async with conn.transaction():
        wake = await judge(conn, catalog, [asked["run_id"]], deliver, by=caller.name)
        state = "APPROVED" if decision.approve else "REJECTED"
        if not await approvals.decide(
            conn, approval, state=state, by=caller.name, data=data, note=decision.note
        ):
            require_open(await get(conn, approval))
            raise Conflict(f"approval {approval} was decided by somebody else meanwhile")
        await notify(conn, wake)
    return await get(conn, approval)


async def ask_there(
    conn: Conn, station: Row, asked: Row, decision: Decision, data: dict[str, Any], caller: Caller
) -> Row:
    """The workstation decides about the run: it stays open here until that has said otherwise."""
    async with conn.transaction():
        place = await mirrors.question(conn, asked["id"])
        run = await runs.get(conn, asked["run_id"])
        if place is None or run is None:
            raise NotFound(f"there is no approval {asked['id']}")
        answer = {"approve": decision.approve, "data": data, "note": decision.note}
        wanted = Wanted("answer", data={**place, **answer}, needs="answer")
        await notify(conn, await station_runs.ask(conn, station, run, wanted, by=caller.name))
    return await get(conn, asked["id"])


def checked(asked: Row, decision: Decision) -> dict[str, Any]:
    """A refusal needs no form, but says why."""
    if decision.approve:
        return check_against(asked["form"], decision.data)
    if not (decision.note or "").strip():
        raise Invalid("say why it is rejected", field="note")
    return {}


def outcome_of(decision: Decision, data: dict[str, Any], by: str) -> Outcome:
    answer = {"approved": decision.approve, "by": by, "note": decision.note, "data": data}
    if decision.approve:
        return Outcome(ending=Ending.SUCCEEDED, output=json.dumps(answer))
    return Outcome(
        ending=Ending.FAILED,
        error=f"rejected by {by}: {decision.note}",
        output=json.dumps(answer),
        retryable=False,
    )


def require_open(asked: Row) -> None:
    if asked["state"] != "OPEN":
        by = asked["decided_by"] or asked["note"] or "the run"
        raise Conflict(f"approval {asked['id']} is {asked['state'].lower()} already, by {by}")


def require_asked(asked: Row, caller: Caller) -> None:
    if asked["who"] and not (set(names_of(caller)) & set(asked["who"])):
        raise Forbidden(
            f"approval {asked['id']} is not for {caller.name}",
            remedy="it is for " + ", ".join(asked["who"]),
        )


def names_of(caller: Caller) -> list[str]:
    """What a question may call this person: by name, or by any role that theirs includes."""
    return [caller.name, *(f"{ROLE}{role}" for role in PEOPLE if caller.role in at_least(role))]
