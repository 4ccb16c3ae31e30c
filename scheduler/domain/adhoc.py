"""A command somebody types once, as a process type of one task.

It is stored like any definition, so its run is one like any other: looked at, stopped, retried.
Nothing of it is filled in: an argument stays the argument it is, whatever characters it has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduler.domain.definitions import QUEUE, OnLost, ProcessType
from scheduler.domain.errors import Invalid, InvalidDefinition
from scheduler.domain.process_types import from_document
from scheduler.domain.templates import ESCAPED, OPENING

TYPE = "exec"
MARK = {"kind": "ad-hoc"}  # the label by which versions made here are told from an author's
TASK = "command"

# What a definition calls it, and what the wish does.
FIELDS = {"run": "argv"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AdHoc:
    """A wish to run a command now. It is not begun a second time unless `on_lost` says so."""

    argv: Sequence[str]
    name: str = TASK
    queue: str = QUEUE
    on: Mapping[str, Any] | None = None  # as of a task
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: str | None = None
    timeout: str | float | None = None
    merge_output: bool = False
    on_lost: OnLost = "fail"


def as_type(wish: AdHoc) -> ProcessType:
    """Raises Invalid naming the field of the wish."""
    task = {
        "name": wish.name,
        "run": [plain(word) for word in wish.argv],
        "cwd": None if wish.cwd is None else plain(wish.cwd),
        "env": {name: plain(value) for name, value in wish.env.items()} or None,
        "stdin": None if wish.stdin is None else plain(wish.stdin),
        "timeout": wish.timeout,
        "merge_output": wish.merge_output,
        "on_lost": wish.on_lost,
        "on": wish.on,
    }
    document = {
        "name": TYPE,
        "description": "Commands that were given to `procession exec`, a version each.",
        "queue": wish.queue,
        "labels": MARK,
        "tasks": [{key: value for key, value in task.items() if value is not None}],
    }
    try:
        return from_document(document)
    except InvalidDefinition as refused:
        raise in_words_of_the_wish(refused.faults[0]) from None


def plain(text: str) -> str:
    """The text as a definition says it: without any expression."""
    return text.replace(OPENING, ESCAPED)


def is_ad_hoc(document: Mapping[str, Any]) -> bool:
    return bool(document.get("labels") == MARK)


def in_words_of_the_wish(fault: str) -> Invalid:
    """`stored: tasks[0].run[0]: …` becomes `argv[0]: …`."""
    said = fault.partition(": ")[2].removeprefix("tasks[0].")
    where, _, what = said.partition(": ")
    name = where.partition("[")[0].partition(".")[0]
    known = FIELDS.get(name, name)
    return Invalid(f"{known}{where.removeprefix(name)}: {what}", field=known)
