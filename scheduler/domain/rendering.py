"""A task's definition, filled in: what an executor is asked to do, as plain JSON."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from scheduler.domain import commands, templates
from scheduler.domain.commands import Argv, Script, Split
from scheduler.domain.definitions import ProcessType, TaskDefinition
from scheduler.domain.errors import Invalid
from scheduler.domain.templates import Template

SHELL = ("/bin/sh", "-c")
LONGEST_ARGUMENT = (128 << 10) - 1  # what Linux passes in one string
LONGEST_STDIN = 1 << 20
LONGEST_KEY = 200

Scope = Mapping[str, Any]


class RenderFault(Invalid):
    """A task can't be carried out with the values that its run has."""


def render(task: TaskDefinition, scope: Scope) -> dict[str, Any]:
    """The keyword arguments of an Invocation; {} for a noop. Raises RenderFault."""
    if task.kind == "noop":
        return {}
    return {
        "argv": _argv(task, scope),
        "cwd": _text("cwd", task.cwd, scope),
        "env": {name: _text(f"env.{name}", text, scope) for name, text in task.env.items()},
        "stdin": _text("stdin", task.stdin, scope, most=LONGEST_STDIN),
        "timeout": task.timeout.total_seconds() if task.timeout else None,
        "grace": task.grace.total_seconds(),
        "merge_output": task.merge_output,
        "output_cap": task.output_cap,
        "limits": asdict(task.resource_limits) if task.resource_limits else None,
        "user": task.user,
        "on_lost": task.on_lost,
    }


def limit_keys(
    process_type: ProcessType, task: TaskDefinition, scope: Scope
) -> list[tuple[str, int]]:
    """The keys that a task takes a place under, each with how many places there are."""
    keys = []
    if process_type.max_parallel is not None:
        keys.append((f"type:{process_type.name}", process_type.max_parallel))
    if task.limit is not None:
        key = _text("limit.key", task.limit.key, scope, most=LONGEST_KEY)
        keys.append((f"key:{key}", task.limit.max))
    return keys


def has_expressions(task: TaskDefinition) -> bool:
    texts = [task.cwd, task.stdin, *task.env.values(), task.limit.key if task.limit else None]
    if any(text and templates.has_expressions(text) for text in texts):
        return True
    if task.command is None or isinstance(task.command, Script):
        return False
    return any(word.placed for word in commands.words(task.command))


def _argv(task: TaskDefinition, scope: Scope) -> list[str]:
    match task.command:
        case Script(script):
            return [*SHELL, script]
        case Split() | Argv() as command:
            words = enumerate(commands.words(command))
            argv = [_word(f"run[{number}]", word, scope) for number, word in words]
            if not argv[0]:
                raise RenderFault("run[0]: the program's name is empty", field="run")
            return argv
    return []


def _word(field: str, word: Template, scope: Scope) -> str:
    """One argument, whatever the values are: filling comes after splitting."""
    with _naming(field):
        if word.whole is None:
            return _passable(word.fill(scope), LONGEST_ARGUMENT)
        value = word.whole.evaluate(scope)
        if isinstance(value, list):
            raise Invalid(
                f"{word.whole} is a list, and a word is one argument: "
                "join it with .join(','), or pass it as JSON with stdin"
            )
        return _passable(word.fill(scope), LONGEST_ARGUMENT)


def _text(field: str, text: str | None, scope: Scope, most: int = LONGEST_ARGUMENT) -> Any:
    if text is None:
        return None
    with _naming(field):
        return _passable(templates.read(text).fill(scope), most)


@contextmanager
def _naming(field: str) -> Iterator[None]:
    try:
        yield
    except RenderFault:
        raise
    except Invalid as fault:
        raise RenderFault(f"{field}: {fault}", field=field) from None


def _passable(text: str, most: int) -> str:
    if "\0" in text:
        raise Invalid("the value holds the character NUL, which no command can be given")
    if len(text.encode(errors="surrogatepass")) > most:
        raise Invalid(f"the value is longer than {most} bytes: pass it by file, or with stdin")
    return text
