"""Schedules that belong to this workstation: they fire here, whether or not a server is there.

What becomes of each tick is decided as on a server (`scheduler.domain.ticks`), with the schedule's
own zone and what it says of ticks that nobody was there for. The run of a tick, the tick's fate and
the schedule's next tick are one transaction, so a tick is started once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from edge.agent.micro import alone, starting
from edge.agent.micro.ledger import About, Ledger, moment, stamp
from edge.messages import Ticked
from scheduler.domain.errors import Refusal
from scheduler.domain.schedule_reading import read_schedule
from scheduler.domain.schedules import EPOCH, Overlap, Plan
from scheduler.domain.ticks import Entry, Standing, TickState, Turn, decide

if TYPE_CHECKING:
    from edge.agent.micro.decision import Decision

Told: TypeAlias = Mapping[str, Any]

REPLACED = "a later tick took its place"
COLUMNS = "id, document, next_tick, next_at, queued"


@dataclass(frozen=True, slots=True)
class Timed:
    """A schedule as it lies here. `document` is what the server said of it."""

    id: int
    document: str
    next_tick: float | None
    next_at: float | None
    queued: float | None

    @property
    def told(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self.document)
        return found

    @property
    def plan(self) -> Plan:
        return Plan(read_schedule(self.told["spec"]), self.told["key"])

    @property
    def standing(self) -> tuple[datetime | None, datetime | None]:
        tick = None if self.next_tick is None else moment(self.next_tick)
        return tick, None if self.queued is None else moment(self.queued)


def check(told: Told) -> None:
    """Raises where nothing could be fired by it."""
    Plan(read_schedule(told["spec"]), str(told["key"])).after(EPOCH)
    if not isinstance(told["type"], str):
        raise TypeError("type: a text is due")


def all_of(ledger: Ledger) -> list[Timed]:
    found = ledger.rows(f"select {COLUMNS} from micro_schedules order by id")
    return [Timed(*each) for each in found]


def replace_all(ledger: Ledger, wanted: Mapping[int, Mapping[str, Any]], now: datetime) -> None:
    """What the server has placed here, all of it. What stays as it was keeps its next tick."""
    known = {each.id: each for each in all_of(ledger)}
    for id in known.keys() - wanted.keys():
        ledger.change("delete from micro_schedules where id = ?", id)
    for id, told in wanted.items():
        lasting = {name: value for name, value in told.items() if name != "next_tick"}
        document = json.dumps(lasting, sort_keys=True)
        if id not in known or known[id].document != document:
            put(ledger, id, told, document, known.get(id), now)


def put(
    ledger: Ledger,
    id: int,
    told: Mapping[str, Any],
    document: str,
    known: Timed | None,
    now: datetime,
) -> None:
    """A changed one goes on from now: ticks of its older form that were due are decided on."""
    plan = Plan(read_schedule(told["spec"]), told["key"])
    since = told.get("next_tick") if known is None else None
    tick = plan.since(datetime.fromisoformat(since)) if since else plan.after(now)
    at = None if tick is None or told.get("is_paused") else plan.due(tick)
    queued = known.queued if known else None
    ledger.change(
        "insert or replace into micro_schedules values (?, ?, ?, ?, ?)",
        *(id, document, stamp(tick), stamp(at), queued),
    )


def fire(decision: "Decision") -> None:
    """Decide on all ticks that are due."""
    found = decision.ledger.rows(
        f"select {COLUMNS} from micro_schedules where next_at <= ? order by next_at, id",
        decision.stamp,
    )
    for each in found:
        turn(decision, Timed(*each))


def turn(decision: "Decision", timed: Timed) -> None:
    living = decision.ledger.living(timed.id)
    tick, queued = timed.standing
    try:
        plan = timed.plan
        found = decide(plan, Standing(tick, bool(living), queued), decision.now)
    except Refusal as refusal:
        assert tick is not None, "what is due has a tick"
        found = Turn(None, entries=[Entry(tick, tick, TickState.FAILED, str(refusal)[:2000])])
        plan = None
    runs: dict[datetime, UUID] = {}
    for number, entry in enumerate(found.entries):
        if entry.state is TickState.STARTED and plan is not None:
            found.entries[number] = begin(decision, timed, plan, entry, runs)
    is_replaced = plan is not None and found.queued and plan.spec.overlap is Overlap.REPLACE
    if plan is not None and is_replaced and not decision.closed:
        for run in living:
            decision.obey(run, "stop", f"schedule {plan.key}", "replaced by a later tick")
    settle(decision, timed, found, runs)


def begin(
    decision: "Decision", timed: Timed, plan: Plan, entry: Entry, runs: dict[datetime, UUID]
) -> Entry:
    if decision.closed:
        return replace(entry, state=TickState.SKIPPED, reason=decision.closed)
    try:
        runs[entry.tick] = start(decision, timed, plan, entry.tick)
    except Refusal as refusal:
        return replace(entry, state=TickState.FAILED, reason=str(refusal)[:2000])
    return entry


def start(decision: "Decision", timed: Timed, plan: Plan, tick: datetime) -> UUID:
    told = timed.told
    definition, version = decision.ledger.in_use(told["type"], told.get("version"))
    alone.require(decision.ledger, definition, decision.here)
    order = starting.Order(
        type=definition.name,
        version=version,
        input=plan.input_for(tick),
        labels={"schedule": str(timed.id)},
        priority=plan.spec.priority,
        about=About(
            triggered_by=f"schedule {plan.key}",
            created=decision.stamp,
            schedule=timed.id,
            tick=tick.isoformat(),
            system=told.get("system") or {},
        ),
    )
    return starting.start(decision, order)


def settle(decision: "Decision", timed: Timed, found: Turn, runs: Mapping[datetime, UUID]) -> None:
    decision.ledger.change(
        "update micro_schedules set next_tick = ?, next_at = ?, queued = ? where id = ?",
        *(stamp(found.tick), stamp(found.at), stamp(found.queued), timed.id),
    )
    ticks = [row(entry, runs.get(entry.tick)) for entry in found.entries]
    if found.merged is not None:
        merged = Entry(found.merged, found.merged, TickState.MERGED, REPLACED)
        ticks.insert(0, row(merged, None))
    tell(decision, timed.id, found, ticks)


def run_ended(decision: "Decision", schedule: int) -> None:
    """A tick that waited for the run before is started."""
    row_ = decision.ledger.one(f"select {COLUMNS} from micro_schedules where id = ?", schedule)
    if row_ is None or decision.ledger.living(schedule):
        return
    timed = Timed(*row_)
    tick, queued = timed.standing
    if queued is None:
        return
    runs: dict[datetime, UUID] = {}
    plan = timed.plan
    entry = begin(decision, timed, plan, Entry(queued, queued, TickState.STARTED), runs)
    at = None if timed.next_at is None else moment(timed.next_at)
    settle(decision, timed, Turn(tick, at, [entry]), runs)


def row(entry: Entry, run: UUID | None) -> dict[str, Any]:
    return {
        "tick": entry.tick.isoformat(),
        "due": entry.due.isoformat(),
        "state": entry.state.value,
        "reason": entry.reason,
        "until": entry.until.isoformat() if entry.until else None,
        "run": str(run) if run else None,
    }


def tell(decision: "Decision", schedule: int, found: Turn, ticks: list[dict[str, Any]]) -> None:
    standing = {
        "next_tick": found.tick.isoformat() if found.tick else None,
        "queued": found.queued.isoformat() if found.queued else None,
    }
    texts = tuple(json.dumps(each) for each in ticks)
    decision.ticked.append(Ticked(schedule, json.dumps(standing), texts))
