"""`@workflow`: a function that is carried out to its end, whatever happens to its program."""

import ast
import hashlib
import inspect
import re
import textwrap
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from procession.workflows.errors import WorkflowError
from procession.workflows.schemas import input_schema
from procession.workflows.steps import hints
from procession.workflows.sync import in_thread
from procession.workflows.values import decode

P = ParamSpec("P")
R = TypeVar("R")
Length = float | str | timedelta
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")


class Workflow(Generic[P, R]):
    """What `@workflow` makes of a function. Called in another workflow it is a part of that one."""

    def __init__(
        self, function: Callable[..., Any], name: str, version: str, definition: Mapping[str, Any]
    ) -> None:
        update_wrapper(self, function)
        self.function = function
        self.name = name
        self.version = version
        self.definition = definition
        self._hints = hints(function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        return cast("Coroutine[Any, Any, R]", self._call(args, kwargs))

    async def _call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if inspect.iscoroutinefunction(self.function):
            return await self.function(*args, **kwargs)
        return await in_thread(lambda: self.function(*args, **kwargs))

    async def body(self, payload: Any) -> Any:
        """The whole of it, with the input of a run."""
        return await self._call((), self.arguments(payload))

    def arguments(self, payload: Any) -> dict[str, Any]:
        if not isinstance(payload, Mapping):
            raise WorkflowError(
                f"the input of {self.name} is a map of its arguments, not {payload!r:.80}"
            )
        return {name: decode(self._hints.get(name, Any), payload[name]) for name in payload}

    def read(self, output: Any) -> R:
        return cast("R", decode(self._hints.get("return", Any), output))


@overload
def workflow(function: Callable[P, Awaitable[R]], /) -> Workflow[P, R]: ...
@overload
def workflow(function: Callable[P, R], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *,
    name: str | None = None,
    version: str | None = None,
    description: str | None = None,
    input: Mapping[str, Any] | None = None,
    timeout: Length | None = None,
    retries: int | Mapping[str, Any] | None = None,
    priority: int | None = None,
    concurrency: Mapping[str, Any] | None = None,
    max_parallel: int | None = None,
    limit: Mapping[str, Any] | None = None,
    rate: Mapping[str, Any] | None = None,
    share: str | None = None,
    grace: Length | None = None,
    hears_stop: bool = False,
    undo: Mapping[str, Any] | None = None,
    undo_on_stop: bool | None = None,
    schedules: Sequence[Mapping[str, Any]] | None = None,
    triggers: Sequence[Mapping[str, Any]] | None = None,
    labels: Mapping[str, str] | None = None,
) -> "Decorator": ...


def workflow(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    version: str | None = None,
    description: str | None = None,
    input: Mapping[str, Any] | None = None,
    timeout: Length | None = None,
    retries: int | Mapping[str, Any] | None = None,
    priority: int | None = None,
    concurrency: Mapping[str, Any] | None = None,
    max_parallel: int | None = None,
    limit: Mapping[str, Any] | None = None,
    rate: Mapping[str, Any] | None = None,
    share: str | None = None,
    grace: Length | None = None,
    hears_stop: bool = False,
    undo: Mapping[str, Any] | None = None,
    undo_on_stop: bool | None = None,
    schedules: Sequence[Mapping[str, Any]] | None = None,
    triggers: Sequence[Mapping[str, Any]] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Any:
    """Carry the function out to its end. Its arguments are the input, its value is the output.

    The options are those of a definition: `concurrency`, `max_parallel`, `schedules`, `triggers`,
    `labels`, `priority`, `timeout` and `undo_on_stop` of the type, `limit`, `rate`, `share`,
    `retries`, `grace` and `undo` of its one task. With `hears_stop` the code is asked to stop also
    where it only waits. `version` is made of the code if it is left out.
    """

    def decorate(function: Callable[..., Any]) -> Workflow[Any, Any]:
        called = checked_name(name or function.__name__.lower())
        task = {
            "name": called.replace(".", "-"),
            "workflow": {"name": called, "hears_stop": True} if hears_stop else called,
            "retries": {"max": retries} if isinstance(retries, int) else retries,
            "limit": limit,
            "rate": rate,
            "share": share,
            "grace": grace,
            "undo": undo,
        }
        document = {
            "name": called,
            "description": description or first_line(function),
            "input": input or input_schema(function, hints(function)),
            "timeout": timeout,
            "priority": priority,
            "concurrency": concurrency,
            "max_parallel": max_parallel,
            "undo_on_stop": undo_on_stop,
            "labels": labels,
            "schedules": schedules,
            "triggers": triggers,
            "tasks": [said(task)],
            "result": f"${{{{ tasks['{task['name']}'].output }}}}",
        }
        return Workflow(function, called, version or version_of(function), said(document))

    return decorate if function is None else decorate(function)


class Decorator:
    """Only a type: what `workflow(…)` with options gives."""

    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Workflow[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Workflow[P, R]: ...
    def __call__(self, function: Any, /) -> Any: ...


def said(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: plain(value) for key, value in document.items() if value is not None}


def plain(value: Any) -> Any:
    """Lengths of time may be timedeltas wherever a definition has one."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


def checked_name(name: str) -> str:
    if not NAME.match(name):
        raise WorkflowError(
            f"{name!r} cannot be the name of a workflow: 1 to 63 of a-z 0-9 . - _, "
            "beginning with a letter or digit"
        )
    return name


def first_line(function: Callable[..., Any]) -> str | None:
    return (inspect.getdoc(function) or "").partition("\n")[0] or None


def version_of(function: Callable[..., Any]) -> str:
    """Of what the function does: comments, blanks and its docstring do not count."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        code = function.__code__
        return digest(repr((code.co_code, code.co_consts, code.co_names)))
    found = tree.body[0]
    if isinstance(found, (ast.FunctionDef, ast.AsyncFunctionDef)):
        found.decorator_list = []
        if ast.get_docstring(found) is not None:
            found.body = found.body[1:]
    return digest(ast.dump(tree))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
