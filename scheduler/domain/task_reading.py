"""From a node of a document to a task's definition."""

import re
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, Literal, cast

from scheduler.domain import kinds, placement_reading
from scheduler.domain.definitions import (
    GRACE,
    OUTPUT_CAP,
    PLACED_WITH_TYPE,
    After,
    ForEach,
    HookName,
    Join,
    Kind,
    Limit,
    OnFailure,
    OnLost,
    Placement,
    Rate,
    Repeat,
    ResourceLimits,
    TaskDefinition,
)
from scheduler.domain.errors import Invalid
from scheduler.domain.kinds.action import QUEUE as ACTIONS
from scheduler.domain.kinds.command import OF_CHILDREN, OF_PLACES, OF_WORKERS
from scheduler.domain.kinds.workflow import QUEUE as WORKFLOWS
from scheduler.domain.names import ENV_NAME, ENV_NAME_RULE, is_guarded
from scheduler.domain.readers import (
    duration,
    duration_or_none,
    expression,
    number_or_share,
    plain_text,
    priority,
    secret_name,
    size,
    task_name,
    task_names,
    template,
    template_or_empty,
    type_name,
)
from scheduler.domain.retries import RetryPolicy
from scheduler.domain.sections import (
    Cursor,
    Section,
    decimal,
    filled_text,
    flag,
    kind_of,
    one_of,
    short_text,
    texts,
    whole,
)
from scheduler.domain.templates import OPENING

IN_ORDER = ("needs", "when", "join", "for_each", "repeat", "undo", "on_failure")
KEYS = (
    "name",
    "description",
    *kinds.NAMES,
    *IN_ORDER,
    "cwd",
    "env",
    "stdin",
    "output",
    "secrets",
    "secret_files",
    "timeout",
    "grace",
    "retries",
    "queue",
    "on",
    "priority",
    "on_lost",
    "limit",
    "rate",
    "share",
    "output_cap",
    "merge_output",
    "resource_limits",
    "user",
    "labels",
)
# What stands beside others' tasks, and not among them, has no place in their order.
APART = tuple(key for key in KEYS if key not in ("name", *IN_ORDER))
ERROR_TYPE = re.compile(r"[^\s\x00-\x1f]{1,200}")
ERROR_TYPE_RULE = "the type of an error is 1 to 200 characters without spaces"
RETRY_KEYS = tuple(field.name for field in fields(RetryPolicy))
MOST_ROUNDS = 10_000
CALLED = {
    "noop": "a noop",
    "http": "an http call",
    "action": "an action",
    "workflow": "a workflow",
    "emit": "an emit",
}
SERVED = ("action", "workflow")  # by programs, from queues of their own

AT_ONCE: tuple[After, str | None] = ("success", None)

queue_name = type_name


def read_task(cursor: Cursor, usual: Placement | None = None) -> TaskDefinition:
    """The task; `needs` are those that it names itself. `usual` is where its type's tasks are
    carried out."""
    section = Section(cursor, KEYS)
    task = _task(section, section.need("name", task_name, ""), usual)
    after, when = section.take("when", condition, AT_ONCE)
    there = placement_reading.of_undo(task.placement) if task.placement else None
    undo = section.take("undo", read_apart(task.name, there), None)
    task = replace(
        task,
        needs=section.take("needs", task_names, ()),
        after=after,
        when=when,
        join=section.take("join", join, Join()),
        for_each=_each_station(task, section) or section.take("for_each", for_each, None),
        repeat=section.take("repeat", repeat, None),
        undo=undo,
        on_failure=section.take("on_failure", on_failure, OnFailure()),
    )
    _refuse_together(task, section)
    return task


def read_apart(name: str, usual: Placement | None = None) -> Callable[[Cursor], TaskDefinition]:
    """A task that stands in nobody's order: a hook, or what undoes another."""

    def reader(cursor: Cursor) -> TaskDefinition:
        section = Section(cursor, APART)
        task = _task(section, name, usual)
        if task.kind == "branch":
            section.entries["branch"].fail("nothing follows here that a branch could choose")
        if task.placement and task.placement.everywhere:
            section.entries["on"].fail("only what stands among the tasks can be done on all")
        return task

    return reader


def hook_name(name: HookName) -> str:
    return f"hook:{name}"


def _task(section: Section, name: str, usual: Placement | None = None) -> TaskDefinition:
    kind = kind_of_task(section)
    on = _on(section, kind, usual)
    what: Any = kinds.KINDS[kind].read(section)
    if what is None:
        kind = "noop"  # or it was refused, and has no sense of its own any more
    is_command = kind == "run"
    return TaskDefinition(
        name=name,
        description=section.take("description", short_text, ""),
        kind=kind,
        command=what if is_command else None,
        work=None if is_command else what,
        output=cast("Any", section.take("output", one_of("none", "text", "lines", "json"), "none")),
        secrets=section.take("secrets", secrets, {}),
        secret_files=section.take("secret_files", secrets, {}),
        cwd=section.take("cwd", template, None),
        env=section.take("env", environment, {}),
        stdin=section.take("stdin", template_or_empty, None),
        timeout=section.take("timeout", duration, None),
        grace=section.take("grace", duration_or_none, GRACE),
        retries=section.take("retries", retries, RetryPolicy()),
        queue=_queue(section, kind, what),
        on=on,
        priority=section.take("priority", priority, None),
        on_lost=section.take("on_lost", on_lost, when_lost(on)),
        limit=section.take("limit", limit, None),
        rate=section.take("rate", rate, None),
        share=section.take("share", template, None),
        output_cap=section.take("output_cap", size(1 << 30), OUTPUT_CAP),
        merge_output=section.take("merge_output", flag, False),
        resource_limits=section.take("resource_limits", resource_limits, None),
        user=section.take("user", filled_text, None),
        labels=section.take("labels", texts, {}),
    )


def kind_of_task(section: Section) -> Kind:
    """The kind, and every key refused that tasks of this kind do not have."""
    given = [key for key in kinds.NAMES if key in section]
    if len(given) != 1:
        if isinstance(section.cursor.value, dict):
            section.cursor.fail(_not_one(given))
        return kinds.NAMES[given[0]] if given else "noop"
    kind = kinds.NAMES[given[0]]
    for key in kinds.BESIDE - kinds.KINDS[kind].BESIDE:
        if key in section:
            section.entries[key].fail(_no_such(kind, key))
    return kind


def _not_one(given: Sequence[str]) -> str:
    if given:
        return f"the task says what to do twice: keep one of {', '.join(given)}"
    return f"the task says nothing to do: give one of {', '.join(kinds.NAMES)}"


def _no_such(kind: Kind, key: str) -> str:
    who = CALLED.get(kind, f"a task of '{kind}'")
    if kind in SERVED and key == "queue":
        return f"{who} goes to those who serve it, so it has no queue"
    if key in OF_PLACES:
        return _not_placed(kind, who)
    if key in OF_WORKERS:
        return f"{who} is carried out by no worker, so it has no {key}"
    if key in OF_CHILDREN or key in ("stdin", "output"):
        return f"{who} runs no command, so it has no {key}"
    return f"{who} has no {key}"


def _not_placed(kind: Kind, who: str) -> str:
    if kind == "http":
        return f"{who} is made by a worker: call with a command, run: [curl, …], to place it"
    if kind in SERVED:
        return f"{who} goes to those who serve it, wherever they are: leave 'on' out"
    return f"{who} is the server's own: only run, shell, python and process can be placed"


def _on(
    section: Section, kind: Kind, usual: Placement | None
) -> Placement | Literal["server"] | None:
    """Its own word, or else that of its type, unless it waits in a queue of its own."""
    if "on" in section:
        on = section.take("on", placement_reading.of_task, None)
        if "queue" in section and isinstance(on, Placement) and "on" in kinds.KINDS[kind].BESIDE:
            section.entries["queue"].fail("a workstation's tasks wait for it alone: leave it out")
        return on
    if kind not in PLACED_WITH_TYPE or "queue" in section:
        return None
    return usual


def when_lost(on: Placement | Literal["server"] | None) -> OnLost:
    """What is done on a workstation is not done again because nobody hears of it."""
    return "wait" if isinstance(on, Placement) else "retry"


def on_lost(cursor: Cursor) -> OnLost:
    return cast("OnLost", one_of("retry", "fail", "wait")(cursor))


def _each_station(task: TaskDefinition, section: Section) -> ForEach | None:
    if task.placement is None or not task.placement.everywhere:
        return None
    if "for_each" in section:
        section.entries["for_each"].fail(
            "the task is done once on each workstation already: leave 'all' or 'for_each' out"
        )
    return placement_reading.each_of_them(section.entries["on"])


def _queue(section: Section, kind: Kind, what: Any) -> str | None:
    match kind:
        case "action":
            return f"{ACTIONS}{what.action}"
        case "workflow":
            return f"{WORKFLOWS}{what.workflow}"
    return section.take("queue", queue_name, None)


def _refuse_together(task: TaskDefinition, section: Section) -> None:
    if task.kind == "branch":
        for key in ("for_each", "repeat", "undo", "retries"):
            if key in section:
                section.entries[key].fail(f"a branch only decides, so it has no {key}")


def condition(cursor: Cursor) -> tuple[After, str | None]:
    if isinstance(cursor.value, dict):
        section = Section(cursor, ("after", "if"))
        return (
            section.need("after", after, "success"),
            section.take("if", expression, None),
        )
    if isinstance(cursor.value, str) and OPENING not in cursor.value:
        return after(cursor), None
    return "success", expression(cursor)


def after(cursor: Cursor) -> After:
    choices = ("success", "always", "on_failure", "any_failed")
    if not isinstance(cursor.value, str) or cursor.value not in choices:
        raise Invalid(
            f"{kind_of(cursor.node)} is no condition: write always, on_failure, any_failed "
            "or an expression, ${{ … }}"
        )
    return cast("After", cursor.value)


def join(cursor: Cursor) -> Join:
    if not isinstance(cursor.value, dict):
        counts = {"all": None, "any": 1}
        return Join(count=counts[one_of(*counts)(cursor)])
    section = Section(cursor, ("count", "stop_rest"))
    return Join(
        count=section.need("count", whole(1, 5_000), 1),
        stop_rest=section.take("stop_rest", flag, False),
    )


def for_each(cursor: Cursor) -> ForEach | None:
    if isinstance(cursor.value, list):
        raise Invalid("put the list under 'vars:' of the type, and write ${{ vars.NAME }} here")
    if not isinstance(cursor.value, dict):
        return ForEach(items=expression(cursor))
    section = Section(cursor, ("in", "max_parallel", "min_success", "stop_rest"))
    return ForEach(
        items=section.need("in", expression, ""),
        max_parallel=section.take("max_parallel", whole(1, 100_000), None),
        min_success=section.take("min_success", number_or_share, None),
        stop_rest=section.take("stop_rest", flag, False),
    )


def repeat(cursor: Cursor) -> Repeat | None:
    section = Section(cursor, ("until", "max", "delay"))
    return Repeat(
        until=section.need("until", expression, ""),
        max=section.need("max", whole(1, MOST_ROUNDS), 1),
        delay=section.take("delay", duration_or_none, timedelta(seconds=1)),
    )


def environment(cursor: Cursor) -> dict[str, str]:
    return {name: each.read(variable(name), "") for name, each in cursor.entries().items()}


def variable(name: str) -> Callable[[Cursor], str]:
    def reader(cursor: Cursor) -> str:
        _check_variable(name)
        value = template_or_empty(cursor)
        if is_guarded(name) and OPENING in value:
            raise Invalid(
                f"{name} decides what code is run, so no data may reach it: set plain text"
            )
        return value

    return reader


def secrets(cursor: Cursor) -> dict[str, str]:
    """Variables and the secrets that they hold."""
    return {name: each.read(secret(name), "") for name, each in cursor.entries().items()}


def secret(name: str) -> Callable[[Cursor], str]:
    def reader(cursor: Cursor) -> str:
        _check_variable(name)
        if is_guarded(name):
            raise Invalid(f"{name} decides what code is run, so no secret may reach it")
        return secret_name(cursor)

    return reader


def _check_variable(name: str) -> None:
    if not ENV_NAME.fullmatch(name):
        raise Invalid(f"{name[:64]!r} names no variable: {ENV_NAME_RULE}")


def retries(cursor: Cursor) -> RetryPolicy:
    if isinstance(cursor.value, int) and not isinstance(cursor.value, bool):
        return RetryPolicy(max=whole(0, 1000)(cursor))
    section, usual = Section(cursor, RETRY_KEYS), RetryPolicy()
    delay = section.take("delay", duration_or_none, usual.delay)
    policy = RetryPolicy(
        max=section.need("max", whole(0, 1000), usual.max),
        delay=delay,
        backoff=section.take("backoff", decimal(1, 100), usual.backoff),
        max_delay=section.take("max_delay", duration_or_none, max(usual.max_delay, delay)),
        jitter=section.take("jitter", decimal(0, 1), usual.jitter),
        exit_codes=section.take("exit_codes", exit_codes, None),
        errors=section.take("errors", error_types, None),
    )
    if delay > policy.max_delay:
        section.entries["max_delay"].fail("it is shorter than 'delay'")
    return policy


def exit_codes(cursor: Cursor) -> frozenset[int] | None:
    codes = [item.read(whole(1, 255), 1) for item in cursor.items()]
    if not codes:
        raise Invalid("an empty list would retry nothing: leave the key out, or set 'max: 0'")
    return frozenset(codes)


def error_types(cursor: Cursor) -> frozenset[str] | None:
    """As a program calls them: `TimeoutError`, `java.io.IOException`."""
    types = [item.read(plain_text(ERROR_TYPE, ERROR_TYPE_RULE), "") for item in cursor.items()]
    if not types:
        raise Invalid("an empty list would retry nothing: leave the key out, or set 'max: 0'")
    return frozenset(types)


def on_failure(cursor: Cursor) -> OnFailure:
    if not isinstance(cursor.value, dict):
        kind = one_of("stop", "stop_now", "continue")(cursor)
        return OnFailure(cast("Any", kind))
    section = Section(cursor, ("handler",))
    handler = section.need("handler", task_name, "")
    return OnFailure("handler", handler) if handler else OnFailure()


def limit(cursor: Cursor) -> Limit | None:
    section = Section(cursor, ("key", "max"))
    key = section.need("key", template, "")
    return Limit(key, section.take("max", whole(1, 100_000), 1))


def rate(cursor: Cursor) -> Rate | None:
    section = Section(cursor, ("key", "max", "per"))
    per = section.need("per", duration, None)
    key, most = section.need("key", template, ""), section.need("max", whole(1, 1_000_000), 1)
    return Rate(key, most, per) if per else None


def resource_limits(cursor: Cursor) -> ResourceLimits | None:
    section = Section(cursor, [field.name for field in fields(ResourceLimits)])
    most = 1 << 50
    return ResourceLimits(
        cpu_seconds=section.take("cpu_seconds", whole(1, 10_000_000), None),
        memory_bytes=section.take("memory_bytes", size(most), None),
        open_files=section.take("open_files", whole(3, 10_000_000), None),
        processes=section.take("processes", whole(1, 10_000_000), None),
        file_bytes=section.take("file_bytes", size(most), None),
    )
