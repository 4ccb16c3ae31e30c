"""What is believed of what a workstation says: as much as rows can hold and pages can show.

The wire has checked types and sizes. Who speaks may still be anybody, so numbers are cut to what
columns take, texts to what people read, and what has a wrong shape is left out.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edge.messages import Frame, Hello
from edge.wire import BadFrame
from executor.plain import NotPlain
from executor.report import TAKERS, Report
from scheduler.domain.places import LABEL

MOST_SLOTS = 10_000
MOST_LABELS = 50
LONGEST_NAME = 200  # of a book, of a version
MOST_FACTS = 64 << 10  # bytes as JSON
MOST_DETAIL = 64 << 10
SHOWN = ("progress", "text", "status", "labels")


def checked(frame: Frame) -> Frame:
    """A hello as it may be kept; everything else is looked at where it is used."""
    if not frame.messages or not isinstance(frame.messages[0], Hello):
        return frame
    return replace(frame, messages=(hello(frame.messages[0]), *frame.messages[1:]))


def hello(said: Hello) -> Hello:
    if not 0 < len(said.lineage) <= LONGEST_NAME:
        raise BadFrame(f"messages[0].lineage: 1 to {LONGEST_NAME} characters are due")
    return replace(
        said,
        slots=min(said.slots, MOST_SLOTS),
        version=said.version[:LONGEST_NAME],
        labels=labels(said.labels),
        facts=bounded(said.facts, MOST_FACTS),
        policy=bounded(said.policy, MOST_FACTS),
    )


def labels(said: Mapping[str, Any]) -> dict[str, str]:
    found = {
        name: value
        for name, value in said.items()
        if isinstance(value, str) and LABEL.fullmatch(name) and LABEL.fullmatch(value)
    }
    return dict(sorted(found.items())[:MOST_LABELS])


def bounded(said: Mapping[str, Any], most: int) -> dict[str, Any]:
    """All of it, or that there was too much of it."""
    size = len(json.dumps(said))
    return dict(said) if size <= most else {"left_out": f"{size} bytes are more than {most}"}


def progress(said: Any) -> dict[str, Any]:
    """What an attempt may say of itself, by the rules of a command's own lines."""
    report = Report()
    for name in SHOWN:
        if isinstance(said, Mapping) and said.get(name) is not None:
            try:
                TAKERS[name](report, said[name])
            except NotPlain:
                continue
    return report.state()


def detail(said: Mapping[str, Any]) -> dict[str, Any] | None:
    found = bounded(said, MOST_DETAIL)
    if "progress" in found:
        found["progress"] = progress(found["progress"])
    return found or None
