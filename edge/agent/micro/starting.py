"""How runs begin here: by hand, by a schedule, for a task of the server, or for another run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from edge.agent.micro.ledger import About, Case, task_id
from executor.base import Ending, Outcome
from scheduler.domain import graph, process_types
from scheduler.domain.board.changes import Event
from scheduler.domain.definitions import ProcessType
from scheduler.domain.errors import Invalid, Refusal
from scheduler.domain.first_rows import first_row
from scheduler.domain.orders import StartChild, TellChildren
from scheduler.domain.runs import Run
from scheduler.domain.states import RunState
from scheduler.domain.tasks import Task

if TYPE_CHECKING:
    from datetime import datetime

    from edge.agent.micro.decision import Decision

DEEPEST = 20  # generations: a type that starts itself comes to an end


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A run that somebody wants."""

    type: str
    version: int | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    record: str | None = None
    priority: int | None = None
    timeout: timedelta | None = None  # beside the type's own
    about: About
    run: UUID | None = None  # where whoever asks has named it
    parent: Case | None = None
    parent_position: int = 0


def start(decision: "Decision", order: Order) -> UUID:
    """Raises a Refusal, and then nothing has been written."""
    _, version = decision.ledger.type(order.type, order.version)
    definition = decision.definition(order.type, version)
    input = process_types.check_input(definition, dict(order.input))
    id = order.run or decision.world.new_id()
    run = new_run(definition, version, order, input, id, decision.now)
    tasks = [new_task(run, each, decision.now) for each in graph.templates(definition)]
    work = decision.lay_out(Case(run, tasks, order.about), is_new=True)
    work.has_changed = True
    data = {"triggered_by": order.about.triggered_by}
    work.happened.append(Event(run_id=id, seq=1, kind="run.started", data=data))
    decision.ledger.put_run(work.case)
    for task in tasks:
        decision.put(work, task)
    decision.settle(work)
    return id


def new_run(
    definition: ProcessType,
    version: int,
    order: Order,
    input: dict[str, Any],
    id: UUID,
    now: "datetime",
) -> Run:
    templates = graph.templates(definition)
    begins = any(not each.required and not each.settles for each in templates)
    parent, limits = order.parent, [definition.timeout, order.timeout]
    timeout = min((each for each in limits if each), default=None)
    return Run(
        id=id,
        type=definition.name,
        type_version=version,
        record_id=order.record,
        round=1,
        state=RunState.IN_PROGRESS if begins else RunState.PENDING,
        ends_as=None,
        priority=definition.priority if order.priority is None else order.priority,
        input=input,
        error=None,
        total=len(templates),
        open=len(templates),
        failed=0,
        events=1,
        started_at=now,
        finished_at=None,
        timeout=timeout,
        due_at=now + timeout if timeout else None,
        labels={**definition.labels, **order.labels},
        parent_run=parent.run.id if parent else None,
        parent_task=task_id(order.parent_position) if parent else None,
        depth=parent.run.depth + 1 if parent else 0,
    )


def new_task(run: Run, template: graph.TaskTemplate, now: "datetime") -> Task:
    """Carried out where it is, or sent from here: it has no place that is looked for."""
    task = first_row(run, template, id=task_id(template.position), now=now)
    task.placement = None
    return task


# Children.


def child(decision: "Decision", order: StartChild) -> None:
    """On the same workstation, of a type that is here."""
    run, position = order.task.run_id, order.task.position
    parent = decision.work(run)
    assert parent is not None, "whoever orders is on the table"
    try:
        started = start(decision, wanted(order, parent.case))
    except Refusal as fault:
        error = f"cannot start {order.type!r}: {fault}"
        outcome = Outcome(ending=Ending.FAILED, error=error, retryable=False)
        decision.deliver(run, position, outcome)
        return
    if not order.wait:
        output = json.dumps({"run": str(started)})
        decision.deliver(run, position, Outcome(ending=Ending.SUCCEEDED, output=output))


def wanted(order: StartChild, parent: Case) -> Order:
    if parent.run.depth >= DEEPEST:
        raise Invalid(f"runs start runs {DEEPEST} deep already: does a type start itself?")
    about = replace(
        parent.about,
        triggered_by=f"run {parent.run.id}",
        attempt=None,
        schedule=None,
        tick=None,
    )
    return Order(
        type=order.type,
        version=order.version,
        input=order.input,
        labels=order.labels,
        about=about,
        parent=parent,
        parent_position=order.task.position,
    )


def tell_children(decision: "Decision", order: TellChildren) -> None:
    for run in decision.ledger.children(order.task.run_id, order.task.position):
        decision.obey(run, order.verb, f"run {order.task.run_id}")


def child_ended(decision: "Decision", parent: UUID, position: int, case: Case) -> None:
    """The end of a child that its task does not wait for any more is no news."""
    if decision.ledger.children(parent, position)[-1:] != [case.run.id]:
        return
    decision.deliver(parent, position, ending(case))


def ending(case: Case) -> Outcome:
    """What a run's end is to the task that started it."""
    run = case.run
    result = None if case.result is None else json.loads(case.result)
    output = json.dumps({"run": str(run.id), "output": result})
    if run.state is RunState.COMPLETED:
        return Outcome(ending=Ending.SUCCEEDED, output=output)
    verb = "was stopped" if run.state is RunState.STOPPED else "failed"
    return Outcome(
        ending=Ending.FAILED,
        error=f"run {run.id} {verb}: {run.error}",
        output=output,
        retryable=run.state is not RunState.STOPPED,
    )
