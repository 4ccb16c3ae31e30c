"""Triggers: which events start what, with which input, and how often.

What a trigger remembers of a key is handed in, changed by a decision, and handed back; whoever
decides has locked the trigger.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

from scheduler.domain import templates
from scheduler.domain.fields import LONGEST_KEY, Field, as_boolean, as_data, as_text

NAME = "default"
MOST_GATHERED = 1_000
LARGEST_GATHERED = 1 << 20  # characters of data that one start gathers at most
LOOK_AGAIN = timedelta(seconds=1)  # for a run to end, which nobody tells those who wait

_KEY = as_text(LONGEST_KEY)


class Fate(StrEnum):
    """What became of an event that a trigger wanted."""

    STARTED = "STARTED"
    WAITING = "WAITING"
    MERGED = "MERGED"
    THROTTLED = "THROTTLED"
    DEDUPED = "DEDUPED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dedup:
    """Events of one key start one run within the window, which begins with the first."""

    key: str
    window: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Debounce:
    """Starts when no event of the key has come for so long, or `max_wait` after the first."""

    key: str = ""
    quiet: timedelta
    max_wait: timedelta | None = None
    input: str = "last"  # or gathered


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Starts with so many events of the key, or with what came in so long."""

    key: str = ""
    max: int
    wait: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """At most so many starts of the key in any stretch of time of this length."""

    key: str = ""
    max: int
    per: timedelta
    rest: str = "drop"  # or queue
    most: int = 10_000  # that may queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """At most so many living runs of the key that this trigger started."""

    key: str = ""
    max: int = 1
    rest: str = "queue"  # or drop
    most: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSpec:
    events: tuple[str, ...]
    name: str = NAME
    description: str = ""
    when: str | None = None
    input: Any = None
    priority: int | None = None
    dedup: Dedup | None = None
    debounce: Debounce | None = None
    batch: Batch | None = None
    throttle: Throttle | None = None
    concurrency: Concurrency | None = None

    @property
    def remembers(self) -> bool:
        """Whether one decision depends on those before."""
        rules = (self.dedup, self.debounce, self.batch, self.throttle, self.concurrency)
        return any(rule is not None for rule in rules)

    @property
    def gathers(self) -> bool:
        gathered = self.debounce is not None and self.debounce.input == "gathered"
        return gathered or self.batch is not None

    def matches(self, type: str) -> bool:
        return any(matches(pattern, type) for pattern in self.events)


def matches(pattern: str, type: str) -> bool:
    """`*` stands for anything without a dot, `**` for anything."""
    return _compiled(pattern).fullmatch(type) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*|\*)", pattern)
    words = {"**": ".*", "*": r"[^.]*"}
    return re.compile("".join(words.get(part, re.escape(part)) for part in parts), re.DOTALL)


# What an event comes to


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An event that a trigger wants, and what its expressions come to for it."""

    event: int
    at: datetime  # when it was received
    input: dict[str, Any]
    size: int = 0
    keys: Mapping[str, str] = field(default_factory=dict)  # by rule


def wants(spec: TriggerSpec, event: Mapping[str, Any]) -> bool:
    """Raises Invalid where the condition has no answer for this event."""
    if spec.when is None:
        return True
    when = Field(("when",), templates.read(spec.when), as_boolean)
    return bool(when.come_to({"event": event}))


def input_of(spec: TriggerSpec, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The input of a run that starts for these; the last of them is `event`."""
    if spec.input is not None:
        scope = {"event": events[-1], "events": list(events)}
        found: dict[str, Any] = Field(("input",), spec.input, as_data).come_to(scope)
        return found
    if spec.gathers:
        return {"events": list(events)}
    data = events[-1]["data"]
    return dict(data) if isinstance(data, Mapping) else {}


def keys_of(spec: TriggerSpec, event: Mapping[str, Any]) -> dict[str, str]:
    rules = {
        "dedup": spec.dedup,
        "open": spec.debounce or spec.batch,
        "throttle": spec.throttle,
        "concurrency": spec.concurrency,
    }
    return {
        name: Field((name, "key"), templates.read(rule.key), _KEY).come_to({"event": event})
        for name, rule in rules.items()
        if rule is not None
    }


# What a trigger remembers


@dataclass(slots=True)
class Memory:
    """Of one rule and key."""

    until: datetime | None = None
    times: list[datetime] = field(default_factory=list)
    living: int = 0


@dataclass(slots=True, kw_only=True)
class Open:
    """A start that gathers events until it is due."""

    key: str
    kind: str
    gathers: bool
    input: dict[str, Any]
    last_event: int
    first_at: datetime
    due_at: datetime
    turn: str | None = None
    events: int = 1
    size: int = 0
    id: int | None = None


@dataclass(slots=True)
class Memories:
    """All that a decision may depend on; it notes what it changes."""

    of: dict[tuple[str, str], Memory] = field(default_factory=dict)
    open: dict[str, Open] = field(default_factory=dict)
    queued: dict[str, int] = field(default_factory=dict)
    changed: set[tuple[str, str]] = field(default_factory=set)

    def get(self, rule: str, key: str) -> Memory:
        return self.of.setdefault((rule, key), Memory())

    def change(self, rule: str, key: str) -> Memory:
        self.changed.add((rule, key))
        return self.get(rule, key)


@dataclass(frozen=True, slots=True)
class Start:
    """Now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """With others, or alone for its turn."""

    on: Open


@dataclass(frozen=True, slots=True)
class Drop:
    fate: Fate
    reason: str


Verdict = Start | Wait | Drop


def decide(spec: TriggerSpec, wanted: Wanted, memories: Memories, now: datetime) -> Verdict:
    if spec.dedup and (dropped := _deduped(spec.dedup, wanted, memories)):
        return dropped
    if spec.debounce:
        return _debounced(spec.debounce, wanted, memories)
    if spec.batch:
        return _batched(spec.batch, wanted, memories)
    if spec.throttle:
        return _throttled(spec.throttle, wanted, memories, now)
    if spec.concurrency:
        return _in_turn(spec.concurrency, wanted, memories, now)
    return Start()


def _deduped(rule: Dedup, wanted: Wanted, memories: Memories) -> Drop | None:
    key = wanted.keys["dedup"]
    known = memories.get("dedup", key).until
    if known is not None and wanted.at < known:
        return Drop(Fate.DEDUPED, f"{key!r} was there before, and is known until {known:%F %T %Z}")
    memories.change("dedup", key).until = wanted.at + rule.window
    return None


def _debounced(rule: Debounce, wanted: Wanted, memories: Memories) -> Wait:
    gathers = rule.input == "gathered"
    opened = _joined(memories, wanted.keys["open"], "debounce", wanted, gathers=gathers)
    due = max(opened.due_at, wanted.at + rule.quiet)
    opened.due_at = min(due, opened.first_at + rule.max_wait) if rule.max_wait else due
    if gathers and _is_full(opened, MOST_GATHERED):
        _close(opened, memories, wanted.at)
    return Wait(opened)


def _batched(rule: Batch, wanted: Wanted, memories: Memories) -> Wait:
    opened = _joined(memories, wanted.keys["open"], "batch", wanted, gathers=True)
    opened.due_at = opened.first_at + rule.wait
    if _is_full(opened, rule.max):
        _close(opened, memories, wanted.at)
    return Wait(opened)


def _close(opened: Open, memories: Memories, now: datetime) -> None:
    """It takes no more, and starts at once."""
    del memories.open[opened.key]
    opened.kind, opened.due_at = "queue", min(opened.due_at, now)


def _joined(memories: Memories, key: str, kind: str, wanted: Wanted, *, gathers: bool) -> Open:
    found = memories.open.get(key)
    if found is None:
        found = memories.open[key] = Open(
            key=key,
            kind=kind,
            gathers=gathers,
            input=wanted.input,
            last_event=wanted.event,
            first_at=wanted.at,
            due_at=wanted.at,
            size=wanted.size,
        )
        return found
    found.events += 1
    found.size += wanted.size
    found.first_at = min(found.first_at, wanted.at)
    if wanted.event > found.last_event:
        found.last_event, found.input = wanted.event, wanted.input
    return found


def _is_full(opened: Open, most: int) -> bool:
    return opened.events >= most or opened.size >= LARGEST_GATHERED


def _throttled(rule: Throttle, wanted: Wanted, memories: Memories, now: datetime) -> Verdict:
    key = wanted.keys["throttle"]
    turn = next_turn(rule, memories.get("throttle", key).times, now)
    if turn > now and rule.rest == "drop":
        return Drop(Fate.THROTTLED, f"{rule.max} were started for {key!r} in {rule.per}")
    if turn > now and memories.queued.get(key, 0) >= rule.most:
        return Drop(Fate.THROTTLED, f"{rule.most} wait for their turn already")
    memory = memories.change("throttle", key)
    memory.times = [*memory.times, turn][-rule.max :]
    memory.until = turn + rule.per
    return Start() if turn <= now else Wait(_queued(wanted, memories, key, turn))


def next_turn(rule: Throttle, times: Sequence[datetime], now: datetime) -> datetime:
    """When one more may be started; `times` are those of the latest, also of those to come."""
    return now if len(times) < rule.max else max(now, times[-rule.max] + rule.per)


def _in_turn(rule: Concurrency, wanted: Wanted, memories: Memories, now: datetime) -> Verdict:
    key = wanted.keys["concurrency"]
    if memories.get("concurrency", key).living < rule.max and not memories.queued.get(key):
        memories.change("concurrency", key).living += 1
        return Start()
    if rule.rest == "drop":
        return Drop(Fate.SKIPPED, f"{rule.max} runs of {key!r} are under way")
    if memories.queued.get(key, 0) >= rule.most:
        return Drop(Fate.THROTTLED, f"{rule.most} wait for their turn already")
    return Wait(_queued(wanted, memories, key, now, turn=key))


def _queued(
    wanted: Wanted, memories: Memories, key: str, due: datetime, *, turn: str | None = None
) -> Open:
    memories.queued[key] = memories.queued.get(key, 0) + 1
    return Open(
        key=key,
        kind="queue",
        gathers=False,
        input=wanted.input,
        last_event=wanted.event,
        first_at=wanted.at,
        due_at=due,
        turn=turn,
    )
