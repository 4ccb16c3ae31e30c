"""Small charts: strips of results, bars of an outcome, activity over time."""

from collections.abc import Mapping, Sequence

from ui import words
from ui.drawing.svg import Node, element, picture

BAR, GAP, TALL = 6, 2, 20
LOW = {"good": 12, "idle": 6}  # what went well is quiet, what did not stands out


def strip(states: Sequence[str], most: int = 20) -> Node:
    """The latest results, the newest on the right; each has a height of its own too."""
    shown = list(states)[:most][::-1]
    start = (most - len(shown)) * (BAR + GAP)
    bars = [
        element("rect", x=each * (BAR + GAP), y=TALL - 2, width=BAR, height=2, class_="track")
        for each in range(most - len(shown))
    ]
    for place, state in enumerate(shown):
        word = words.state(state)
        height = LOW.get(word.tone, TALL)
        bars.append(
            element(
                "rect",
                element("title", word.text),
                x=start + place * (BAR + GAP),
                y=TALL - height,
                width=BAR,
                height=height,
                rx=1,
                class_=f"fill {word.tone}",
            )
        )
    width = most * (BAR + GAP) - GAP
    return picture(width, TALL, summary(shown), *bars, class_="strip", width=width, height=TALL)


def summary(states: Sequence[str]) -> str:
    if not states:
        return "no results yet"
    told = {state: states.count(state) for state in dict.fromkeys(states)}
    named = ", ".join(f"{count} {words.state(state).text}" for state, count in told.items())
    return f"the last {len(states)}: {named}"


def shares(counts: Mapping[str, float]) -> Node:
    """One bar, divided as the outcomes are."""
    total, at, parts = sum(counts.values()), 0.0, []
    for state, count in counts.items():
        width = 1000 * count / total if total else 0.0
        word = words.state(state)
        parts.append(
            element(
                "rect",
                element("title", f"{word.text}: {words.number(count)}"),
                x=at,
                y=0,
                width=max(0.0, width - 2),
                height=12,
                class_=f"fill {word.tone}",
            )
        )
        at += width
    named = ", ".join(f"{words.number(n)} {words.state(s).text}" for s, n in counts.items())
    return picture(
        1000, 12, named or "nothing yet", *parts, class_="shares", preserveAspectRatio="none"
    )


def activity(counts: Sequence[int], labels: Sequence[str]) -> Node:
    """How much began in each part of a time."""
    most = max((*counts, 1))
    bars = [
        element(
            "rect",
            element("title", f"{label}: {words.number(count)}"),
            x=place * 10 + 1,
            y=60 - max(1.0 if count else 0.0, 58 * count / most),
            width=8,
            height=max(1.0 if count else 0.0, 58 * count / most),
            class_="fill run",
        )
        for place, (count, label) in enumerate(zip(counts, labels, strict=True))
    ]
    base = element("path", d=f"M0 60h{len(counts) * 10}", class_="axis")
    told = f"{words.number(sum(counts))} in all, {words.number(most)} at most in one part"
    return picture(
        len(counts) * 10, 61, told, *bars, base, class_="activity", preserveAspectRatio="none"
    )


def progress(done: float, total: float, *, late: bool = False) -> Node:
    """How far something is; it takes another colour beyond its usual time."""
    width = 100 * done / total if total else 0.0
    label = f"{done:g} of {total:g}" + (", longer than usual" if late else "")
    return picture(
        100,
        6,
        label,
        element("rect", x=0, y=0, width=100, height=6, class_="track"),
        element(
            "rect", x=0, y=0, width=width, height=6, class_="fill late" if late else "fill run"
        ),
        class_="progress",
        preserveAspectRatio="none",
    )
