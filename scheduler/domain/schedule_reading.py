"""Schedules from documents and back, with every fault named and placed."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from scheduler.domain import calendars, cron, places, schedules
from scheduler.domain.blackouts import MIDNIGHT, Blackout, Dates, Hours, Stretch
from scheduler.domain.documents import UnreadableDocument, node_of, plain
from scheduler.domain.durations import format_duration, parse_duration
from scheduler.domain.errors import Invalid, InvalidDefinition
from scheduler.domain.names import TASK_NAME, suggestion
from scheduler.domain.schedules import (
    EPOCH,
    NAME,
    At,
    CatchUp,
    Cron,
    Every,
    Missed,
    Overlap,
    Plan,
    ScheduleSpec,
    Timing,
)
from scheduler.domain.sections import (
    Cursor,
    Faults,
    Section,
    kind_of,
    matching,
    one_of,
    short_text,
    text,
    whole,
)

TIMINGS = ("cron", "every", "at")
KEYS = (
    "name",
    "description",
    *TIMINGS,
    "anchor",
    "zone",
    "input",
    "start",
    "end",
    "jitter",
    "blackouts",
    "overlap",
    "catch_up",
    "priority",
    "workstation",
)
MOST = 100  # schedules of one type or record
MOST_BLACKOUTS = 50
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SHORTEST, LONGEST_JITTER = timedelta(seconds=1), timedelta(days=1)
SOURCE = "schedule"
NEVER: Timing = At(EPOCH)
SAMPLE = "sample"  # where the hashes lie does not matter for what is checked

CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
DATE = re.compile(r"(\d{4}-)?(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", re.ASCII)
MOMENT_RULE = "write 2026-03-29T02:30:00Z, or 2026-03-29T02:30 for a clock in the schedule's zone"
CLOCK_RULE = 'write two clocks such as ["22:00", "06:00"]'

E = TypeVar("E", bound=StrEnum)
schedule_name = matching(
    TASK_NAME, "a schedule's name is 1 to 63 of a-z, 0-9, '-' and '_', a letter or digit first"
)


def read_schedule(document: Mapping[str, Any]) -> ScheduleSpec:
    """The schedule of a document of plain values; raises InvalidDefinition with all faults."""
    faults = Faults(SOURCE)
    try:
        spec = schedule_at(Cursor(node_of(dict(document)), "", faults))
    except UnreadableDocument as fault:
        raise InvalidDefinition([f"{SOURCE}: {fault}"]) from None
    if faults.found:
        raise InvalidDefinition(faults.lines())
    return spec


def schedules_at(cursor: Cursor) -> tuple[ScheduleSpec, ...]:
    """A list of schedules within a larger document; each has a name of its own."""
    cursors = cursor.items()
    if len(cursors) > MOST:
        raise Invalid(f"at most {MOST} schedules")
    specs = tuple(schedule_at(each) for each in cursors)
    seen: set[str] = set()
    for spec, each in zip(specs, cursors, strict=True):
        if spec.name in seen:
            each.fail(f"there is a schedule {spec.name!r} before it: give each a 'name' of its own")
        seen.add(spec.name)
    return specs


def schedule_at(cursor: Cursor) -> ScheduleSpec:
    section = Section(cursor, KEYS)
    zone = section.take("zone", zone_name, "UTC")
    moment = moment_in(calendars.zone_of(zone))
    spec = ScheduleSpec(
        name=section.take("name", schedule_name, NAME),
        description=section.take("description", short_text, ""),
        timing=timing(section, moment),
        zone=zone,
        input=section.take("input", values, {}),
        start=section.take("start", moment, None),
        end=section.take("end", moment, None),
        jitter=section.take("jitter", length(timedelta(), LONGEST_JITTER), timedelta()),
        blackouts=section.take("blackouts", lambda each: blackouts(each, moment), ()),
        overlap=section.take("overlap", choice(Overlap), Overlap.ALLOW),
        catch_up=section.take("catch_up", catch_up, CatchUp()),
        priority=section.take("priority", whole(0, 9), None),
        workstation=section.take("workstation", station, None),
    )
    if spec.start and spec.end and spec.end <= spec.start:
        cursor.fail("'end' is not behind 'start'")
    elif spec.timing is not NEVER and not occurs(spec):
        cursor.fail("it never comes to a tick: no day fits 'cron', 'start' and 'end'")
    return spec


def station(cursor: Cursor) -> str:
    return places.check_name(text(cursor).strip())


def occurs(spec: ScheduleSpec) -> bool:
    """Whether there is a tick at all; what is over counts."""
    since = spec.start or (spec.timing.instant if isinstance(spec.timing, At) else EPOCH)
    return Plan(spec, SAMPLE).since(since) is not None


def timing(section: Section, moment: Callable[[Cursor], datetime | None]) -> Timing:
    given = [key for key in TIMINGS if key in section]
    if len(given) != 1:
        several = f", not {' and '.join(given)}" if given else ""
        section.cursor.fail(f"one of 'cron', 'every' and 'at' is needed{several}")
        for key in given:
            section.take(key, lambda _: None, None)
        return NEVER
    if "anchor" in section and given != ["every"]:
        section.take("anchor", only_with_every, None)
    match given[0]:
        case "cron":
            return section.take("cron", cron_text, NEVER)
        case "every":
            anchor = section.take("anchor", moment, None) or EPOCH
            every = section.take("every", length(SHORTEST, timedelta(days=366)), None)
            return Every(every, anchor) if every else NEVER
    at = section.take("at", moment, None)
    return At(at) if at else NEVER


def only_with_every(_: Cursor) -> None:
    raise Invalid("an anchor belongs to 'every': leave it out")


def cron_text(cursor: Cursor) -> Timing:
    written = text(cursor).strip()
    cron.compiled(written, SAMPLE)
    return Cron(written)


def zone_name(cursor: Cursor) -> str:
    return calendars.zone_of(text(cursor)).key


def moment_in(zone: ZoneInfo) -> Callable[[Cursor], datetime | None]:
    def reader(cursor: Cursor) -> datetime | None:
        return moment_of(text(cursor), zone)

    return reader


def moment_of(written: str, zone: ZoneInfo) -> datetime:
    """An instant; what has no offset is a clock in `zone`."""
    try:
        found = datetime.fromisoformat(written.strip())
        if not 1970 <= found.year <= 2199:
            raise ValueError
    except (ValueError, OverflowError):
        raise Invalid(f"{written[:40]!r} is no time: {MOMENT_RULE}") from None
    if found.tzinfo is None:
        return calendars.instant_of(found.replace(fold=0), zone)
    return found.astimezone(UTC)


def length(least: timedelta, most: timedelta) -> Callable[[Cursor], timedelta]:
    def reader(cursor: Cursor) -> timedelta:
        value = cursor.value
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise Invalid(f"a duration is expected, not {kind_of(cursor.node)}: write 30s or 6h")
        found = parse_duration(value)
        if not least <= found <= most:
            span = f"{format_duration(least)} to {format_duration(most)}"
            raise Invalid(f"a duration from {span} is expected, not {value}")
        return found

    return reader


def choice(kind: type[E]) -> Callable[[Cursor], E]:
    choose = one_of(*(each.value for each in kind))
    return lambda cursor: kind(choose(cursor))


def values(cursor: Cursor) -> Mapping[str, Any]:
    cursor.entries()
    given: dict[str, Any] = plain(cursor.node)
    sample = schedules.words_of(EPOCH, calendars.zone_of("UTC"))
    schedules.filled(given, {"tick": sample})
    return given


def catch_up(cursor: Cursor) -> CatchUp:
    if isinstance(cursor.value, str):
        return CatchUp(choice(Missed)(cursor))
    section = Section(cursor, ("policy", "window", "per_minute"))
    window = length(timedelta(minutes=1), timedelta(days=366))
    return CatchUp(
        section.take("policy", choice(Missed), Missed.LAST),
        section.take("window", window, CatchUp().window),
        section.take("per_minute", whole(1, 6000), CatchUp().per_minute),
    )


def blackouts(cursor: Cursor, moment: Callable[[Cursor], datetime | None]) -> tuple[Blackout, ...]:
    cursors = cursor.items()
    if len(cursors) > MOST_BLACKOUTS:
        raise Invalid(f"at most {MOST_BLACKOUTS} blackouts")
    return tuple(each for one in cursors if (each := one.read(lambda c: blackout(c, moment), None)))


def blackout(cursor: Cursor, moment: Callable[[Cursor], datetime | None]) -> Blackout | None:
    section = Section(cursor, ("from", "until", "days", "between", "dates", "why"))
    why = section.take("why", short_text, "")
    given = {key for key in section.entries if key in section.known} - {"why"}
    if given == {"from", "until"}:
        start = section.take("from", moment, None)
        end = section.take("until", moment, None)
        if start and end and end <= start:
            raise Invalid("'until' is not behind 'from'")
        return Stretch(start, end, why) if start and end else None
    if given and given <= {"days", "between"}:
        days = section.take("days", weekdays, frozenset(range(7)))
        start_clock, end_clock = section.take("between", clocks, (MIDNIGHT, MIDNIGHT))
        return Hours(days, start_clock, end_clock, why)
    if given == {"dates"}:
        return Dates(section.take("dates", dates, frozenset()), why)
    raise Invalid("a blackout has 'from' and 'until', or 'days' and 'between', or 'dates'")


def weekdays(cursor: Cursor) -> frozenset[int]:
    words = [text(each).lower()[:20] for each in cursor.items()]
    for word in words:
        if word not in DAYS:
            raise Invalid(f"{word!r} is no day of the week: {suggestion(word, DAYS)}")
    return frozenset(DAYS.index(word) for word in words)


def clocks(cursor: Cursor) -> tuple[time, time]:
    found = [CLOCK.fullmatch(text(each)) for each in cursor.items()]
    if len(found) != 2 or not all(found):
        raise Invalid(CLOCK_RULE)
    start, end = (time(int(each[1]), int(each[2])) for each in found if each)
    if start == end:
        raise Invalid(f"the two clocks are the same, which is no time at all: {CLOCK_RULE}")
    return start, end


def dates(cursor: Cursor) -> frozenset[str]:
    words = [text(each) for each in cursor.items()]
    for word in words:
        if not DATE.fullmatch(word):
            raise Invalid(f"{word[:20]!r} is no date: write 2026-12-24, or 12-24 for every year")
    return frozenset(words)


def write_schedule(spec: ScheduleSpec) -> dict[str, Any]:
    """The one document of this content: defaults left out, instants in UTC."""
    given: dict[str, Any] = {
        "name": spec.name if spec.name != NAME else None,
        "description": spec.description,
        **written_timing(spec.timing),
        "zone": spec.zone if spec.zone != "UTC" else None,
        "input": dict(spec.input),
        "start": written_moment(spec.start),
        "end": written_moment(spec.end),
        "jitter": format_duration(spec.jitter) if spec.jitter else None,
        "blackouts": [written_blackout(each) for each in spec.blackouts],
        "overlap": spec.overlap.value if spec.overlap is not Overlap.ALLOW else None,
        "catch_up": written_catch_up(spec.catch_up),
        "workstation": spec.workstation,
    }
    document = {key: value for key, value in given.items() if value not in (None, "", {}, [])}
    return document if spec.priority is None else {**document, "priority": spec.priority}


def written_timing(timing: Timing) -> dict[str, Any]:
    match timing:
        case Cron(written):
            return {"cron": written}
        case Every(every, anchor):
            since = {} if anchor == EPOCH else {"anchor": written_moment(anchor)}
            return {"every": format_duration(every), **since}
        case At(instant):
            return {"at": written_moment(instant)}


def written_moment(instant: datetime | None) -> str | None:
    if instant is None:
        return None
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def written_catch_up(given: CatchUp) -> Any:
    if given == CatchUp():
        return None
    if given == CatchUp(given.policy):
        return given.policy.value
    return {
        "policy": given.policy.value,
        "window": format_duration(given.window),
        "per_minute": given.per_minute,
    }


def written_blackout(given: Blackout) -> dict[str, Any]:
    why = {"why": given.why} if given.why else {}
    match given:
        case Stretch(start, end):
            return {"from": written_moment(start), "until": written_moment(end), **why}
        case Dates(days):
            return {"dates": sorted(days), **why}
        case Hours(days, start_clock, end_clock):
            between = {"between": [f"{start_clock:%H:%M}", f"{end_clock:%H:%M}"]}
            every_day = len(days) == 7 and start_clock != end_clock
            named: dict[str, Sequence[str]] = (
                {} if every_day else {"days": [DAYS[day] for day in sorted(days)]}
            )
            return {**named, **(between if start_clock != end_clock else {}), **why}
