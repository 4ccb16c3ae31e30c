"""What programs say of the workflows that they carry out. The caller owns the transactions.

Steps are recorded without a look at any run: an attempt that is in hand records its own. Everything
else is for the board, under the locks of runs, which come before those of workflows.
"""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain import calls, process_types
from scheduler.domain.board import Board, Called, Hand
from scheduler.domain.definitions import ProcessType, WorkflowCall
from scheduler.domain.errors import Invalid
from scheduler.domain.wakes import Wake
from scheduler.services import definitions, mailing
from scheduler.services.catalog import Catalog
from scheduler.services.judging import judge
from scheduler.store import flows, runs
from scheduler.store import process_types as types
from scheduler.store.flows import Begun, Done, Message, Telling
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]
Key = tuple[int, int]  # a task, and the number of a call
Effect = Message | Telling

REMEMBERED = 2_000  # definitions that were read
SHORT = 16 << 10  # characters of one that is remembered

NOBODY = "there is no run {}: nothing was sent"
FULL = f"{mailing.MOST_WAITING} messages wait at run {{}} already: nothing was sent"


# Steps, and what they tell others.


@dataclass(frozen=True, slots=True)
class Noted:
    """A call that a program has carried out."""

    hand: Hand
    run: UUID
    done: Done
    effect: Effect | None = None
    failure: str | None = None  # the program says otherwise, and what it said cannot be kept

    @property
    def key(self) -> Key:
        return self.done.task, self.done.seq


@dataclass(slots=True)
class Kept:
    orders: dict[Key, int | None] = field(default_factory=dict)  # None: not the program's to end
    failed: dict[Key, str] = field(default_factory=dict)  # of what was said to be well
    fresh: list[Key] = field(default_factory=list)  # not known before
    absent: set[Hand] = field(default_factory=set)  # these have it in hand no more


async def record(conn: Conn, noted: Sequence[Noted], wake: Wake) -> Kept:
    """Keep them all, with what they tell others; what is known already is what it was."""
    mine = once(noted)
    unheard_ = await unheard(conn, list(mine.values()))
    done = [failing(each, unheard_.get(each.key)) for each in mine.values()]
    cursor = await flows.record(conn, done)
    kept = kept_of(mine, await cursor.fetchall(), wake)
    kept.failed |= {key: why for key, why in unheard_.items() if key in kept.fresh}
    effects = [mine[key].effect for key in kept.fresh if key not in kept.failed]
    wake.add(due=await carry_out(conn, effects))
    return kept


def once(noted: Iterable[Noted]) -> dict[Key, Noted]:
    """A program that came back says again what nobody has acknowledged yet."""
    found: dict[Key, Noted] = {}
    for each in noted:
        found.setdefault(each.key, each)
    return found


def kept_of(mine: Mapping[Key, Noted], rows: Iterable[Sequence[Any]], wake: Wake) -> Kept:
    """What the rows of a record say of those that were recorded."""
    kept = Kept()
    for task, seq, order, is_new, fault in rows:
        key = task, seq
        kept.orders[key] = order
        if is_new:
            kept.fresh.append(key)
        elif fault is not None and mine[key].done.ok:
            kept.failed[key] = fault
    for key, each in mine.items():
        if key not in kept.orders:
            kept.absent.add(each.hand)
        elif each.failure is not None:
            kept.failed[key] = each.failure
    wake.add(runs={each.run for key, each in mine.items() if key in kept.orders})
    return kept


async def unheard(conn: Conn, noted: Sequence[Noted]) -> dict[Key, str]:
    """Messages to runs that are not there, or have no room for them."""
    sent = {each.key: each.effect.run for each in noted if isinstance(each.effect, Message)}
    if not sent:
        return {}
    runs = list(set(sent.values()))
    why = {run: FULL.format(run) for run in await flows.full(conn, runs, mailing.MOST_WAITING)}
    there = set(await flows.present(conn, runs))
    why |= {run: NOBODY.format(run) for run in runs if run not in there}
    return {key: why[run] for key, run in sent.items() if run in why}


def failing(noted: Noted, why: str | None) -> Done:
    return noted.done if why is None else replace(noted.done, ok=False, output=None, error=why)


async def carry_out(conn: Conn, effects: Iterable[Effect | None]) -> bool:
    """True if somebody may have waited for it."""
    told = [each for each in effects if each is not None]
    if not told:
        return False
    sent = await mailing.send(conn, [each for each in told if isinstance(each, Message)])
    shown = await mailing.tell(conn, [each for each in told if isinstance(each, Telling)])
    return bool(sent) or shown


# What the server is to see to.


@dataclass(frozen=True, slots=True)
class Call:
    hand: Hand
    run: UUID
    seq: int
    name: str
    task: Mapping[str, Any]
    brings: bool = False  # it may be code that others carry out


@dataclass(frozen=True, slots=True)
class GiveUp:
    hand: Hand
    run: UUID
    seq: int


@dataclass(frozen=True, slots=True)
class Park:
    hand: Hand
    run: UUID
    seqs: Sequence[int]


@dataclass(frozen=True, slots=True)
class Diverged:
    hand: Hand
    run: UUID
    told: Mapping[str, Any]


Wish = Call | GiveUp | Park | Diverged


@dataclass(slots=True)
class Decided:
    resolved: list[Row] = field(default_factory=list)  # calls that were over already
    parked: set[Hand] = field(default_factory=set)
    left: set[Hand] = field(default_factory=set)  # they have it in hand no more


async def decide(
    conn: Conn, catalog: Catalog, wishes: Sequence[Wish], wake: Wake, *, by: str
) -> Decided:
    """In the order in which they were said, each run under its lock, which the caller has."""
    known = {(row["task_id"], row["seq"]): row for row in await flows.calls(conn, named(wishes))}
    decided = Decided()
    by_run: dict[UUID, list[Wish]] = {}
    for wish in wishes:
        by_run.setdefault(wish.run, []).append(wish)

    def look(board: Board) -> None:
        for wish in by_run[board.run.id]:
            obey(board, wish, known, decided)

    calling = {wish.hand.task for wish in wishes if isinstance(wish, Call)}
    if calling:
        await flows.have_calls(conn, sorted(calling))
    wake.merge(await judge(conn, catalog, sorted(by_run), look, by=by))
    for wish in wishes:
        if isinstance(wish, Diverged) and wish.hand in decided.left:
            await flows.diverged(conn, wish.hand.task, wish.told)
    return decided


def named(wishes: Sequence[Wish]) -> list[Key]:
    found: dict[Key, None] = {}
    for wish in wishes:
        match wish:
            case Call(hand=hand, seq=seq) | GiveUp(hand=hand, seq=seq):
                found[hand.task, seq] = None
            case Park(hand=hand, seqs=seqs):
                found.update(dict.fromkeys((hand.task, seq) for seq in seqs))
    return list(found)


def obey(board: Board, wish: Wish, known: Mapping[Key, Row], decided: Decided) -> None:
    if any(key not in known for key in named([wish])):
        decided.left.add(wish.hand)  # nobody was offered it
        return
    match wish:
        case Call():
            call(board, wish, known[wish.hand.task, wish.seq], decided)
        case GiveUp(hand=hand, seq=seq):
            board.drop(hand, position(known[hand.task, seq]))
        case Park(hand=hand, seqs=seqs):
            awaited = [position(known[hand.task, seq]) for seq in seqs]
            (decided.parked if board.park(hand, awaited) else decided.left).add(hand)
        case Diverged(hand=hand, told=told):
            board.diverge(hand, told)
            decided.left.add(hand)


def call(board: Board, wish: Call, row: Row, decided: Decided) -> None:
    if row["call_order"] is not None:
        decided.resolved.append(row)
    elif not board.call(wish.hand, [Called(position(row), wish.name, wish.task, wish.brings)]):
        decided.left.add(wish.hand)


def position(row: Row) -> int:
    found: int = row["base"] + row["seq"]
    return found


# Offers.


@dataclass(frozen=True, slots=True)
class Claim:
    task: int
    attempt: int
    run: UUID
    version: str | None = None  # of the code that is to carry it out


@dataclass(frozen=True, slots=True)
class Offered:
    """An attempt that a program is about to be given."""

    task: int
    attempt: int
    run: UUID
    proof: str
    calls: int
    orders: int
    base: int
    version: str | None  # under which its calls were made
    input: Any


async def begin(conn: Conn, claimed: Sequence[Claim]) -> dict[int, Offered]:
    """By task: what is known of it, which nobody adds to any more but who has the new proof."""
    proofs = {each.task: secrets.token_urlsafe(24) for each in claimed}
    begun = [Begun(each.task, each.attempt, digest(proofs[each.task])) for each in claimed]
    async with conn.transaction():
        await runs.lock(conn, sorted({each.run for each in claimed}))
        tasks = [row["task_id"] for row in await flows.begin(conn, begun)]
        await flows.number_left(conn, tasks)
        rows = {row["task_id"]: row for row in await flows.offered(conn, tasks)}
        if versions := {each.task: each.version for each in claimed if each.version}:
            await flows.stamp(conn, versions)
    return {
        each.task: offered(each, proofs[each.task], rows[each.task])
        for each in claimed
        if each.task in rows
    }


def offered(claim: Claim, proof: str, row: Row) -> Offered:
    return Offered(
        claim.task,
        claim.attempt,
        claim.run,
        proof,
        row["calls"],
        row["orders"],
        row["base"],
        row["version"],
        row["input"],
    )


def digest(proof: str) -> bytes:
    return hashlib.sha256(proof.encode()).digest()


# Definitions.


async def publish(
    conn: Conn, documents: Sequence[Mapping[str, Any]], *, by: str, brings: bool = False
) -> None:
    """What programs serve is a type, as they say it; a type that is something else stays. Who comes
    with what is there already waits for nobody: after a restart all of them come at once."""
    texts = [json.dumps(each) for each in documents]
    found = {each.name: (each, digest) for each, digest in await asyncio.to_thread(read_all, texts)}
    there = await types.digests(conn, list(found))
    new = [each for name, (each, digest) in found.items() if there.get(name) != digest]
    if not new:
        return
    for each in new if not brings else ():
        refuse_code(each)
    async with conn.transaction():
        for each in new:
            await require_own(conn, each)
        await definitions.publish(conn, new, by=by)


def read_all(texts: Sequence[str]) -> list[tuple[ProcessType, str]]:
    """In a thread: a thousand schemas are looked at for many seconds."""
    return [remembered(text) if len(text) <= SHORT else read(text) for text in texts]


def read(text: str) -> tuple[ProcessType, str]:
    """With its digest."""
    [found] = process_types.parse(text, source="definition")
    if not is_workflow(found):
        raise Invalid(
            f"{found.name!r}: one task that is the workflow {found.name!r} is what a worker may "
            "publish",
            field="definition",
            remedy="publish anything else with `procession apply`",
        )
    return found, process_types.digest(found)


remembered = lru_cache(maxsize=REMEMBERED)(read)


def refuse_code(found: ProcessType) -> None:
    """Of a worker no more is believed than that it serves a workflow: what stands beside that is
    carried out by others."""
    for name, task in [*found.hooks.items(), ("undo", found.tasks[0].undo)]:
        if task is not None and calls.brings_code(task):
            raise Invalid(
                f"{found.name!r}: {name!r} has others carry out what the program brings, which "
                "the token of this worker may not",
                field="definition",
                remedy="let it be an action or a process, or give the token the scopes workers "
                "and process-types",
            )


def is_workflow(found: ProcessType) -> bool:
    """It has nothing but the workflow that it is called after."""
    works = [task.work for task in found.tasks]
    return [work.workflow for work in works if isinstance(work, WorkflowCall)] == [found.name] and (
        len(works) == 1
    )


async def require_own(conn: Conn, new: ProcessType) -> None:
    row = await types.get(conn, new.name)
    if row is not None and not is_workflow(process_types.from_document(row["document"])):
        raise Invalid(
            f"the process type {new.name!r} is something else: it is not replaced",
            field="definition",
            remedy="give the workflow another name, or publish the type yourself",
        )
