"""Going on with what depends on values, from what the tasks before brought about."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from executor.base import Ending, Outcome
from scheduler.domain import scopes
from scheduler.domain.board import evaluating, expanding, filling, grouping, parked
from scheduler.domain.board.ending import conclude, settle_run, wind_down
from scheduler.domain.board.expanding import Gathered
from scheduler.domain.board.following import advance, skip
from scheduler.domain.board.joining import may_begin
from scheduler.domain.board.outcomes import complete, give_up
from scheduler.domain.board.table import Table, in_items
from scheduler.domain.errors import Invalid
from scheduler.domain.places import Around
from scheduler.domain.states import Reason, RunState, TaskState
from scheduler.domain.tasks import Task

R, T = RunState, TaskState
Scope = Mapping[str, Any]

LONGEST_RESULT = 1 << 20


def unsettled(table: Table) -> list[Task]:
    """What is to be rendered, what is over with the decision that began it, and what has all its
    items together."""
    return [
        task
        for task in table.tasks.values()
        if task.reason is Reason.SETTLE or parked.is_over(table, task) or is_complete(task)
    ]


def asks(table: Table) -> bool:
    """Results are wanted, for something that is to be worked out from them."""
    return table.wants_result or bool(unsettled(table))


def is_complete(task: Task) -> bool:
    return in_items(task) and task.open == 0


def gatherable(table: Table) -> list[int]:
    return [task.position for task in table.of_role("task") if is_complete(task)]


def asks_where(table: Table) -> bool:
    """Something goes to all workstations of a kind, or to the one that took what went before."""
    asked = (definition.placement for definition in table.definitions.values())
    return any(each is not None and (each.everywhere or each.sticky) for each in asked)


def undoing_items(table: Table) -> list[int]:
    """The items whose output an undo is about to speak of."""
    undos = [task for task in table.of_role("undo") if task.reason is Reason.SETTLE]
    return [task.of for task in undos if task.of is not None]


def settle(
    table: Table,
    results: Mapping[str, Mapping[str, Any]],
    gathered: Mapping[int, Gathered] | None = None,
    outputs: Mapping[int, Any] | None = None,
    around: Around | None = None,
) -> None:
    """`results` holds the tasks' results by name, `gathered` what items came to by the position
    of their task, `outputs` those of tasks that are to be undone by theirs, `around` the
    workstations, where somebody asks for them."""
    table.around = around or table.around
    scope = scope_of(table, results)
    if not entered(table, scope):
        return
    for task in unsettled(table):
        if is_complete(task):
            expanding.gather(table, task, (gathered or {}).get(task.position, Gathered("[]", 2)))
        elif parked.is_over(table, task):
            parked.due(table, task)
        elif task.reason is Reason.SETTLE:  # still: another's failure may have ended it
            settle_task(table, task, scope_for(table, task, scope, outputs or {}))
    if table.wants_result:
        work_out(table, scope)
    settle_run(table)


def entered(table: Table, scope: Scope) -> bool:
    """False for a run that can't say which group it belongs to: it has failed."""
    try:
        grouping.enter(table, scope)
    except Invalid as fault:
        wind_down(table, R.FAILED, f"the run belongs to no group: {fault}", "stop", {})
        return False
    return True


def scope_of(table: Table, results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    run = table.run
    of_run = scopes.of_run(
        id=run.id,
        type=run.type,
        record=run.record_id,
        round=run.round,
        labels=run.labels,
        started_at=run.started_at,
    )
    return {"input": run.input, "vars": table.vars, "tasks": results, "run": of_run}


def scope_for(table: Table, task: Task, scope: Scope, outputs: Mapping[int, Any]) -> Scope:
    more: dict[str, Any] = {}
    match task.role:
        case "item":
            more["item"] = task.item
        case "undo" if task.of is not None:
            more["output"] = outputs.get(task.of)
            more["item"] = table.tasks[task.of].item
        case "hook":
            failed = [each.name for each in table.of_role("task") if each.state is T.FAILED]
            more |= {"error": table.run.error, "failed": failed}
    return {**scope, **more}


def settle_task(table: Table, task: Task, scope: Scope) -> None:
    outcome = table.succeeded.pop(task.position, None)
    try:
        if outcome is not None:
            look_at(table, task, scope, outcome)
        elif task.role == "task":
            begin(table, task, scope)
        else:
            filling.begin(table, task, scope)
    except Invalid as fault:
        filling.refuse(table, task, fault)


def begin(table: Table, task: Task, scope: Scope) -> None:
    definition = table.definition_of(task)
    if not may_begin(table, task) or not (
        definition.when is None or evaluating.truth("when", definition.when, scope)
    ):
        for skipped in skip(table, task):
            advance(table, skipped)
    elif definition.for_each is not None:
        expanding.expand(table, task, scope)
    else:
        filling.begin(table, task, scope)


def look_at(table: Table, task: Task, scope: Scope, outcome: Outcome) -> None:
    """A repeated task has succeeded: was it the last time?"""
    repeat, times = table.definition_of(task).repeat, task.iteration + 1
    assert repeat is not None
    output = None if outcome.output is None else json.loads(outcome.output)
    seen = {"output": output, "exit_code": outcome.exit_code, "iteration": times}
    if evaluating.truth("until", repeat.until, {**scope, **seen}):
        complete(table, task)
    elif not table.goes_on(task):
        table.finish(task, T.STOPPED, passed=False)
        advance(table, task)
    elif times >= repeat.max:
        error = f"{repeat.until} was not true after {times} times"
        give_up(table, task, Outcome(ending=Ending.FAILED, error=error, retryable=False))
    else:
        once_more(table, task, repeat.delay)


def once_more(table: Table, task: Task, delay: timedelta) -> None:
    task.iteration += 1
    task.counted = task.lost = 0
    task.invocation, task.limit_keys = None, []
    table.move(task, T.WAITING, Reason.TIMER, due_at=table.now + delay)
    table.tell("task.repeating", task, data={"times": task.iteration})


def work_out(table: Table, scope: Scope) -> None:
    """What the run brought about. One whose result cannot be worked out has failed."""
    table.wants_result, table.has_result = False, True
    run = table.run
    try:
        found = evaluating.data("result", table.definition.result, scope)
        text = json.dumps(found)
        if len(text) > LONGEST_RESULT:
            raise Invalid(f"result: {len(text)} bytes, and {LONGEST_RESULT} is the most")
    except Invalid as fault:
        run.ends_as, run.error = R.FAILED, f"the result cannot be worked out: {fault}"
    else:
        table.asked.results[run.id] = text
    table.touch_run()
    conclude(table)
