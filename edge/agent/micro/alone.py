"""What a workstation can carry out by itself, and what not: said when it is asked, not midway."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edge import invocations
from edge.agent.micro import asking
from edge.agent.micro.ledger import Ledger
from scheduler.domain import graph, kinds, places
from scheduler.domain.definitions import Approval, ChildCall, ProcessType, TaskDefinition
from scheduler.domain.errors import Invalid, NotFound

MOST = 5  # objections that are told
COMMANDS = frozenset({"run", "python"})


def nothing(task: str, invocation: Mapping[str, Any]) -> str | None:
    """An owner who objects to nothing."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """What is known of the workstation when it is asked for something."""

    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    peers: frozenset[str] = frozenset()  # other workstations that it can ask
    may_call: bool = False  # over HTTP, as its owner says
    object_to: Callable[[str, Mapping[str, Any]], str | None] = nothing


class CannotAlone(Invalid):
    """It would need somebody whom the workstation may not reach."""

    def __init__(self, type: str, why: list[str]) -> None:
        rest = f" (and {len(why) - MOST} more)" if len(why) > MOST else ""
        said = "; ".join(why[:MOST]) + rest
        super().__init__(
            f"{type} cannot be carried out by this workstation alone: {said}",
            field="type",
            remedy="place these tasks on the server, or let the owner of the machine allow them",
        )


def require(ledger: Ledger, definition: ProcessType, here: Here) -> None:
    """Raises CannotAlone with all that stands in the way, in children as well."""
    if why := list(objections(ledger, definition, here, set())):
        raise CannotAlone(definition.name, list(dict.fromkeys(why)))


def objections(
    ledger: Ledger, definition: ProcessType, here: Here, seen: set[tuple[str, int | None]]
) -> Iterator[str]:
    static = {each.name: each.invocation for each in graph.templates(local(definition, here))}
    for task in all_tasks(definition):
        if why := objection(task, here, static.get(task.name)):
            yield f"{definition.name}: {task.name} {why}"
        elif isinstance(task.work, ChildCall) and not is_away(task, here):
            yield from of_child(ledger, f"{definition.name}: {task.name}", task.work, here, seen)


def of_child(
    ledger: Ledger,
    where: str,
    call: ChildCall,
    here: Here,
    seen: set[tuple[str, int | None]],
) -> Iterator[str]:
    if (call.type, call.version) in seen:
        return
    seen.add((call.type, call.version))
    try:
        child, _ = ledger.type(call.type, call.version)
    except NotFound as fault:
        yield f"{where} starts a run, and {fault}"
    else:
        yield from objections(ledger, child, here, seen)


def all_tasks(definition: ProcessType) -> Iterator[TaskDefinition]:
    for task in (*definition.tasks, *definition.hooks.values()):
        yield task
        if task.undo is not None:
            yield task.undo


CALLED = {"action": "an action", "workflow": "a workflow"}


def objection(task: TaskDefinition, here: Here, invocation: Mapping[str, Any] | None) -> str | None:
    """Why the task cannot be carried out here, in words that follow its name."""
    if why := about_place(task, here):
        return why
    if task.kind in CALLED:
        return f"is {CALLED[task.kind]}, which a remote worker carries out for the server"
    if task.kind == "http" and not here.may_call:
        return "calls over HTTP, and the owner of this machine does not allow that"
    if task.secrets or task.secret_files or speaks_of_secrets(task):
        return "needs secrets, which are given to single tasks alone"
    if isinstance(task.work, Approval) and not asking.may_be_answered_here(task.work.who):
        return f"asks {', '.join(task.work.who)}, whom only the server knows"
    if task.kind not in COMMANDS or invocation is None:
        return None
    why = here.object_to(task.name, invocations.as_command(task.kind, invocation, {}))
    return f"is refused by the policy of this machine: {why}" if why else None


def speaks_of_secrets(task: TaskDefinition) -> bool:
    return any(
        template.secrets for part in kinds.of(task).fields(task) for _, template in part.templates()
    )


def about_place(task: TaskDefinition, here: Here) -> str | None:
    asked = task.on
    if asked is None:
        return None
    if task.placement is None:
        return "is to be carried out on the server"
    if task.placement.there:
        return None  # where it was done that this undoes, which is here
    if task.placement.everywhere:
        return "is to be carried out on several workstations"
    place = graph.known_place(task)
    if place is None:
        return "says where it is carried out only when it begins"
    if places.matches(place, here.name, here.labels) or is_away(task, here):
        return None
    return f"is to be carried out on {place}"


def is_away(task: TaskDefinition, here: Here) -> bool:
    """A process that another workstation carries out, which can be asked from here."""
    place = graph.known_place(task) if task.placement is not None else None
    return (
        task.kind == "process"
        and isinstance(place, places.Named)
        and place.name != here.name
        and place.name in here.peers
    )


def local(definition: ProcessType, here: Here) -> ProcessType:
    """The same, with what is placed here simply done here."""
    return replace(
        definition,
        on=None,
        tasks=tuple(unplaced(task, here) for task in definition.tasks),
        hooks={name: unplaced(hook, here) for name, hook in definition.hooks.items()},
    )


def unplaced(task: TaskDefinition, here: Here) -> TaskDefinition:
    undo = None if task.undo is None else unplaced(task.undo, here)
    return replace(task, on=task.on if is_away(task, here) else None, undo=undo)
