"""`run` and `shell`: a command of the operating system."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, cast

from scheduler.domain import commands, templates
from scheduler.domain.commands import Argv, Command, Script, Split
from scheduler.domain.definitions import TaskDefinition
from scheduler.domain.errors import Invalid
from scheduler.domain.expression_syntax import SyntaxFault
from scheduler.domain.fields import (
    LONGEST_ARGUMENT,
    LONGEST_TEXT,
    Field,
    RenderFault,
    Scope,
    as_text,
    passable,
)
from scheduler.domain.readers import refused, template_or_empty
from scheduler.domain.sections import Cursor, Section, filled_text, kind_of
from scheduler.domain.templates import Template

SHELL = ("/bin/sh", "-c")
KEYS = ("run", "shell")
# What a child of the operating system has, whatever language it speaks.
OF_CHILDREN = frozenset(
    {"cwd", "env", "grace", "output_cap", "merge_output", "resource_limits", "user"}
    | {"secrets", "secret_files"}
)
OF_WORKERS = frozenset({"queue", "priority", "limit", "rate", "share", "on_lost"})
OF_PLACES = frozenset({"on"})
BESIDE = OF_CHILDREN | OF_WORKERS | OF_PLACES | {"stdin", "output"}


def read(section: Section) -> Command | None:
    return section.take("shell", script, None) or section.take("run", words, None)


def write(task: TaskDefinition) -> dict[str, Any]:
    match task.command:
        case Split(text):
            return {"run": text}
        case Argv(items):
            return {"run": list(items)}
        case Script(text):
            return {"shell": text}
    return {}


def fields(task: TaskDefinition) -> Iterator[Field]:
    match task.command:
        case Split() as command:
            for number, word in enumerate(commands.words(command)):
                yield Field(("run",), word, as_word, f"run[{number}]", wants="word")
        case Argv(items):
            for number, item in enumerate(items):
                yield Field(("run", number), templates.read(item), as_word, wants="word")
    yield from of_children(task)
    if task.stdin is not None:
        yield Field(("stdin",), task.stdin, as_text(LONGEST_TEXT), wants="text")


def of_children(task: TaskDefinition) -> Iterator[Field]:
    if task.cwd is not None:
        yield Field(("cwd",), task.cwd, as_text(), wants="text")
    for name, text in task.env.items():
        yield Field(("env", name), text, as_text(), wants="text")


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    return {"argv": _argv(task, found), **for_children(task, found), "stdin": found.get("stdin")}


def for_children(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    invocation = {
        "cwd": found.get("cwd"),
        "env": {name: found[f"env.{name}"] for name in task.env},
        "timeout": task.timeout.total_seconds() if task.timeout else None,
        "grace": task.grace.total_seconds(),
        "merge_output": task.merge_output,
        "output_cap": task.output_cap,
        "limits": asdict(task.resource_limits) if task.resource_limits else None,
        "user": task.user,
        "on_lost": task.on_lost,
    }
    if task.output != "none":
        invocation["output"] = task.output
    if task.secrets or task.secret_files:
        invocation["secrets"] = {"env": dict(task.secrets), "files": dict(task.secret_files)}
    return invocation


def script(cursor: Cursor) -> Command:
    text = filled_text(cursor)
    if "${{" in text:
        cursor.fail(
            "an expression in a script would become code: put it under 'env:', "
            'NAME: ${{ … }}, and write "$NAME" here',
            part="${{",
        )
    return Script(text)


def words(cursor: Cursor) -> Command:
    if isinstance(cursor.value, list):
        return argv(cursor)
    if not isinstance(cursor.value, str):
        raise Invalid(
            f"a command or a list of its arguments is expected, not {kind_of(cursor.node)}"
        )
    try:
        found = commands.split(cursor.value)
    except SyntaxFault as fault:
        refused(cursor, fault)
        return Argv(("true",))
    if not found:
        raise Invalid("the command is empty")
    return Split(cursor.value)


def argv(cursor: Cursor) -> Command:
    items = tuple(item.read(template_or_empty, "") for item in cursor.items())
    if not items or not items[0]:
        raise Invalid("the first item is the program to run: it must not be empty")
    return Argv(items)


def as_word(word: Template, scope: Scope) -> str:
    """One argument, whatever the values are: filling comes after splitting."""
    if word.whole is not None and isinstance(word.whole.evaluate(scope), list):
        raise Invalid(
            f"{word.whole} is a list, and a word is one argument: "
            "join it with .join(','), or pass it as JSON with stdin"
        )
    return passable(word.fill(scope), LONGEST_ARGUMENT)


def _argv(task: TaskDefinition, found: Mapping[str, Any]) -> list[str]:
    if isinstance(task.command, Script):
        return [*SHELL, task.command.text]
    count = len(commands.words(cast("Split | Argv", task.command)))
    made = [found[f"run[{number}]"] for number in range(count)]
    if not made[0]:
        raise RenderFault("run[0]: the program's name is empty", field="run")
    return made
