"""A schedule in words: `at 02:30 on the last day of the month`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from scheduler.domain.calendars import zone_of
from scheduler.domain.cron import compiled
from scheduler.domain.durations import format_duration
from scheduler.domain.schedules import EPOCH, At, Cron, Every, Plan

DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", "l": "last"}
UNITS = {"d": "day", "h": "hour", "m": "minute", "s": "second"}

Values = Sequence[Any]  # numbers, or "*" alone for all of them


def in_words(plan: Plan) -> str:
    spec = plan.spec
    match spec.timing:
        case Cron(text):
            return f"{cron_words(text, plan.key)} ({spec.zone})"
        case At(instant):
            return f"once, on {moment_words(instant, spec.zone)}"
        case Every(length, anchor):
            since = "" if anchor == EPOCH else f", counted from {moment_words(anchor, spec.zone)}"
            return f"every {length_words(length)}{since}"


def moment_words(instant: datetime, zone: str) -> str:
    """`Sunday 29 March 2026, 03:00:00 CEST`."""
    local = instant.astimezone(zone_of(zone))
    day = f"{DAYS[local.isoweekday() % 7]} {local.day} {MONTHS[local.month - 1]} {local.year}"
    return f"{day}, {local:%H:%M:%S} {local.tzname()}"


def distance_words(instant: datetime, now: datetime) -> str:
    """How far away it is, in two units at most: `in 2 hours 30 minutes`."""
    seconds = int(abs((instant - now).total_seconds()))
    parts = []
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(counted(count, unit))
    length = " ".join(parts[:2]) or "less than a second"
    return f"in {length}" if instant > now else f"{length} ago"


def length_words(length: timedelta) -> str:
    text = format_duration(length)
    if text[:-1].isdecimal():
        return UNITS[text[-1]] if text[:-1] == "1" else counted(int(text[:-1]), UNITS[text[-1]])
    return text


def counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def cron_words(text: str, key: str) -> str:
    parts = compiled(text, key).parts
    minute, hour, _, month, *rest = parts[0].expanded
    second = rest[1] if len(rest) > 1 else [0]
    days = [found for part in parts if (found := day_words(part))]
    day = " or ".join(days) or ("every day" if is_clock(minute, hour) and is_all(month, 12) else "")
    words = [clock_words(second, minute, hour), day, month_words(month)]
    return " ".join(each for each in words if each)


def clock_words(second: Values, minute: Values, hour: Values) -> str:
    if all(is_single(each) for each in (second, minute, hour)):
        shown = f"at {hour[0]:02}:{minute[0]:02}"
        return f"{shown}:{second[0]:02}" if second[0] else shown
    if is_single(second) and is_single(minute) and len(hour) <= 6 and hour != ["*"]:
        seconds = f":{second[0]:02}" if second[0] else ""
        return "at " + listed([f"{each:02}:{minute[0]:02}{seconds}" for each in hour])
    return " ".join(
        each
        for each in (
            unit_words(second, "second", 60) if second != [0] else "",
            unit_words(minute, "minute", 60) if second == [0] or not is_all(minute, 60) else "",
            unit_words(hour, "hour", 24) if not is_all(hour, 24) else of_all(minute),
        )
        if each
    )


def is_clock(minute: Values, hour: Values) -> bool:
    return is_single(minute) and len(hour) <= 6 and hour != ["*"]


def of_all(minute: Values) -> str:
    """Of the hours nothing is said where every few minutes already says it."""
    return "" if is_all(minute, 60) or step_of(minute, 60) else "of every hour"


def unit_words(values: Values, unit: str, size: int) -> str:
    if is_all(values, size):
        return f"every {unit}"
    if step := step_of(values, size):
        since = f" from {values[0]} on" if values[0] else ""
        return f"every {counted(step, unit)}{since}"
    several = unit if is_single(values) else f"{unit}s"
    return (
        f"{'at' if unit != 'hour' else 'of'} {several} {ranges([str(n) for n in values], values)}"
    )


def day_words(part: Any) -> str:
    _, _, day, _, weekday, *_ = part.expanded
    found = []
    if part.nearest_weekday:
        found.append(f"on the weekday nearest to day {listed(sorted(part.nearest_weekday))}")
    elif "l" in day:
        rest = [str(each) for each in day if each != "l"]
        found.append(f"on {listed([*(f'day {n}' for n in rest), 'the last day'])} of the month")
    elif not is_all(day, 31):
        found.append(f"on day {ranges([str(n) for n in day], day)} of the month")
    if part.nth_weekday_of_month:
        each = [
            f"the {ORDINALS[nth]} {DAYS[int(number)]}"
            for number, several in sorted(part.nth_weekday_of_month.items())
            for nth in sorted(several, key=str)
        ]
        found.append(f"on {listed(each)} of the month")
    elif not is_all(weekday, 7):
        found.append(f"on {ranges([DAYS[n] for n in weekday], weekday)}")
    return " if ".join(found)


def month_words(month: Values) -> str:
    return "" if is_all(month, 12) else f"in {ranges([MONTHS[n - 1] for n in month], month)}"


def is_single(values: Values) -> bool:
    return len(values) == 1 and values != ["*"]


def is_all(values: Values, size: int) -> bool:
    return list(values) == ["*"] or len(values) == size


def step_of(values: Values, size: int) -> int | None:
    """The step, where the values go round the whole field with one."""
    if len(values) < 2:
        return None
    step: int = values[1] - values[0]
    return step if list(values) == list(range(values[0], size, step)) and step > 1 else None


def ranges(names: Sequence[str], values: Values) -> str:
    """Three and more in a row become one stretch."""
    found: list[str] = []
    ordered = sorted(zip(values, names, strict=True))
    for _, group in groupby(enumerate(ordered), key=lambda each: each[1][0] - each[0]):
        row = [name for _, (_, name) in group]
        found += [f"{row[0]} to {row[-1]}"] if len(row) > 2 else row
    return listed(found)


def listed(words: Sequence[Any]) -> str:
    *most, last = [str(each) for each in words]
    return f"{', '.join(most)} and {last}" if most else last
