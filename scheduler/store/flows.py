"""Workflows, what they call and what they tell. One function for each statement in flows.sql."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

FLOWS = statements("flows")
Conn = AsyncConnection[Any]
Json = Any


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt of a workflow that is about to be offered."""

    task: int
    attempt: int
    proof: bytes  # its digest


@dataclass(frozen=True, slots=True)
class Done:
    """A call that a program has carried out itself; what is JSON is text."""

    task: int
    attempt: int
    holder: int
    seq: int
    kind: str
    name: str
    ok: bool
    output: str | None
    error: str | None
    note: str | None
    input: str | None
    tries: int
    began: float | None
    over: float | None


@dataclass(frozen=True, slots=True)
class Message:
    run: UUID
    topic: str
    key: str | None
    body: Json
    by: str


@dataclass(frozen=True, slots=True)
class Telling:
    task: int
    seq: int
    kind: str
    name: str
    value: Json


async def begin(conn: Conn, begun: Sequence[Begun]) -> list[Row]:
    return await fetch_rows(
        conn,
        FLOWS["begin"],
        tasks=[each.task for each in begun],
        attempts=[each.attempt for each in begun],
        proofs=[each.proof for each in begun],
    )


async def number_left(conn: Conn, tasks: Sequence[int]) -> int:
    return await execute(conn, FLOWS["number_left"], tasks=list(tasks))


async def offered(conn: Conn, tasks: Sequence[int]) -> list[Row]:
    return await fetch_rows(conn, FLOWS["offered"], tasks=list(tasks))


async def stamp(conn: Conn, versions: Mapping[int, str]) -> int:
    return await execute(
        conn, FLOWS["stamp"], tasks=list(versions), versions=list(versions.values())
    )


async def history(
    conn: Conn, run: UUID, base: int, *, after: tuple[int, int], limit: int
) -> list[Row]:
    return await fetch_rows(
        conn,
        FLOWS["history"],
        run=run,
        base=base,
        after_order=after[0],
        after_position=after[1],
        limit=limit,
    )


async def show(conn: Conn, task: int, attempt: int, shown: tuple[int, int] | None) -> int:
    last = None if shown is None else list(shown)
    return await execute(conn, FLOWS["show"], task=task, attempt=attempt, shown=last)


async def unshown(conn: Conn, holder: int, limit: int) -> list[Row]:
    return await fetch_rows(conn, FLOWS["unshown"], holder=holder, limit=limit)


async def record(conn: Conn, done: Sequence[Done]) -> AsyncCursor[Any]:
    """Its rows are tasks, numbers of calls, orders, whether they were new, and why those that were
    not had failed. In a pipeline both statements travel at once."""
    hands = sorted({(each.task, each.attempt, each.holder) for each in done})
    await conn.execute(
        FLOWS["lock"],
        {
            "tasks": [task for task, _, _ in hands],
            "attempts": [attempt for _, attempt, _ in hands],
            "holders": [holder for _, _, holder in hands],
        },
    )
    return await conn.execute(
        FLOWS["record"],
        {
            "tasks": [each.task for each in done],
            "attempts": [each.attempt for each in done],
            "holders": [each.holder for each in done],
            "seqs": [each.seq for each in done],
            "kinds": [each.kind for each in done],
            "names": [each.name for each in done],
            "oks": [each.ok for each in done],
            "outputs": [each.output for each in done],
            "errors": [each.error for each in done],
            "notes": [each.note for each in done],
            "inputs": [each.input for each in done],
            "tries": [each.tries for each in done],
            "began": [each.began for each in done],
            "over": [each.over for each in done],
        },
    )


async def number(conn: Conn, calls: Sequence[int]) -> list[int]:
    return await fetch_column(conn, FLOWS["number"], calls=list(calls))


async def news(conn: Conn, holder: int, limit: int) -> list[Row]:
    return await fetch_rows(conn, FLOWS["news"], holder=holder, limit=limit)


async def tell_anew(conn: Conn, holder: int) -> int:
    return await execute(conn, FLOWS["tell_anew"], holder=holder)


async def calls(conn: Conn, wanted: Sequence[tuple[int, int]]) -> list[Row]:
    """By tasks and numbers of calls; the state of one that is not known is null."""
    return await fetch_rows(
        conn,
        FLOWS["calls"],
        tasks=[task for task, _ in wanted],
        seqs=[seq for _, seq in wanted],
    )


async def have_calls(conn: Conn, tasks: Sequence[int]) -> int:
    return await execute(conn, FLOWS["have_calls"], tasks=list(tasks))


async def diverged(conn: Conn, task: int, told: Mapping[str, Any]) -> int:
    return await execute(conn, FLOWS["diverged"], task=task, told=Jsonb(dict(told)))


async def drop_from(conn: Conn, task: int) -> Row | None:
    return await fetch_row(conn, FLOWS["drop_from"], task=task)


async def put_away(conn: Conn, run: UUID, *, base: int, attic: int, cut: int) -> int:
    return await execute(conn, FLOWS["put_away"], run=run, base=base, attic=attic, cut=cut)


async def rewind(conn: Conn, task: int, *, base: int, top: int, orders: int) -> int:
    return await execute(conn, FLOWS["rewind"], task=task, base=base, top=top, orders=orders)


async def copy(conn: Conn, *, model: int, task: int, from_seq: int) -> int | None:
    """Up to which order results were copied; None if the model never began."""
    found: int | None = await fetch_value(
        conn, FLOWS["copy"], model=model, task=task, from_seq=from_seq
    )
    return found


async def workflow_tasks(conn: Conn, run: UUID) -> list[Row]:
    return await fetch_rows(conn, FLOWS["workflow_tasks"], run=run)


async def fork_of(conn: Conn, run: UUID, *, model: UUID, from_seq: int) -> int:
    return await execute(conn, FLOWS["fork_of"], run=run, model=model, from_seq=from_seq)


async def forks(conn: Conn, run: UUID, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, FLOWS["forks"], run=run, limit=limit)


async def of_run(conn: Conn, run: UUID, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, FLOWS["of_run"], run=run, limit=limit)


async def why_failed(conn: Conn, run: UUID) -> Any:
    """What a program said of the failure that ended a run; None if none did."""
    return await fetch_value(conn, FLOWS["why_failed"], run=run)


async def present(conn: Conn, runs: Sequence[UUID]) -> list[UUID]:
    return await fetch_column(conn, FLOWS["present"], runs=list(runs))


async def full(conn: Conn, runs: Sequence[UUID], most: int) -> list[UUID]:
    return await fetch_column(conn, FLOWS["full"], runs=list(runs), most=most)


async def send(conn: Conn, messages: Sequence[Message]) -> list[Row]:
    return await fetch_rows(
        conn,
        FLOWS["send"],
        runs=[each.run for each in messages],
        topics=[each.topic for each in messages],
        keys=[each.key for each in messages],
        bodies=[json.dumps(each.body) for each in messages],
        senders=[each.by for each in messages],
    )


async def message(conn: Conn, run: UUID, key: str) -> Row | None:
    return await fetch_row(conn, FLOWS["message"], run=run, key=key)


async def deal(conn: Conn, runs: Sequence[UUID]) -> list[Row]:
    return await fetch_rows(conn, FLOWS["deal"], runs=list(runs))


async def messages(
    conn: Conn, run: UUID, *, topic: str | None, after: int, limit: int
) -> list[Row]:
    return await fetch_rows(conn, FLOWS["messages"], run=run, topic=topic, after=after, limit=limit)


async def tell(conn: Conn, tellings: Sequence[Telling]) -> list[Row]:
    return await fetch_rows(
        conn,
        FLOWS["tell"],
        tasks=[each.task for each in tellings],
        seqs=[each.seq for each in tellings],
        kinds=[each.kind for each in tellings],
        names=[each.name for each in tellings],
        values=[json.dumps(each.value) for each in tellings],
    )


async def tellings(
    conn: Conn, run: UUID, kind: str, name: str, *, after: int, limit: int
) -> list[Row]:
    return await fetch_rows(
        conn, FLOWS["tellings"], run=run, kind=kind, name=name, after=after, limit=limit
    )


async def newest(conn: Conn, run: UUID, *, after: str, limit: int) -> list[Row]:
    return await fetch_rows(conn, FLOWS["newest"], run=run, after=after, limit=limit)


async def telling(conn: Conn, telling: int) -> Row | None:
    return await fetch_row(conn, FLOWS["telling"], telling=telling)


async def streams(conn: Conn, run: UUID, *, limit: int) -> list[str]:
    return await fetch_column(conn, FLOWS["streams"], run=run, limit=limit)


async def inquire(conn: Conn, *, task: int, run: UUID, about: UUID, kind: str, name: str) -> int:
    return await execute(
        conn, FLOWS["inquire"], task=task, run=run, about=about, kind=kind, name=name
    )


async def answerable(conn: Conn, runs: Sequence[UUID]) -> list[Row]:
    return await fetch_rows(conn, FLOWS["answerable"], runs=list(runs))
