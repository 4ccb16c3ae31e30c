"""Times in which nothing of a schedule is started: a stretch, hours of the week, or dates."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from scheduler.domain.calendars import instant_of, wall

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


@dataclass(frozen=True, slots=True)
class Dates:
    """Whole days: of one year (2026-12-24), or of every year (12-24)."""

    dates: frozenset[str]
    why: str = ""

    def end_at(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        day: date = wall(instant, zone).date()
        if self.dates.isdisjoint({day.isoformat(), day.strftime("%m-%d")}):
            return None
        return end_behind(datetime.combine(day + DAY, MIDNIGHT), instant, zone)


Blackout = Stretch | Hours | Dates


def end_behind(clock: datetime, instant: datetime, zone: ZoneInfo) -> datetime:
    """When the clock shows it: for the second time, if the first is over."""
    first = instant_of(clock, zone)
    return first if first > instant else clock.replace(tzinfo=zone, fold=1).astimezone(UTC)
