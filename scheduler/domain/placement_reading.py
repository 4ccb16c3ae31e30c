"""`on`: where a task is carried out. From a node of a document, back to one, and to a row."""

from dataclasses import replace
from typing import Any, Literal, cast

from scheduler.domain import places
from scheduler.domain.definitions import ForEach, Placement, TaskDefinition
from scheduler.domain.durations import format_duration
from scheduler.domain.errors import Invalid
from scheduler.domain.places import Place
from scheduler.domain.readers import (
    duration,
    duration_or_none,
    number_or_share,
    template,
    template_or_empty,
)
from scheduler.domain.sections import Cursor, Section, flag, kind_of, one_of, whole
from scheduler.domain.templates import OPENING

SERVER: Literal["server"] = "server"
KEYS = (
    "workstation",
    "stagger",
    "max_parallel",
    "min_success",
    "sticky",
    "on_disconnect",
    "lost_after",
    "replace",
    "reconcile",
    "start_before",
)
OF_ALL = ("stagger", "max_parallel", "min_success")
AMONG_MANY = ("sticky", "replace")
RECONCILE = ("keep_original", "keep_replacement", "ask")
USUAL = Placement()


def of_task(cursor: Cursor) -> Placement | Literal["server"] | None:
    if cursor.value == SERVER:
        return SERVER
    return placement(cursor)


def placement(cursor: Cursor) -> Placement | None:
    if not isinstance(cursor.value, dict):
        raise Invalid(
            f"{kind_of(cursor.node)} is no place: write {{workstation: NAME}}, "
            "{workstation: {labels: {…}}}, {workstation: any}, or server"
        )
    section = Section(cursor, KEYS)
    where = section.need("workstation", workstation, USUAL)
    _refuse_what_is_of_others(section, where)
    return Placement(
        workstation=where.workstation,
        labels=where.labels,
        everywhere=where.everywhere,
        stagger=section.take("stagger", duration_or_none, USUAL.stagger),
        sticky=section.take("sticky", flag, USUAL.sticky),
        on_disconnect=cast("Any", section.take("on_disconnect", one_of("keep", "stop"), "keep")),
        lost_after=section.take("lost_after", duration, None) or USUAL.lost_after,
        replace=section.take("replace", flag, USUAL.replace),
        reconcile=cast("Any", section.take("reconcile", one_of(*RECONCILE), "keep_original")),
        start_before=section.take("start_before", duration, None),
    )


def workstation(cursor: Cursor) -> Placement:
    """Which one: by its name, by labels, any at all, or all of these."""
    if not isinstance(cursor.value, dict):
        return _one(cursor)
    section = Section(cursor, ("labels", "all"))
    if len(section.entries) != 1:
        raise Invalid("say which one: either 'labels' or 'all'")
    if "all" in section:
        return section.take("all", _all, USUAL)
    return Placement(labels=section.take("labels", labels, {}))


def _all(cursor: Cursor) -> Placement:
    if cursor.value == places.ANY:
        return Placement(everywhere=True)
    if not isinstance(cursor.value, dict):
        raise Invalid(f"{kind_of(cursor.node)} is not a choice: write any, or labels: {{…}}")
    section = Section(cursor, ("labels",))
    return Placement(labels=section.need("labels", labels, {}), everywhere=True)


def _one(cursor: Cursor) -> Placement:
    name = template(cursor)
    if name == places.ANY:
        return USUAL
    if name == "all":
        raise Invalid("say all of which: write {all: any}, or {all: {labels: {…}}}")
    if OPENING not in name:
        places.check_name(name)
    return Placement(workstation=name)


def labels(cursor: Cursor) -> dict[str, str]:
    found = {name: each.read(label(name), "") for name, each in cursor.entries().items()}
    if not found:
        raise Invalid("no label is asked for: write workstation: any for all of them")
    if len(found) > places.MOST_LABELS:
        raise Invalid(f"at most {places.MOST_LABELS} labels")
    return found


def label(name: str) -> Any:
    def reader(cursor: Cursor) -> str:
        value = template_or_empty(cursor)
        if OPENING in value:
            places.check_labels({name: "any"})
        else:
            places.check_labels({name: value})
        return value

    return reader


def _refuse_what_is_of_others(section: Section, where: Placement) -> None:
    """What has a sense only among several workstations, or only when all of them are meant."""
    for key in OF_ALL:
        if key in section and not where.everywhere:
            section.entries[key].fail("this is for all: write workstation: {all: …} with it")
    for key in AMONG_MANY:
        if key in section and (where.everywhere or where.workstation is not None):
            said = "the task goes to each of them" if where.everywhere else "only one is named"
            section.entries[key].fail(f"{said}: ask for a workstation by labels, or for any")


def each_of_them(cursor: Cursor) -> ForEach:
    """All workstations are items: how many of them have to succeed is said beside `all`."""
    section = Section(cursor, KEYS)
    return ForEach(
        items="",
        max_parallel=section.take("max_parallel", whole(1, 100_000), None),
        min_success=section.take("min_success", number_or_share, None),
        stations=True,
    )


def write(task: TaskDefinition) -> dict[str, Any]:
    """The key `on`, where the task says it itself."""
    if task.on is None:
        return {}
    if isinstance(task.on, str):
        return {"on": task.on}
    if task.on.implied:
        return {}
    found = written(task.on)
    if task.for_each is not None and task.for_each.stations:
        for name in ("max_parallel", "min_success"):
            if (value := getattr(task.for_each, name)) is not None:
                found[name] = value
    return {"on": found}


def of_undo(done: Placement) -> Placement:
    """What was done on a workstation is undone on the same, unless its undo says where."""
    return replace(
        USUAL,
        there=True,
        implied=True,
        on_disconnect=done.on_disconnect,
        lost_after=done.lost_after,
    )


def written(given: Placement) -> dict[str, Any]:
    document: dict[str, Any] = {"workstation": _written_where(given)}
    for name in ("stagger", "lost_after", "start_before"):
        length = getattr(given, name)
        if length is not None and length != getattr(USUAL, name):
            document[name] = format_duration(length)
    for name in ("sticky", "on_disconnect", "replace", "reconcile"):
        if getattr(given, name) != getattr(USUAL, name):
            document[name] = getattr(given, name)
    return document


def _written_where(given: Placement) -> Any:
    if given.workstation is not None:
        return given.workstation
    which = {"labels": dict(given.labels)} if given.labels else places.ANY
    return {"all": which} if given.everywhere else which


def row(given: Placement, place: Place) -> dict[str, Any]:
    """What is kept with a task, as `tasks.placement`."""
    within = given.start_before
    return {
        "on": place.document(),
        "on_disconnect": given.on_disconnect,
        "lost_after": given.lost_after.total_seconds(),
        "replace": given.replace,
        "reconcile": given.reconcile,
        "sticky": given.sticky,
        "start_within": within.total_seconds() if within else None,
        "start_before": None,
    }
