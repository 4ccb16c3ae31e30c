"""What a task may be: one module for each kind, all with the same functions.

`KEYS` tell a task of the kind, `BESIDE` are those of the keys of tasks that only some kinds have
and this one does. `read` and `write` go between documents and definitions, `fields` are the parts
that may hold expressions, and `render` makes of what they came to what an executor, or the board,
is asked to do.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast

from scheduler.domain.commands import Command
from scheduler.domain.definitions import Kind as KindName
from scheduler.domain.definitions import TaskDefinition, Work
from scheduler.domain.fields import Field
from scheduler.domain.kinds import (
    action,
    approval,
    branch,
    command,
    emit,
    get,
    http,
    noop,
    process,
    python,
    recv,
    result,
    sleep,
    wait_for,
    workflow,
)
from scheduler.domain.kinds.command import OF_WORKERS as OF_WORKERS
from scheduler.domain.sections import Section


class Kind(Protocol):
    KEYS: tuple[str, ...]
    BESIDE: frozenset[str]

    def read(self, section: Section) -> Command | Work | None: ...
    def write(self, task: TaskDefinition) -> dict[str, Any]: ...
    def fields(self, task: TaskDefinition) -> Iterator[Field]: ...
    def render(self, task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]: ...


_MODULES: dict[KindName, Any] = {
    "run": command,
    "http": http,
    "python": python,
    "action": action,
    "workflow": workflow,
    "process": process,
    "sleep": sleep,
    "wait_for": wait_for,
    "approval": approval,
    "emit": emit,
    "branch": branch,
    "noop": noop,
}
# Workflows ask for these, and definitions don't.
_ASKED: dict[KindName, Any] = {"recv": recv, "get": get, "result": result}
KINDS: Mapping[KindName, Kind] = cast("dict[KindName, Kind]", _MODULES | _ASKED)
NAMES: Mapping[str, KindName] = {key: name for name in _MODULES for key in KINDS[name].KEYS}
ASKED: Mapping[str, KindName] = {key: name for name in _ASKED for key in KINDS[name].KEYS}
BESIDE = frozenset(key for kind in KINDS.values() for key in kind.BESIDE)


def of(task: TaskDefinition) -> Kind:
    return KINDS[task.kind]
