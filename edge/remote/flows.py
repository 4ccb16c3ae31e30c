"""Workflows in the hands of programs: what these say is kept, and what they may go on with is told.

What a frame says is kept in the transaction of the frame, and answered when that is committed. What
is over elsewhere (a sleep, a child, an action) is told by `news`.
"""

import json
import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor

from edge.reading import LARGEST, BadFrame
from edge.remote import dispatch, wire
from edge.remote.desk import Said
from edge.remote.links import Link
from edge.remote.messages import (
    Call,
    CallKind,
    Diverged,
    DoneCall,
    Error,
    Forget,
    FromServer,
    GiveUp,
    History,
    KnownCall,
    Offer,
    Ordered,
    Park,
    Parked,
    Program,
    Record,
    Recorded,
    Resolved,
)
from edge.remote.recording import Closing, Word
from executor.base import Ending, Outcome
from scheduler.domain.board import Hand
from scheduler.domain.calls import MOST
from scheduler.domain.errors import Invalid, Refusal
from scheduler.domain.kinds.get import checked_key
from scheduler.domain.kinds.recv import checked_topic
from scheduler.domain.wakes import Wake
from scheduler.services import flows as service
from scheduler.services.catalog import Catalog
from scheduler.services.flows import Effect, Kept, Noted, Offered, Wish
from scheduler.store import flows
from scheduler.store.flows import Done, Message, Telling
from scheduler.store.remote import Claimed
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

MOST_HOLDERS = 10_000  # whose versions are remembered
FEW, PAGE = 50, 1_000  # calls that are read at a time: at first, and at most
ROOM = LARGEST // 2  # bytes of a page of history
FIRST = 2 << 20  # characters of history that go with an offer
NEXT = 2 << 20  # and those that follow when these were taken
AT_ONCE = 20  # histories that an answer to a poll goes on with
MOST_OUTPUT = 900_000  # bytes of a result: with all around it, it fits into a frame
MOST_TOLD = 256 << 10  # bytes of what others are told
LAST_MOMENT = 253_000_000_000.0
ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
STOPPED = ("STOPPED", "SKIPPED")
UNORDERED = 2**31 - 1  # where calls stand that are not over


@dataclass(frozen=True, slots=True)
class Heard:
    """One message about one workflow, and whose it is."""

    word: Word
    hand: Hand
    run: UUID
    message: Any


@dataclass(frozen=True, slots=True)
class Notes:
    """Steps, and whose they are."""

    heard: Sequence[Heard]
    mine: Mapping[service.Key, Noted]


class Flows:
    """Sees to workflows for an office."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._versions: dict[int, dict[str, str]] = {}  # of the code that holders have

    # What programs say.

    def locks(self, words: Sequence[Word]) -> set[UUID]:
        return {said.hand.run for word in words for said in word.said if needs_lock(said)}

    async def hear(self, conn: Conn, words: Sequence[Word], wake: Wake) -> None:
        all = [heard_of(word, said) for word in words for said in word.said]
        heard = [each for each in all if not is_too_many(each.message)]
        for each in all:
            if is_too_many(each.message):
                end(each)
        await self._record(conn, [each for each in heard if isinstance(each.message, Record)], wake)
        wishes = [each for each in heard if not isinstance(each.message, Record)]
        if wishes:
            await self._decide(conn, wishes, wake)

    async def _record(self, conn: Conn, heard: Sequence[Heard], wake: Wake) -> None:
        noted = [note(each, call) for each in heard for call in each.message.calls]
        if noted:
            answer(heard, await service.record(conn, noted, wake))

    # The same, where nothing but rows comes of it.

    def plain(self, words: Sequence[Word]) -> Notes | None:
        heard = [heard_of(word, said) for word in words for said in word.said]
        if not all(is_plain(each.message) for each in heard):
            return None
        noted = [note(each, call) for each in heard for call in each.message.calls]
        return None if any(each.effect for each in noted) else Notes(heard, service.once(noted))

    async def write(self, conn: Conn, notes: Notes) -> AsyncCursor[Any]:
        return await flows.record(conn, [each.done for each in notes.mine.values()])

    def written(self, notes: Notes, rows: Sequence[Sequence[Any]], wake: Wake) -> None:
        answer(notes.heard, service.kept_of(notes.mine, rows, wake))

    async def _decide(self, conn: Conn, heard: Sequence[Heard], wake: Wake) -> None:
        by = f"worker {heard[0].word.name}"
        wishes = [wish(each) for each in heard]
        decided = await service.decide(conn, self._catalog, wishes, wake, by=by)
        resolved = {(row["task_id"], row["seq"]): row for row in decided.resolved}
        for each in heard:
            if isinstance(each.message, Park) and each.hand in decided.parked:
                each.word.answers.append(Parked(each.message.attempt))
                each.word.given_up.append(each.message.attempt)
            elif each.hand in decided.left:
                forget(each)
            elif isinstance(each.message, Call):
                row = resolved.get((each.hand.task, each.message.seq))
                each.word.answers += [resolve(each.message.attempt, row)] if row else []

    # What they are told.

    async def offered(
        self, conn: Conn, holder: int, claimed: Sequence[Claimed]
    ) -> Mapping[str, Sequence[FromServer]]:
        """By attempt: its offer, and what is known of it right after."""
        versions = self._versions.get(holder, {})
        mine = [
            service.Claim(each.id, each.attempt, each.run_id, versions.get(name_of(each)))
            for each in claimed
        ]
        begun = await service.begin(conn, mine)
        return {
            each.key: [offer(each, begun[each.id]), *await history(conn, begun[each.id])]
            for each in claimed
            if each.id in begun
        }

    async def cut(self, conn: Conn, said: Sequence[FromServer]) -> None:
        """Of a history no more than this was said: the rest is for later."""
        first = said[0]
        assert isinstance(first, Offer), "a history follows its offer"
        told = [each for each in said if isinstance(each, History)]  # a command may come behind
        shown = key_of(told[-1]) if told else (0, 0)
        task, _, number = first.attempt.partition(".")
        await flows.show(conn, int(task), int(number), shown)

    async def go_on(self, conn: Conn, link: Link, room: int) -> bool:
        """Say of histories what has room. False if there is more of them."""
        waiting = await flows.unshown(conn, link.holder, AT_ONCE) if room > 0 else []
        for row in waiting:
            attempt, shown = f"{row['task_id']}.{row['attempt']}", None
            after = (row["shown"][0], row["base"] + row["shown"][1])
            async for page in pages(conn, attempt, row["run_id"], row["base"], after):
                size = len(wire.said(page).encode())
                if size > room:
                    break
                link.say([page])
                room, shown = room - size, key_of(page)
            else:
                await flows.show(conn, row["task_id"], row["attempt"], None)
                continue
            if shown is not None:
                await flows.show(conn, row["task_id"], row["attempt"], shown)
            return False
        return room > 0 and len(waiting) < AT_ONCE

    async def greeted(self, conn: Conn, holder: int, programs: Sequence[Program]) -> None:
        if len(self._versions) >= MOST_HOLDERS:
            del self._versions[next(iter(self._versions))]  # who came first of all
        self._versions[holder] = {
            str(each.definition.get("name")): each.version for each in programs if each.version
        }
        await flows.tell_anew(conn, holder)

    async def publish(
        self, conn: Conn, programs: Sequence[Program], *, by: str, brings: bool
    ) -> None:
        names = [str(each.definition.get("name")) for each in programs]
        if twice := {each for each in names if names.count(each) > 1}:
            raise BadFrame(f"messages[0].workflows: more than once: {', '.join(sorted(twice))}")
        try:
            documents = [each.definition for each in programs]
            await service.publish(conn, documents, by=by, brings=brings)
        except Refusal as refusal:
            remedy = f": {refusal.remedy}" if refusal.remedy else ""
            raise BadFrame(f"messages[0].workflows: {refusal}{remedy}") from None


# From the wire.


def heard_of(word: Word, said: Said) -> Heard:
    task, _, number = said.hand.attempt.partition(".")
    return Heard(word, Hand(int(task), int(number), word.holder), said.hand.run, said.message)


def needs_lock(said: Said) -> bool:
    return not isinstance(said.message, Record) or is_too_many(said.message)


def is_too_many(message: Any) -> bool:
    return any(seq > MOST for seq in seqs_of(message))


def seqs_of(message: Any) -> Sequence[int]:
    match message:
        case Record(_, calls):
            return [call.seq for call in calls]
        case Call(_, seq) | GiveUp(_, seq):
            return [seq]
        case Park(_, seqs):
            return list(seqs)
    return []


def is_plain(message: Any) -> bool:
    return isinstance(message, Record) and not is_too_many(message)


def answer(heard: Sequence[Heard], kept: Kept) -> None:
    for each in heard:
        if each.hand in kept.absent:
            forget(each)
        else:
            each.word.answers += answers(each, kept)


def end(heard: Heard) -> None:
    """What goes on for ever is to be handed over from time to time."""
    why = f"a workflow makes at most {MOST} calls: let a run of its own go on"
    outcome = Outcome(ending=Ending.FAILED, error=why, retryable=False)
    key = heard.hand.task, heard.hand.attempt
    heard.word.closings.append(Closing(heard.run, key, heard.word.holder, outcome))
    forget(heard)


def forget(heard: Heard) -> None:
    heard.word.answers.append(Forget(heard.message.attempt))
    heard.word.given_up.append(heard.message.attempt)


def note(heard: Heard, call: DoneCall) -> Noted:
    """What cannot be kept as it is has failed, and says why. That it is JSON which can be stored
    the wire has seen to."""
    try:
        mine = done(heard.hand, call)
        return Noted(heard.hand, heard.run, mine, effect_of(heard, call))
    except Invalid as fault:
        why = str(fault)
        return Noted(heard.hand, heard.run, spoilt(heard.hand, call, why), failure=why)


def done(hand: Hand, call: DoneCall) -> Done:
    return Done(
        task=hand.task,
        attempt=hand.attempt,
        holder=hand.holder,
        seq=call.seq,
        kind=call.kind.value,
        name=call.name,
        ok=call.ok,
        output=None if call.output is None else output_of(call.output),
        error=None if call.ok else words_of(call.error),
        note=None if call.error is None else text_of({"error": plain(call.error)}),
        input=None if call.input is None else text_of(call.input),
        tries=call.tries or 1,
        began=moment(call.began),
        over=moment(call.over),
    )


def output_of(value: Any) -> str:
    text = text_of(value)
    if len(text) > MOST_OUTPUT // 4 and (size := len(text.encode())) > MOST_OUTPUT:
        raise Invalid(too_large(size))
    return text


def spoilt(hand: Hand, call: DoneCall, why: str) -> Done:
    note = text_of({"error": {"type": "Failed", "message": why}})
    return Done(
        hand.task,
        hand.attempt,
        hand.holder,
        call.seq,
        call.kind.value,
        call.name,
        ok=False,
        output=None,
        error=why,
        note=note,
        input=None,
        tries=1,
        began=None,
        over=None,
    )


def text_of(value: Any) -> str:
    return ENCODER.encode(value)


def words_of(error: Error | None) -> str:
    if error is None:
        return "it failed, and nobody says why"
    return (f"{error.type}: {error.message}" if error.message else error.type)[:2_000]


def plain(error: Error) -> dict[str, str]:
    trace = {"trace": error.trace} if error.trace else {}
    return {"type": error.type, "message": error.message, **trace}


def moment(stamp: float | None) -> float | None:
    if stamp is None or not math.isfinite(stamp):
        return None
    return min(max(stamp, 0.0), LAST_MOMENT)


def effect_of(heard: Heard, call: DoneCall) -> Effect | None:
    if not call.ok or call.kind not in EFFECTS:
        return None
    told = call.effect or {}
    if len(text_of(told).encode()) > MOST_TOLD:
        raise Invalid(f"what others are told has at most {MOST_TOLD} bytes: say where it is")
    if call.kind is CallKind.SEND:
        return message(heard, told)
    name, kind = ("key", "value") if call.kind is CallKind.SET else ("stream", "stream")
    key = checked_key(told.get(name), f"effect.{name}")
    return Telling(heard.hand.task, call.seq, kind, key, told.get("value"))


EFFECTS = (CallKind.SEND, CallKind.SET, CallKind.WRITE)


def message(heard: Heard, told: Mapping[str, Any]) -> Message:
    key = told.get("key")
    return Message(
        run=run_of(told.get("run")),
        topic=checked_topic(told.get("topic")),
        key=None if key is None else checked_key(key, "effect.key"),
        body=told.get("body"),
        by=f"run {heard.run}",
    )


def run_of(text: Any) -> UUID:
    try:
        return UUID(text)
    except (ValueError, TypeError, AttributeError):
        raise Invalid("effect.run: the id of a run is expected: a UUID") from None


def wish(heard: Heard) -> Wish:
    hand, run = heard.hand, heard.run
    match heard.message:
        case Call(_, seq, name, task):
            return service.Call(hand, run, seq, name, task, brings=heard.word.brings)
        case GiveUp(_, seq):
            return service.GiveUp(hand, run, seq)
        case Diverged(_, seq, expected, found):
            return service.Diverged(hand, run, {"seq": seq, "expected": expected, "found": found})
    return service.Park(hand, run, heard.message.seqs)


# To the wire.


def answers(heard: Heard, kept: Kept) -> Iterator[FromServer]:
    """What failed after all is told as a result; what the server sees to is its own to end."""
    attempt, ordered = heard.message.attempt, list[Ordered]()
    for call in heard.message.calls:
        key = heard.hand.task, call.seq
        order, why = kept.orders.get(key), kept.failed.get(key)
        if order is None:
            continue
        if why is not None:
            yield Resolved(attempt, call.seq, order, ok=False, error=Error("Failed", why))
        else:
            ordered.append(Ordered(call.seq, order))
    if ordered:
        yield Recorded(attempt, tuple(ordered))


def resolve(attempt: str, row: Row) -> Resolved:
    output, error = came_to(row)
    return Resolved(attempt, row["seq"], row["call_order"], error is None, output, error)


def came_to(row: Row) -> tuple[Any, Error | None]:
    """An output that no frame could carry is none: whoever waits for it is told so each time."""
    error = None if row["state"] == "COMPLETED" else error_of(row)
    size = len(text_of(row["output"]).encode())
    if size <= MOST_OUTPUT:
        return row["output"], error
    return None, error or Error("Failed", too_large(size))


def too_large(size: int) -> str:
    return (
        f"what it came to has {size} bytes as JSON, and {MOST_OUTPUT} can be told to a workflow: "
        "keep it elsewhere, and say where"
    )


def error_of(row: Row) -> Error:
    told = row["told"] or {}
    kind = "Stopped" if row["state"] in STOPPED else "Failed"
    return Error(
        str(told.get("type", kind))[:200],
        str(told.get("message", row["error"] or "it was stopped"))[:2_000],
        None if told.get("trace") is None else str(told["trace"])[:16_000],
    )


def offer(task: Claimed, begun: Offered) -> FromServer:
    own: Mapping[str, Any] = task.invocation or {}
    flow: dict[str, Any] = {"calls": begun.calls, "proof": begun.proof}
    if begun.version is not None:
        flow["version"] = begun.version
    return replace(dispatch.offer_of(task), payload=own.get("payload", begun.input), workflow=flow)


def name_of(task: Claimed) -> str:
    return task.queue.partition(":")[2]


async def history(conn: Conn, begun: Offered) -> list[History]:
    """What is known, as far as it is said at once: the rest when that was taken."""
    found, left = list[History](), FIRST
    if not begun.calls:
        return found
    attempt = f"{begun.task}.{begun.attempt}"
    async for page in pages(conn, attempt, begun.run, begun.base, (0, 0)):
        if found and left <= 0:
            break
        found.append(page)
        left -= len(wire.said(page))
    return found


async def pages(
    conn: Conn, attempt: str, run: UUID, base: int, after: tuple[int, int]
) -> AsyncIterator[History]:
    """What is known behind a call, in messages that fit into frames."""
    page, size = list[KnownCall](), 0
    async for row in rows(conn, run, base, after):
        length = len(text_of(row["output"]).encode()) + len(row["error"] or "") * 20 + 500
        if page and (size + length > ROOM or len(page) >= PAGE):
            yield History(attempt, tuple(page))
            page, size = [], 0
        page.append(known(row))
        size += length
    if page:
        yield History(attempt, tuple(page))


def key_of(page: History) -> tuple[int, int]:
    """Behind which call the next page begins."""
    last = page.calls[-1]
    return last.order or UNORDERED, last.seq


async def rows(conn: Conn, run: UUID, base: int, after: tuple[int, int]) -> AsyncIterator[Row]:
    """A few first: each may be as large as a frame."""
    limit = FEW
    while True:
        found = await flows.history(conn, run, base, after=after, limit=limit)
        for row in found:
            yield row
        if len(found) < limit:
            return
        limit, last = min(2 * limit, PAGE), found[-1]
        after = (last["call_order"] or UNORDERED, base + last["seq"])


def known(row: Row) -> KnownCall:
    if row["call_order"] is None:
        return KnownCall(row["seq"], row["kind"], row["name"])
    output, error = came_to(row)
    return KnownCall(
        row["seq"], row["kind"], row["name"], row["call_order"], error is None, output, error
    )
