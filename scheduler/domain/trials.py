"""Tests that authors write for their definitions: given outcomes, and what is expected of a run."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scheduler.domain.documents import UnreadableDocument, load, plain
from scheduler.domain.errors import Invalid, InvalidDefinition
from scheduler.domain.names import suggestion
from scheduler.domain.process_types import ProcessType
from scheduler.domain.rehearsal import Given, Played, play
from scheduler.domain.sections import (
    Cursor,
    Faults,
    Section,
    filled_text,
    kind_of,
    one_of,
    short_text,
    whole,
)

EXPECTED = ("status", "error", "tasks", "commands", "output", "compensated")
STATUSES = ("COMPLETED", "FAILED", "STOPPED")
STATES = (*STATUSES, "SKIPPED", "PENDING")
SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    name: str
    input: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Given] = field(default_factory=dict)
    expect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    definition: str | None  # a file, as seen from that of the tests
    type: str | None
    tests: tuple[Trial, ...]


def read(text: str, source: str) -> Trials:
    """Raises InvalidDefinition with every fault and its place."""
    faults = Faults(source)
    found = Trials(definition=None, type=None, tests=())
    try:
        nodes = load(text)
        if len(nodes) > 1:
            faults.add(nodes[1].mark, "", "a file of tests is one document")
        elif nodes:
            found = Cursor(nodes[0], "", faults).read(_file, found)
    except UnreadableDocument as fault:
        faults.add(fault.mark, "", str(fault))
    if not found.tests and not faults.found:
        faults.add(None, "", "there is no test in it: list them under 'tests:'")
    if faults.found:
        raise InvalidDefinition(faults.lines())
    return found


def differences(process_type: ProcessType, trial: Trial) -> Iterator[str]:
    """What came out otherwise than expected; nothing if the test succeeds."""
    _check_names(process_type, trial)
    played = play(process_type, trial.input, trial.given)
    expect = trial.expect
    for name in ("status", "compensated", "output"):
        if name in expect and expect[name] != getattr(played, name):
            yield _otherwise(name, expect[name], getattr(played, name))
    if "error" in expect and expect["error"] not in (played.error or ""):
        yield _otherwise("error", expect["error"], played.error)
    if "status" in expect and expect["status"] != played.status and played.error:
        yield f"the run's error was: {played.error}"
    for task, state in expect.get("tasks", {}).items():
        if state != played.tasks.get(task):
            yield _otherwise(f"tasks.{task}", state, played.tasks.get(task, "not there"))
    for task, command in expect.get("commands", {}).items():
        yield from _commands(played, task, command)


def _commands(played: Played, task: str, expected: Any) -> Iterator[str]:
    asked = played.asked.get(task)
    if asked is None:
        yield _otherwise(f"commands.{task}", expected, "never begun")
    elif isinstance(expected, dict):
        for key, value in expected.items():
            if asked.get(key) != value:
                yield _otherwise(f"commands.{task}.{key}", value, asked.get(key))
    else:
        argv = list(asked.get("argv", ()))
        wished = _argv(expected, is_script=tuple(argv[:2]) == SHELL)
        if argv != wished:
            yield _otherwise(f"commands.{task}", wished, argv)


def _argv(expected: Any, *, is_script: bool) -> list[str]:
    if isinstance(expected, list):
        return [str(word) for word in expected]
    return [*SHELL, str(expected)] if is_script else shlex.split(str(expected))


def _otherwise(what: str, expected: Any, found: Any) -> str:
    return f"{what}: expected {_worded(expected)}, and it was {_worded(found)}"


def _worded(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _check_names(process_type: ProcessType, trial: Trial) -> None:
    """A misspelt name must not make a test that tests nothing."""
    tasks = {task.name: task for task in process_type.tasks}
    others = {f"undo:{name}" for name, task in tasks.items() if task.undo}
    known = {*tasks, *others, *(hook.name for hook in process_type.hooks.values())}
    spoken = (trial.given, trial.expect.get("tasks", {}), trial.expect.get("commands", {}))
    for name in (name for part in spoken for name in part):
        task = tasks.get(name.partition("[")[0])
        if name not in known and not ("[" in name and task and task.for_each):
            raise Invalid(f"there is no task {name[:64]!r}: {suggestion(name, known)}")


def _file(cursor: Cursor) -> Trials:
    section = Section(cursor, ("definition", "type", "tests"))
    nothing: tuple[Trial, ...] = ()
    return Trials(
        definition=section.take("definition", filled_text, None),
        type=section.take("type", filled_text, None),
        tests=section.need("tests", _tests, nothing),
    )


def _tests(cursor: Cursor) -> tuple[Trial, ...]:
    return tuple(item.read(_test, Trial(name="")) for item in cursor.items())


def _test(cursor: Cursor) -> Trial:
    section = Section(cursor, ("name", "input", "given", "expect"))
    return Trial(
        name=section.need("name", short_text, ""),
        input=section.take("input", _map, {}),
        given=section.take("given", _given, {}),
        expect=section.need("expect", _expected, {}),
    )


def _given(cursor: Cursor) -> dict[str, Given]:
    return {name: each.read(_outcome, Given()) for name, each in cursor.entries().items()}


def _outcome(cursor: Cursor) -> Given:
    section = Section(cursor, ("output", "exit_code", "fails"))
    code = section.take("exit_code", whole(0, 255), None)
    fails = section.take("fails", _fails, None if code else 0)
    output = section.take("output", lambda each: plain(each.node), None)
    return Given(output=output, exit_code=code, fails=fails)


def _fails(cursor: Cursor) -> int | None:
    if isinstance(cursor.value, bool):
        return None if cursor.value else 0
    if isinstance(cursor.value, int):
        return whole(0, 1_000)(cursor)
    raise Invalid(f"true, or how many attempts fail, is expected, not {kind_of(cursor.node)}")


def _expected(cursor: Cursor) -> dict[str, Any]:
    section = Section(cursor, EXPECTED)
    section.take("status", one_of(*STATUSES), "")
    section.take("compensated", one_of("yes", "partly", "no"), "")
    section.take("error", short_text, "")
    nothing: dict[str, Any] = {}
    section.take("tasks", _states, nothing)
    section.take("commands", _map, nothing)
    if not section.entries:
        raise Invalid(f"nothing is expected: give one of {', '.join(EXPECTED)}")
    found: dict[str, Any] = plain(cursor.node)
    return found


def _states(cursor: Cursor) -> dict[str, Any]:
    return {name: each.read(one_of(*STATES), "") for name, each in cursor.entries().items()}


def _map(cursor: Cursor) -> dict[str, Any]:
    return {name: plain(each.node) for name, each in cursor.entries().items()}
