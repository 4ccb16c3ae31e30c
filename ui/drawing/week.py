"""A week of schedules: seven days, each time in its hour, past ones in the colour of their end."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from ui import words
from ui.drawing.svg import Node, element, picture
from ui.timetable import DAY, Mark

LEFT, TOP, WIDE, TALL = 44, 26, 138, 22
HOURS = 24
SHOWN = 2  # names in one hour; more are counted
LONGEST = 15  # letters of a name where it stands alone
SIGNS = {"bad": "✕ ", "stop": "■ ", "idle": "— "}  # beside the colour
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def week(marks: Sequence[Mark], monday: datetime, now: datetime) -> Node:
    zone = monday.tzinfo
    cells: dict[tuple[int, int], list[Mark]] = defaultdict(list)
    for each in sorted(marks, key=lambda mark: mark.at):
        there = each.at.astimezone(zone)
        cells[(there.date() - monday.date()) // DAY, there.hour].append(each)
    inside = [
        *frame_of(monday),
        *(cell(day, hour, found, zone) for (day, hour), found in cells.items() if 0 <= day < 7),
        *present(monday, now),
    ]
    label = f"{words.plural(len(marks), 'time')} in the week of {monday:%d %b %Y}"
    width, height = LEFT + 7 * WIDE, TOP + HOURS * TALL
    return picture(
        width, height, label, *inside, role="group", class_="week", width=width, height=height
    )


def frame_of(monday: datetime) -> list[Node]:
    days = [
        element(
            "text",
            f"{name} {monday + timedelta(days=place):%d %b}",
            x=LEFT + place * WIDE + 6,
            y=17,
        )
        for place, name in enumerate(DAYS)
    ]
    hours = [
        element("text", f"{hour:02}:00", x=2, y=TOP + hour * TALL + 15, class_="note")
        for hour in range(0, HOURS, 2)
    ]
    across = "".join(f"M{LEFT} {TOP + hour * TALL}h{7 * WIDE}" for hour in range(0, HOURS + 1, 2))
    down = "".join(f"M{LEFT + day * WIDE} {TOP}v{HOURS * TALL}" for day in range(8))
    return [element("path", d=across + down, class_="axis"), *days, *hours]


def present(monday: datetime, now: datetime) -> list[Node]:
    there = now.astimezone(monday.tzinfo)
    day = (there.date() - monday.date()) // DAY
    if not 0 <= day < 7:
        return []
    at = TOP + (there.hour + there.minute / 60) * TALL
    return [
        element(
            "path",
            element("title", f"now, {there:%H:%M}"),
            d=f"M{LEFT + day * WIDE} {at:.1f}h{WIDE}",
            class_="present",
        )
    ]


def cell(day: int, hour: int, marks: Sequence[Mark], zone: tzinfo | None) -> Node:
    """One hour of one day: who comes, or how many where there is no room to say."""
    x, y = LEFT + day * WIDE, TOP + hour * TALL
    if len(marks) > SHOWN:
        return crowd(x, y, marks)
    room = WIDE // len(marks)
    return element(
        "g", *(single(x + place * room, y, room, each, zone) for place, each in enumerate(marks))
    )


def single(x: int, y: int, room: int, mark: Mark, zone: tzinfo | None) -> Node:
    tone = words.state(mark.state).tone if mark.state else "coming"
    letters = (LONGEST if room == WIDE else LONGEST // 2 - 1) - len(SIGNS.get(tone, ""))
    name = mark.name if len(mark.name) <= letters else mark.name[: letters - 1] + "…"
    state = words.state(mark.state).text if mark.state else "to come"
    return element(
        "a",
        element("title", f"{mark.at.astimezone(zone):%H:%M} {mark.name[:200]}: {state}"),
        element(
            "rect", x=x + 2, y=y + 2, width=room - 4, height=TALL - 4, rx=3, class_=f"slot {tone}"
        ),
        element("text", SIGNS.get(tone, "") + name, x=x + 8, y=y + 15),
        href=f"/ui/schedules/{mark.schedule}",
    )


def crowd(x: int, y: int, marks: Sequence[Mark]) -> Node:
    names = ", ".join(dict.fromkeys(each.name[:60] for each in marks[:20]))
    tone = tone_of(marks)
    return element(
        "g",
        element("title", f"{words.plural(len(marks), 'time')}: {names}"),
        element(
            "rect", x=x + 2, y=y + 2, width=WIDE - 4, height=TALL - 4, rx=3, class_=f"slot {tone}"
        ),
        element("text", SIGNS.get(tone, "") + words.plural(len(marks), "time"), x=x + 8, y=y + 15),
    )


def tone_of(marks: Sequence[Mark]) -> str:
    """What is worst of them; to come as long as one is."""
    if any(is_bad(each) for each in marks):
        return "bad"
    past = [each.state for each in marks if each.state is not None]
    return words.state(past[0]).tone if len(past) == len(marks) else "coming"


def is_bad(mark: Mark) -> bool:
    return mark.state is not None and words.state(mark.state).tone == "bad"
