"""Schedules: what is to be started when, and the ticks that follow from it.

A tick is the instant that a schedule names. What is started for it may be started a little later,
by its jitter; the tick stays its name.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from scheduler.domain.blackouts import Blackout, next_start
from scheduler.domain.calendars import zone_of
from scheduler.domain.cron import compiled
from scheduler.domain.templates import read as read_template

NAME = "main"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
BUSY = 1000  # blackouts that a preview looks behind


class Overlap(StrEnum):
    """What a tick does that finds its schedule's run before still going on."""

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE_ONE = "queue_one"
    REPLACE = "replace"


class Missed(StrEnum):
    """What is started of the ticks that nobody was there for."""

    NONE = "none"
    LAST = "last"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class CatchUp:
    policy: Missed = Missed.LAST
    window: timedelta = timedelta(days=1)
    per_minute: int = 60

    @property
    def pause(self) -> timedelta:
        return timedelta(minutes=1) / self.per_minute


@dataclass(frozen=True, slots=True)
class Cron:
    text: str


@dataclass(frozen=True, slots=True)
class Every:
    length: timedelta
    anchor: datetime = EPOCH


@dataclass(frozen=True, slots=True)
class At:
    instant: datetime


Timing = Cron | Every | At


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSpec:
    """What people say of a schedule."""

    timing: Timing
    name: str = NAME
    description: str = ""
    zone: str = "UTC"
    input: Mapping[str, Any] = field(default_factory=dict)
    start: datetime | None = None
    end: datetime | None = None
    jitter: timedelta = timedelta()
    blackouts: tuple[Blackout, ...] = ()
    overlap: Overlap = Overlap.ALLOW
    catch_up: CatchUp = CatchUp()
    priority: int | None = None
    workstation: str | None = None  # which fires it, and carries out its runs


@dataclass(frozen=True, slots=True)
class Quiet:
    """A time in which a schedule starts nothing, and why."""

    start: datetime
    end: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The ticks of a schedule; `key` is what its hashes are made of, so it must never change."""

    spec: ScheduleSpec
    key: str

    @property
    def zone(self) -> ZoneInfo:
        return zone_of(self.spec.zone)

    def after(self, instant: datetime) -> datetime | None:
        """The first tick behind `instant`."""
        spec = self.spec
        if spec.start is not None:
            instant = max(instant, spec.start - MOMENT)
        tick = self._tick_after(instant)
        return None if tick is None or (spec.end and tick >= spec.end) else tick

    def _tick_after(self, instant: datetime) -> datetime | None:
        match self.spec.timing:
            case Cron(text):
                return compiled(text, self.key).after(instant, self.zone)
            case Every(length, anchor):
                return anchor + ((instant - anchor) // length + 1) * length
            case At(moment):
                return moment if moment > instant else None

    def since(self, instant: datetime) -> datetime | None:
        """The first tick that is not before `instant`."""
        return self.after(instant - MOMENT)

    def last_before(self, tick: datetime, end: datetime) -> datetime:
        """The last tick before `end`, of those from `tick` on: by halves, however many they are."""
        low, high = tick, end
        while (following := self.after(low)) is not None and following < end:
            middle = low + (high - low) / 2
            if (found := self.since(middle)) is not None and found < end:
                low = max(found, following)
            else:
                high = middle
        return low

    def due(self, tick: datetime) -> datetime:
        """When what the tick is for is to be started; the same for everybody who asks."""
        if not self.spec.jitter:
            return tick
        text = f"{self.key} {tick.astimezone(UTC).isoformat()}"
        chance = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return tick + timedelta(microseconds=chance % (self.spec.jitter // MOMENT))

    def quiet(self, tick: datetime, pauses: Sequence[Quiet] = ()) -> Quiet | None:
        """Why nothing is started for this tick, and until when."""
        for pause in pauses:
            if pause.start <= tick < pause.end:
                return pause
        for blackout in self.spec.blackouts:
            if end := blackout.end_at(tick, self.zone):
                why = f"blackout: {blackout.why}" if blackout.why else "blackout"
                return Quiet(tick, end, why)
        return None

    def loud_until(
        self, instant: datetime, until: datetime, pauses: Sequence[Quiet] = ()
    ) -> datetime:
        """How long, from an instant at which something is started, that stays so for sure."""
        starts = [pause.start for pause in pauses if instant < pause.start]
        return next_start(self.spec.blackouts, instant, min([until, *starts]), self.zone)

    def upcoming(self, instant: datetime, until: datetime | None = None) -> Iterator[datetime]:
        """The ticks behind `instant` that something will be started for."""
        tick, passed_over = self.after(instant), 0
        while tick is not None and (until is None or tick < until) and passed_over < BUSY:
            if quiet := self.quiet(tick):
                tick, passed_over = self.since(quiet.end), passed_over + 1
            else:
                yield tick
                tick = self.after(tick)

    def input_for(self, tick: datetime) -> dict[str, Any]:
        """The input, with what it says of the tick filled in: `${{ tick.date }}` and the like."""
        found: dict[str, Any] = filled(self.spec.input, {"tick": words_of(tick, self.zone)})
        return found


def words_of(tick: datetime, zone: ZoneInfo) -> dict[str, str]:
    local = tick.astimezone(zone)
    return {
        "at": tick.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "local": local.isoformat(),
        "date": local.date().isoformat(),
        "time": local.strftime("%H:%M:%S"),
    }


def filled(value: Any, scope: Mapping[str, Any]) -> Any:
    match value:
        case str():
            return read_template(value).value(scope)
        case list():
            return [filled(each, scope) for each in value]
        case Mapping():
            return {name: filled(each, scope) for name, each in value.items()}
    return value
