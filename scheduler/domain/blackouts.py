"""Times in which nothing of a schedule is started: a stretch, hours of the week, or dates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from scheduler.domain.calendars import first_change, instant_of, wall

DAY = timedelta(days=1)
MIDNIGHT = time()


@dataclass(frozen=True, slots=True)
class Stretch:
    """Once, from one instant until another."""

    start: datetime
    end: datetime
    why: str = ""

    def end_at(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        return self.end if self.start <= instant < self.end else None

    def starts(self, day: date, zone: ZoneInfo) -> list[datetime]:
        return [self.start]


@dataclass(frozen=True, slots=True)
class Hours:
    """On days of the week (0 is Monday), whole or between two clocks; past midnight belongs to the
    day on which it began."""

    days: frozenset[int]
    start: time = MIDNIGHT
    end: time = MIDNIGHT
    why: str = ""

    def end_at(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        clock = wall(instant, zone)
        for day in (clock.date(), clock.date() - DAY):
            begin = datetime.combine(day, self.start)
            over = datetime.combine(day + (DAY if self.end <= self.start else 0 * DAY), self.end)
            if day.weekday() in self.days and begin <= clock < over:
                return end_behind(over, instant, zone)
        return None

    def starts(self, day: date, zone: ZoneInfo) -> list[datetime]:
        return shown(datetime.combine(day, self.start), zone) if day.weekday() in self.days else []


@dataclass(frozen=True, slots=True)
class Dates:
    """Whole days: of one year (2026-12-24), or of every year (12-24)."""

    dates: frozenset[str]
    why: str = ""

    def end_at(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        day: date = wall(instant, zone).date()
        if not self._has(day):
            return None
        return end_behind(datetime.combine(day + DAY, MIDNIGHT), instant, zone)

    def starts(self, day: date, zone: ZoneInfo) -> list[datetime]:
        return shown(datetime.combine(day, MIDNIGHT), zone) if self._has(day) else []

    def _has(self, day: date) -> bool:
        return not self.dates.isdisjoint({day.isoformat(), day.strftime("%m-%d")})


Blackout = Stretch | Hours | Dates


def end_behind(clock: datetime, instant: datetime, zone: ZoneInfo) -> datetime:
    """When the clock shows it: for the second time, if the first is over."""
    first = instant_of(clock, zone)
    return first if first > instant else clock.replace(tzinfo=zone, fold=1).astimezone(UTC)


def shown(clock: datetime, zone: ZoneInfo) -> list[datetime]:
    """The instants at which the clock comes to show it: two, where an hour comes twice."""
    return [instant_of(clock, zone), clock.replace(tzinfo=zone, fold=1).astimezone(UTC)]


def next_start(
    blackouts: Sequence[Blackout], instant: datetime, until: datetime, zone: ZoneInfo
) -> datetime:
    """The first instant behind `instant` at which one may begin; `until` if none does before.

    Where the clocks change one may begin in its middle, so that is such an instant too.
    """
    if not blackouts:
        return until
    changed = first_change(zone, instant, until)
    return min(
        changed or until,
        *(
            start
            for day in days(wall(instant, zone).date(), wall(until, zone).date())
            for blackout in blackouts
            for start in blackout.starts(day, zone)
            if instant < start
        ),
        until,
    )


def days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += DAY
