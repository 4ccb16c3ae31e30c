"""What events start: each event is decided on once by each trigger, whoever else does so too.

An event leaves the backlog in the transaction that writes what its triggers decided and starts
their runs. Lock order: events of the backlog (passing over what others hold), triggers that
remember by id, the other triggers by id, records by id, then the new runs.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, DataError, IntegrityError

from scheduler.domain import process_types as definitions
from scheduler.domain import triggers as rules
from scheduler.domain.errors import Conflict, Refusal
from scheduler.domain.ids import new_id
from scheduler.domain.signals import as_value
from scheduler.domain.trigger_reading import read_trigger
from scheduler.domain.triggers import (
    LOOK_AGAIN,
    Drop,
    Fate,
    Memories,
    Memory,
    Open,
    Start,
    TriggerSpec,
    Wait,
    Wanted,
)
from scheduler.services import definitions as published
from scheduler.services import runs
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Order
from scheduler.services.ticking import start_of_record
from scheduler.services.waking import notify
from scheduler.store import routing, triggers
from scheduler.store.routing import Decision, Remembered, Settled
from scheduler.store.rows import Row

log = logging.getLogger(__name__)
Conn = AsyncConnection[Any]

CHANNEL = "procession_events"
LONGEST_REASON = 2000
MOST_LIVING = 100
KEPT = timedelta(days=1)  # what is remembered of those who live, after the last of them began

# What one run cannot be started for must not keep the others from it.
REFUSED = (Refusal, DataError, IntegrityError)


@dataclass(slots=True)
class Beginning:
    """A run that is to begin, and what came of it."""

    event: int
    input: dict[str, Any]
    waiting: Open | None = None
    turn: str | None = None  # whose living runs it counts among
    run: UUID | None = None
    refusal: Refusal | Exception | None = None

    @property
    def fate(self) -> Fate:
        if self.run is not None:
            return Fate.STARTED
        return Fate.SKIPPED if isinstance(self.refusal, Conflict) else Fate.FAILED

    @property
    def reason(self) -> str | None:
        return str(self.refusal)[:LONGEST_REASON] if self.refusal is not None else None


@dataclass(slots=True)
class Desk:
    """One trigger, what it remembers, and what is decided by it in this transaction."""

    row: Row
    spec: TriggerSpec
    wanted: list[Wanted] = field(default_factory=list)
    memories: Memories = field(default_factory=Memories)
    living: dict[str, list[UUID]] = field(default_factory=dict)
    dropped: list[Decision] = field(default_factory=list)
    waiting: dict[int, Open] = field(default_factory=dict)  # by event
    beginnings: list[Beginning] = field(default_factory=list)

    @property
    def id(self) -> int:
        return int(self.row["id"])

    @property
    def called(self) -> str:
        target = self.row["type"] or f"record:{self.row['record_id']}"
        return f"trigger {target}/{self.spec.name}"

    def drop(self, event: int, fate: Fate, reason: str) -> None:
        reason = reason[:LONGEST_REASON]
        self.dropped.append(Decision(trigger=self.id, event=event, fate=fate, reason=reason))


@lru_cache(maxsize=4096)
def spec_of(document: str) -> TriggerSpec:
    return read_trigger(json.loads(document))


def desk_of(row: Row) -> Desk | None:
    """None where what was stored once means nothing any more."""
    try:
        return Desk(row, spec_of(json.dumps(row["spec"])))
    except Refusal as refusal:
        log.error("trigger unreadable", extra={"trigger": row["id"], "error": str(refusal)})
        return None


# Events


async def route_batch(conn: Conn, catalog: Catalog, limit: int) -> int:
    """Decide on the oldest events of the backlog; how many there were.

    A start that the database refuses spoils its transaction, so after one each start is fenced off.
    """
    try:
        return await route(conn, catalog, limit, fenced=False)
    except REFUSED:
        return await route(conn, catalog, limit, fenced=True)


async def route(conn: Conn, catalog: Catalog, limit: int, *, fenced: bool) -> int:
    async with conn.transaction():
        events = await routing.take(conn, limit)
        if events and (desks := await desks_for(conn, events)):
            for desk in desks:
                look(desk, events)
            await recall(conn, desks)
            now = await routing.moment(conn)
            for desk in desks:
                decide(desk, now)
            await begin_all(conn, catalog, desks, fenced=fenced)
            await write(conn, desks, now)
    return len(events)


async def desks_for(conn: Conn, events: Sequence[Row]) -> list[Desk]:
    """Triggers that want one of these types, kept as they are until the caller commits."""
    types = {event["type"] for event in events}
    ids = [
        id
        for id, patterns in (await triggers.all_patterns(conn)).items()
        if any(rules.matches(pattern, type) for pattern in patterns for type in types)
    ]
    if not ids:
        return []
    rows = await triggers.lock_remembering(conn, ids) + await triggers.keep(conn, ids)
    return [desk for row in rows if (desk := desk_of(row))]


def look(desk: Desk, events: Sequence[Row]) -> None:
    """Which of them it wants; what came before it was made is none of its business."""
    for row in events:
        if row["received_at"] < desk.row["created_at"] or not desk.spec.matches(row["type"]):
            continue
        event = as_value(row)
        try:
            if rules.wants(desk.spec, event):
                take(desk, row, event)
        except Refusal as refusal:
            desk.drop(row["id"], Fate.FAILED, str(refusal))


def take(desk: Desk, row: Row, event: dict[str, Any]) -> None:
    spec = desk.spec
    if desk.row["paused_at"] is not None:
        desk.drop(row["id"], Fate.SKIPPED, f"paused by {desk.row['paused_by']}")
        return
    wanted = Wanted(
        event=row["id"],
        at=row["received_at"],
        input={} if spec.gathers else rules.input_of(spec, [event]),
        size=len(json.dumps(row["data"])) if spec.gathers else 0,
        keys=rules.keys_of(spec, event),
    )
    desk.wanted.append(wanted)


async def recall(conn: Conn, desks: Sequence[Desk]) -> None:
    """What is remembered of the keys that decisions will ask for."""
    asked = {
        (desk.id, rule, key)
        for desk in desks
        for wanted in desk.wanted
        for rule, key in wanted.keys.items()
    }
    if not asked:
        return
    by_id = {desk.id: desk for desk in desks}
    if known := sorted(each for each in asked if each[1] != "open"):
        for row in await routing.remembered(conn, *columns(known)):
            recognise(by_id[row["trigger_id"]], row)
    if opened := sorted((id, key) for id, rule, key in asked if rule == "open"):
        for row in await routing.open(conn, [id for id, _ in opened], [key for _, key in opened]):
            desk = by_id[row.pop("trigger_id")]
            desk.memories.open[row["key"]] = Open(**row)
    if turns := sorted((id, key) for id, rule, key in asked if rule in ("throttle", "concurrency")):
        for row in await routing.queued(conn, [id for id, _ in turns], [key for _, key in turns]):
            by_id[row["trigger_id"]].memories.queued[row["key"]] = row["count"]


def columns(rows: Sequence[tuple[int, str, str]]) -> tuple[list[int], list[str], list[str]]:
    return [id for id, _, _ in rows], [rule for _, rule, _ in rows], [key for _, _, key in rows]


def recognise(desk: Desk, row: Mapping[str, Any]) -> None:
    memory = Memory(row["until"], list(row["times"]), len(row["living"]))
    desk.memories.of[row["kind"], row["key"]] = memory
    if row["kind"] == "concurrency":
        desk.living[row["key"]] = list(row["living"])


def decide(desk: Desk, now: datetime) -> None:
    for wanted in desk.wanted:
        match rules.decide(desk.spec, wanted, desk.memories, now):
            case Start():
                turn = wanted.keys.get("concurrency")
                desk.beginnings.append(Beginning(wanted.event, wanted.input, turn=turn))
            case Wait(opened):
                desk.waiting[wanted.event] = opened
            case Drop(fate, reason):
                desk.drop(wanted.event, fate, reason)


async def write(conn: Conn, desks: Sequence[Desk], now: datetime) -> None:
    opened = {id(each): (desk.id, each) for desk in desks for each in desk.waiting.values()}
    if changed := [each for _, each in opened.values() if each.id is not None]:
        await routing.rewait(conn, changed)
    if new := [(trigger, each) for trigger, each in opened.values() if each.id is None]:
        for (_, each), made in zip(new, await routing.wait(conn, new), strict=True):
            each.id = made
    if decisions := [each for desk in desks for each in decisions_of(desk)]:
        await routing.decide(conn, decisions)
    await remember(conn, desks, now)


def decisions_of(desk: Desk) -> list[Decision]:
    begun = [
        Decision(
            trigger=desk.id, event=each.event, fate=each.fate, run=each.run, reason=each.reason
        )
        for each in desk.beginnings
    ]
    waiting = [
        Decision(trigger=desk.id, event=event, fate=Fate.WAITING, waiting=opened.id)
        for event, opened in desk.waiting.items()
    ]
    return [*desk.dropped, *begun, *waiting]


async def remember(conn: Conn, desks: Sequence[Desk], now: datetime) -> None:
    changed = [
        Remembered(
            trigger=desk.id,
            rule=rule,
            key=key,
            until=now + KEPT if rule == "concurrency" else desk.memories.of[rule, key].until,
            times=desk.memories.of[rule, key].times,
            living=desk.living.get(key, [])[-MOST_LIVING:] if rule == "concurrency" else [],
        )
        for desk in desks
        for rule, key in sorted(desk.memories.changed)
    ]
    if changed:
        await routing.remember(conn, changed)


# Starts that waited


async def start_due(conn: Conn, catalog: Catalog, limit: int) -> int:
    """Start what waited until now; how many starts were looked at."""
    try:
        return await start_waiting(conn, catalog, limit, fenced=False)
    except REFUSED:
        return await start_waiting(conn, catalog, limit, fenced=True)


async def start_waiting(conn: Conn, catalog: Catalog, limit: int, *, fenced: bool) -> int:
    async with conn.transaction():
        desks = [desk for row in await triggers.lock_due(conn, limit) if (desk := desk_of(row))]
        due = await routing.due(conn, [desk.id for desk in desks], limit) if desks else []
        if not due:
            return 0
        now = await routing.moment(conn)
        by_id = {desk.id: desk for desk in desks}
        await recall_turns(conn, by_id, due)
        gathered = await gathered_by(conn, due)
        put_off = []
        for row in due:
            desk = by_id[row.pop("trigger_id")]
            opened = Open(**row)
            if has_turn(desk, opened):
                desk.beginnings.append(beginning_of(desk, opened, gathered))
            else:
                put_off.append(opened)
        await begin_all(conn, catalog, desks, fenced=fenced)
        await settle(conn, desks)
        await remember(conn, desks, now)
        if put_off:
            ids = [each.id for each in put_off if each.id is not None]
            await routing.postpone(conn, ids, now + LOOK_AGAIN)
    return len(due) - len(put_off)


async def recall_turns(conn: Conn, desks: Mapping[int, Desk], due: Sequence[Row]) -> None:
    turns = sorted(
        {(row["trigger_id"], "concurrency", row["turn"]) for row in due if row["turn"] is not None}
    )
    if turns:
        for row in await routing.remembered(conn, *columns(turns)):
            recognise(desks[row["trigger_id"]], row)


def has_turn(desk: Desk, opened: Open) -> bool:
    rule = desk.spec.concurrency
    if rule is None or opened.turn is None:
        return True
    if desk.memories.get("concurrency", opened.turn).living >= rule.max:
        return False
    desk.memories.change("concurrency", opened.turn).living += 1
    return True


async def gathered_by(conn: Conn, due: Sequence[Row]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    if waiting := [row["id"] for row in due if row["gathers"]]:
        for row in await routing.gathered(conn, waiting):
            found.setdefault(row["waiting"], []).append(as_value(row))
    return found


def beginning_of(
    desk: Desk, opened: Open, gathered: Mapping[int, list[dict[str, Any]]]
) -> Beginning:
    begun = Beginning(opened.last_event, opened.input, opened, opened.turn)
    if opened.gathers:
        try:
            begun.input = rules.input_of(desk.spec, gathered.get(opened.id or 0, []))
        except (Refusal, IndexError) as refusal:
            begun.refusal = refusal
    return begun


async def settle(conn: Conn, desks: Sequence[Desk]) -> None:
    settled = [
        Settled(
            waiting=each.waiting.id or 0,
            last_event=each.event,
            fate=each.fate,
            run=each.run,
            reason=each.reason,
        )
        for desk in desks
        for each in desk.beginnings
        if each.waiting is not None
    ]
    if settled:
        await routing.settle(conn, settled)
        await routing.over(conn, [each.waiting for each in settled])


# Runs


async def begin_all(conn: Conn, catalog: Catalog, desks: Sequence[Desk], *, fenced: bool) -> None:
    """Those of types first, then those of records, in the order of the records' ids."""
    ordered = sorted(desks, key=lambda desk: (desk.row["record_id"] or "", desk.id))
    for desk in ordered:
        if all := [each for each in desk.beginnings if each.refusal is None]:
            begin = begin_runs if desk.row["record_id"] is None else begin_one_by_one
            await begin(conn, catalog, desk, all, fenced=fenced)
        for each in desk.beginnings:
            if each.run is not None and each.turn is not None:
                desk.living.setdefault(each.turn, []).append(each.run)
            if each.refusal is not None:
                facts = {"trigger": desk.id, "event": each.event, "error": each.reason}
                log.warning("trigger started nothing", extra=facts)


def order_of(desk: Desk, input: dict[str, Any]) -> Order:
    return Order(
        type=desk.row["type"] or "",
        input=input,
        by=desk.called,
        priority=desk.spec.priority,
        labels={"trigger": str(desk.id)},
    )


async def begin_runs(
    conn: Conn, catalog: Catalog, desk: Desk, all: Sequence[Beginning], *, fenced: bool
) -> None:
    """Runs of one type, in one statement; by halves where the database refuses one of them."""
    order, sound = order_of(desk, {}), []
    try:
        row = await published.startable(conn, order.type)
        definition = await catalog.get(conn, row["name"], row["version"])
        new = runs.new_run(definition, row["version"], order)
    except Refusal as refusal:
        for each in all:
            each.refusal = refusal
        return
    for each in all:
        try:
            each.input = definitions.check_input(definition, each.input)
            sound.append(each)
        except Refusal as refusal:
            each.refusal = refusal
    ids = [new_id() for _ in sound]
    try:
        async with AsyncExitStack() as stack:
            if fenced:
                await stack.enter_async_context(conn.transaction())
            if sound:
                inputs = [each.input for each in sound]
                await notify(conn, await runs.insert(conn, catalog, new, ids, inputs))
    except REFUSED as refusal:
        if not fenced:
            raise
        if len(sound) == 1:
            sound[0].refusal = refusal
            return
        middle = len(sound) // 2
        for half in (sound[:middle], sound[middle:]):
            await begin_runs(conn, catalog, desk, half, fenced=True)
    else:
        for each, run in zip(sound, ids, strict=True):
            each.run = run


async def begin_one_by_one(
    conn: Conn, catalog: Catalog, desk: Desk, all: Sequence[Beginning], *, fenced: bool
) -> None:
    """Of a record, which has one living run at most."""
    for each in all:
        try:
            async with AsyncExitStack() as stack:
                if fenced:
                    await stack.enter_async_context(conn.transaction())
                order = order_of(desk, each.input)
                each.run = await start_of_record(conn, catalog, desk.row["record_id"], order)
        except Refusal as refusal:
            each.refusal = refusal
        except (DataError, IntegrityError) as refusal:
            if not fenced:
                raise
            each.refusal = refusal
