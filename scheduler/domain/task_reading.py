"""From a node of a document to a task's definition."""

from dataclasses import fields
from datetime import timedelta
from typing import Any, cast

from scheduler.domain import commands, templates
from scheduler.domain.commands import Argv, Command, Script, Split
from scheduler.domain.definitions import (
    GRACE,
    OUTPUT_CAP,
    Limit,
    OnFailure,
    ResourceLimits,
    TaskDefinition,
)
from scheduler.domain.durations import parse_duration
from scheduler.domain.errors import Invalid
from scheduler.domain.expression_syntax import SyntaxFault
from scheduler.domain.names import (
    ENV_NAME,
    ENV_NAME_RULE,
    TASK_NAME,
    TASK_NAME_RULE,
    TYPE_NAME,
    TYPE_NAME_RULE,
    is_guarded,
)
from scheduler.domain.retries import RetryPolicy
from scheduler.domain.sections import (
    Cursor,
    Section,
    decimal,
    filled_text,
    flag,
    kind_of,
    matching,
    one_of,
    short_text,
    text,
    texts,
    whole,
)
from scheduler.domain.sizes import parse_size

COMMANDS = ("run", "shell", "noop")
KEYS = (
    "name",
    "description",
    *COMMANDS,
    "needs",
    "cwd",
    "env",
    "stdin",
    "timeout",
    "grace",
    "retries",
    "queue",
    "priority",
    "on_failure",
    "on_lost",
    "limit",
    "output_cap",
    "merge_output",
    "resource_limits",
    "user",
    "labels",
)
RETRY_KEYS = tuple(field.name for field in fields(RetryPolicy))
OF_COMMANDS = ("cwd", "env", "stdin", "timeout", "grace", "output_cap", "merge_output")
SECOND = timedelta(seconds=1)

task_name = matching(TASK_NAME, TASK_NAME_RULE)
queue_name = matching(TYPE_NAME, TYPE_NAME_RULE)
priority = whole(0, 9)


def read_task(cursor: Cursor) -> TaskDefinition:
    """The task; `needs` are those that it names itself."""
    section = Section(cursor, KEYS)
    command = read_command(section)
    return TaskDefinition(
        name=section.need("name", task_name, ""),
        description=section.take("description", short_text, ""),
        kind="noop" if "noop" in section else "run",
        needs=section.take("needs", needs, ()),
        command=command,
        cwd=section.take("cwd", template, None),
        env=section.take("env", environment, {}),
        stdin=section.take("stdin", template_or_empty, None),
        timeout=section.take("timeout", duration, None),
        grace=section.take("grace", duration_or_none, GRACE),
        retries=section.take("retries", retries, RetryPolicy()),
        queue=section.take("queue", queue_name, None),
        priority=section.take("priority", priority, None),
        on_failure=section.take("on_failure", on_failure, OnFailure()),
        on_lost=cast("Any", section.take("on_lost", one_of("retry", "fail", "wait"), "retry")),
        limit=section.take("limit", limit, None),
        output_cap=section.take("output_cap", size(1 << 30), OUTPUT_CAP),
        merge_output=section.take("merge_output", flag, False),
        resource_limits=section.take("resource_limits", resource_limits, None),
        user=section.take("user", filled_text, None),
        labels=section.take("labels", texts, {}),
    )


def read_command(section: Section) -> Command | None:
    given = [key for key in COMMANDS if key in section]
    if len(given) != 1 and isinstance(section.cursor.value, dict):
        what = "says what to do twice" if given else "says nothing to do"
        section.cursor.fail(f"the task {what}: give one of run, shell and noop: true")
    section.take("noop", is_true, True)
    if "noop" in section:
        for key in (*OF_COMMANDS, "resource_limits", "user"):
            if key in section:
                section.entries[key].fail(f"a noop runs no command, so it has no {key}")
    script = section.take("shell", shell, None)
    return script or section.take("run", run, None)


def is_true(cursor: Cursor) -> bool:
    if cursor.value is not True:
        raise Invalid("write 'noop: true', or leave it out")
    return True


def run(cursor: Cursor) -> Command:
    if isinstance(cursor.value, list):
        return argv(cursor)
    if not isinstance(cursor.value, str):
        raise Invalid(
            f"a command or a list of its arguments is expected, not {kind_of(cursor.node)}"
        )
    try:
        words = commands.split(cursor.value)
    except SyntaxFault as fault:
        _refused(cursor, fault)
        return Argv(("true",))
    if not words:
        raise Invalid("the command is empty")
    return Split(cursor.value)


def argv(cursor: Cursor) -> Command:
    items = tuple(item.read(template_or_empty, "") for item in cursor.items())
    if not items or not items[0]:
        raise Invalid("the first item is the program to run: it must not be empty")
    return Argv(items)


def shell(cursor: Cursor) -> Command:
    script = filled_text(cursor)
    if "${{" in script:
        cursor.fail(
            "an expression in a script would become code: put it under 'env:', "
            'NAME: ${{ … }}, and write "$NAME" here',
            part="${{",
        )
    return Script(script)


def template(cursor: Cursor) -> str:
    filled_text(cursor)
    return template_or_empty(cursor)


def template_or_empty(cursor: Cursor) -> str:
    """A text that may hold expressions; a number is taken as it is written."""
    value = cursor.value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    try:
        templates.read(text(cursor))
    except SyntaxFault as fault:
        _refused(cursor, fault)
    return text(cursor)


def environment(cursor: Cursor) -> dict[str, str]:
    return {name: each.read(variable(name), "") for name, each in cursor.entries().items()}


def variable(name: str) -> Any:
    def reader(cursor: Cursor) -> str:
        if not ENV_NAME.fullmatch(name):
            raise Invalid(f"{name[:64]!r} names no variable: {ENV_NAME_RULE}")
        value = template_or_empty(cursor)
        if is_guarded(name) and "${{" in value:
            raise Invalid(
                f"{name} decides what code is run, so no data may reach it: set plain text"
            )
        return value

    return reader


def needs(cursor: Cursor) -> tuple[str, ...]:
    names = [item.read(task_name, "") for item in cursor.items()]
    for number, name in enumerate(names):
        if name and name in names[:number]:
            cursor.items()[number].fail(f"{name!r} is there twice")
    return tuple(dict.fromkeys(filter(None, names)))


def duration(cursor: Cursor) -> timedelta:
    length = duration_or_none(cursor)
    if not length:
        raise Invalid("a duration above zero is expected")
    return length


def duration_or_none(cursor: Cursor) -> timedelta:
    if not isinstance(cursor.value, str | int | float):
        raise Invalid(f"a duration such as 30s or 10m is expected, not {kind_of(cursor.node)}")
    return parse_duration(cursor.value)


def size(most: int) -> Any:
    def reader(cursor: Cursor) -> int:
        if not isinstance(cursor.value, str | int):
            raise Invalid(f"a size such as 4MiB is expected, not {kind_of(cursor.node)}")
        found = parse_size(cursor.value)
        if not 1 <= found <= most:
            raise Invalid(f"a size from 1 byte to {most} bytes is expected")
        return found

    return reader


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
    )
    if delay > policy.max_delay:
        section.entries["max_delay"].fail("it is shorter than 'delay'")
    return policy


def exit_codes(cursor: Cursor) -> frozenset[int] | None:
    codes = [item.read(whole(1, 255), 1) for item in cursor.items()]
    if not codes:
        raise Invalid("an empty list would retry nothing: leave the key out, or set 'max: 0'")
    return frozenset(codes)


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


def _refused(cursor: Cursor, fault: SyntaxFault) -> None:
    """Complain where in the text the fault stands."""
    cursor.fail(str(fault), part=cursor.value[fault.at :][:40].split("\n")[0] or None)
