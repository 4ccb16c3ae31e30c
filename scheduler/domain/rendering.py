"""A task's definition, filled in: what an executor or the board is asked to do, as plain JSON."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from scheduler.domain import kinds, places, templates
from scheduler.domain.definitions import Placement, ProcessType, TaskDefinition
from scheduler.domain.errors import Invalid
from scheduler.domain.expression_meter import kind_of
from scheduler.domain.fields import (
    LONGEST_ARGUMENT,
    LONGEST_KEY,
    Field,
    Fill,
    RenderFault,
    Scope,
    as_boolean,
    as_data,
    as_text,
)
from scheduler.domain.kinds import wait_for
from scheduler.domain.places import Labelled, Named, Place
from scheduler.domain.sealed import seal

__all__ = [
    "LONGEST_ARGUMENT",
    "MOST_ITEMS",
    "RenderFault",
    "Scope",
    "concurrency_key",
    "condition",
    "fields",
    "has_expressions",
    "is_awaited",
    "items",
    "limit_keys",
    "of_place",
    "place",
    "rate_key",
    "render",
    "renderer",
    "share",
]

MOST_ITEMS = 10_000

_KEY = as_text(LONGEST_KEY)


def render(task: TaskDefinition, scope: Scope) -> dict[str, Any]:
    """What it is asked to do; {} for a noop. Raises RenderFault."""
    return renderer(task)(scope)


def renderer(task: TaskDefinition) -> Callable[[Scope], dict[str, Any]]:
    """For a task that is rendered many times: its parts are looked up once."""
    kind, parts = kinds.of(task), list(kinds.of(task).fields(task))
    has_secrets = any(template.secrets for part in parts for _, template in part.templates())

    def rendered(scope: Scope) -> dict[str, Any]:
        made = kind.render(task, {part.name: part.come_to(scope) for part in parts})
        return seal(made) if has_secrets else made

    return rendered


def has_expressions(task: TaskDefinition) -> bool:
    """Whether what it is asked to do, or where it counts, is known only in a run."""
    return any(not part.is_static for part in (*kinds.of(task).fields(task), *_keys(task)))


def fields(task: TaskDefinition) -> Iterator[Field]:
    """Every part of the task that may hold expressions, but for those of its undo."""
    own = frozenset({"item"}) if task.for_each else frozenset()
    for part in (*kinds.of(task).fields(task), *_keys(task)):
        yield part.speaking_of(own)
    if task.kind == "wait_for":
        yield from wait_for.asked(task)
    yield from _before(task)
    if task.repeat:
        also = own | {"output", "exit_code", "iteration"}
        yield _until(task.repeat.until).speaking_of(also)


def limit_keys(
    process_type: ProcessType, task: TaskDefinition, scope: Scope
) -> list[tuple[str, int]]:
    """The keys that a task takes a place under, each with how many places there are."""
    keys = []
    if process_type.max_parallel is not None:
        keys.append((f"type:{process_type.name}", process_type.max_parallel))
    if task.limit is not None:
        keys.append((f"key:{_limit(task.limit.key).come_to(scope)}", task.limit.max))
    return keys


def rate_key(task: TaskDefinition, scope: Scope) -> tuple[str, int, timedelta] | None:
    """Under which key it begins no more often than so many times in so long."""
    if task.rate is None:
        return None
    return _rate(task.rate.key).come_to(scope), task.rate.max, task.rate.per


def share(task: TaskDefinition, scope: Scope) -> str | None:
    """Whose turn it counts as, where turns go round."""
    return None if task.share is None else _share(task.share).come_to(scope)


def place(placement: Placement, scope: Scope) -> Place:
    """Which workstation it is, or what is asked of it."""
    found = {str(part.path[-1]): part.come_to(scope) for part in of_place(placement)}
    return Named(found["workstation"]) if placement.workstation else Labelled(found)


def condition(task: TaskDefinition, scope: Scope) -> bool:
    """Whether its own `when` lets it run."""
    return task.when is None or _when(task.when).come_to(scope) is True


def items(task: TaskDefinition, scope: Scope) -> list[dict[str, Any]]:
    """What each item may speak of as `item`, in their order; the key is null in a list."""
    if task.for_each is None or task.for_each.stations:
        return []
    found = _items(task.for_each.items).come_to(scope)
    if len(found) > MOST_ITEMS:
        raise RenderFault(
            f"for_each: there are {len(found)} items, and at most {MOST_ITEMS} are taken: "
            "let each of fewer items stand for many",
            field="for_each",
        )
    pairs = found.items() if isinstance(found, Mapping) else ((None, each) for each in found)
    return [{"value": value, "index": n, "key": key} for n, (key, value) in enumerate(pairs)]


def is_awaited(when: str | None, scope: Scope) -> bool:
    """Whether an event is the one that a `wait_for` waits for; the scope has it as `event`."""
    return when is None or as_boolean(templates.read(when), scope)


def concurrency_key(process_type: ProcessType, scope: Scope) -> str | None:
    """Which runs of the type count together; known when a run begins."""
    group = process_type.concurrency
    return None if group is None else group_field(group.key).come_to(scope)


def group_field(key: str) -> Field:
    return Field(("concurrency", "key"), templates.read(key), _KEY, wants="text")


def result_field(value: Any) -> Field:
    return Field(("result",), value, as_data)


def _keys(task: TaskDefinition) -> Iterator[Field]:
    if task.limit:
        yield _limit(task.limit.key)
    if task.rate:
        yield _rate(task.rate.key)
    if task.share is not None:
        yield _share(task.share)
    if task.placement and not task.placement.everywhere:
        yield from of_place(task.placement)


def _before(task: TaskDefinition) -> Iterator[Field]:
    """What is asked once, before there are items."""
    if task.when is not None:
        yield _when(task.when)
    if task.placement and task.placement.everywhere:
        yield from of_place(task.placement)
    elif task.for_each:
        yield _items(task.for_each.items)


def _limit(key: str) -> Field:
    return Field(("limit", "key"), templates.read(key), _KEY, wants="text")


def _rate(key: str) -> Field:
    return Field(("rate", "key"), templates.read(key), _KEY, wants="text")


def _share(value: str) -> Field:
    return Field(("share",), templates.read(value), _KEY, wants="text")


def of_place(placement: Placement) -> Iterator[Field]:
    """Nothing of what is undone where it was done."""
    path: tuple[str, ...] = ("on", "workstation")
    if placement.workstation is not None:
        template = templates.read(placement.workstation)
        yield Field(path, template, _as_station, wants="text")
    path = (*path, "all", "labels") if placement.everywhere else (*path, "labels")
    for name, text in placement.labels.items():
        yield Field((*path, name), templates.read(text), _as_label(name), wants="text")


def _as_station(template: templates.Template, scope: Scope) -> str:
    return places.check_name(_KEY(template, scope))


def _as_label(name: str) -> Fill:
    def fill(template: templates.Template, scope: Scope) -> str:
        return places.check_labels({name: _KEY(template, scope)})[name]

    return fill


def _when(expression: str) -> Field:
    return Field(("when", "if"), templates.read(expression), as_boolean, "when", wants="boolean")


def _items(expression: str) -> Field:
    path = ("for_each", "in")
    return Field(path, templates.read(expression), as_items, "for_each", wants="items")


def _until(expression: str) -> Field:
    return Field(("repeat", "until"), templates.read(expression), as_boolean, wants="boolean")


def as_items(template: templates.Template, scope: Scope) -> Any:
    value = as_data(template, scope)
    if not isinstance(value, list | Mapping):
        raise Invalid(f"{template.whole} is {kind_of(value)}, and a list or a map is needed")
    return value
