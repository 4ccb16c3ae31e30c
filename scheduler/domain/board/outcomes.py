"""What became of an attempt, and what that means for its task."""

from collections.abc import Iterable

from executor.base import Ending, Outcome
from scheduler.domain import places, retries
from scheduler.domain.board import items, originals, placing, stopping
from scheduler.domain.board.changes import Attempt, DeadLetter, fingerprint
from scheduler.domain.board.ending import fail, settle_run
from scheduler.domain.board.following import advance, ready
from scheduler.domain.board.table import Table
from scheduler.domain.orders import Rewind
from scheduler.domain.states import AttemptState, Reason, TaskState
from scheduler.domain.tasks import Task

T = TaskState

MOST_LOSSES = 3  # a task that kills its holder ends; a loss uses up no retry
MOST_REPLAYS = 100  # a workflow goes on where it was, however long it takes
UNCOUNTED = (Ending.LOST, Ending.STOPPED)  # nor does a worker that leaves


def record(
    table: Table,
    task_id: int,
    attempt: int,
    holder: int,
    outcome: Outcome,
    refused_by: str | None = None,
) -> bool:
    """Close an attempt; False if it is no longer the one in hand: its result is late. `refused_by`:
    the workstation that had taken it, and would not begin it after all."""
    task = table.by_id[task_id]
    if (task.state, task.attempt, task.holder) != (T.IN_PROGRESS, attempt, holder):
        return False
    if refused_by is not None:
        tell_refusal(table, task, attempt, refused_by, outcome.error or "")
    conclude(table, task, outcome)
    settle_run(table)
    return True


def conclude(table: Table, task: Task, outcome: Outcome) -> None:
    """What an attempt's outcome is to its task."""
    close(table, task, outcome)
    came_to(table, task, originals.what_counts(table, task, outcome))


def came_to(table: Table, task: Task, outcome: Outcome) -> None:
    match outcome.ending:
        case Ending.SUCCEEDED if table.definition_of(task).repeat:
            table.succeeded[task.position] = outcome
            table.move(task, T.WAITING, Reason.SETTLE, due_at=table.now)
        case Ending.SUCCEEDED:
            complete(table, task)
        case Ending.STOPPED:
            stopped(table, task)
        case Ending.LOST:
            lost(table, task, outcome)
        case Ending.FAILED | Ending.TIMED_OUT:
            failed(table, task, outcome)


def hand_back(table: Table, task_id: int, attempt: int, holder: int) -> bool:
    """Give a task back that was claimed and never begun: it costs nothing."""
    task = table.by_id[task_id]
    if (task.state, task.attempt, task.holder) != (T.IN_PROGRESS, attempt, holder):
        return False
    release(table, task)
    again(table, task)
    settle_run(table)
    return True


def refuse(
    table: Table,
    task_id: int,
    attempt: int,
    holder: int,
    *,
    station: str,
    why: str,
    others: Iterable[places.Station],
) -> bool:
    """A workstation will not do what was offered to it, now or ever: it is for the first of the
    others that may do it and has not refused it; if there is none, it has failed."""
    task = table.by_id[task_id]
    if (task.state, task.attempt, task.holder) != (T.IN_PROGRESS, attempt, holder):
        return False
    release(table, task)
    tell_refusal(table, task, attempt, station, why)
    refused = placing.is_refused_by(task) | {station: why}
    task.placement = {**(task.placement or {}), "refused": refused}
    left = [name for name in placing.candidates(task, others) if name not in refused]
    if left:
        placing.look_elsewhere(table, task)
        placing.go_to(task, left[0])
        again(table, task)
    elif not table.goes_on(task):
        again(table, task)
    else:
        said = "; ".join(f"{name} refuses it: {each}" for name, each in refused.items())
        give_up(table, task, Outcome(ending=Ending.FAILED, error=said, retryable=False))
    settle_run(table)
    return True


def tell_refusal(table: Table, task: Task, attempt: int, station: str, why: str) -> None:
    told = {"workstation": station, "why": why}
    table.tell("task.refused", task, attempt=attempt, data=told)


def too_late(table: Table) -> None:
    """What was to begin by now, and waits for a workstation still, does not begin any more."""
    for task in table.of_state(T.READY):
        if task.state is T.READY and placing.is_too_late(table, task):
            error = f"expired: it was to begin {placing.by_when(task)}"
            give_up(table, task, Outcome(ending=Ending.FAILED, error=error, retryable=False))
    settle_run(table)


def close(table: Table, task: Task, outcome: Outcome) -> None:
    table.asked.attempts.append(
        Attempt(
            run_id=table.run.id,
            task_id=task.id,
            number=task.attempt,
            round=table.run.round,
            state=AttemptState(outcome.ending),
            counted=outcome.counted,
            holder=task.holder,
            started_at=task.started_at,
            exit_code=outcome.exit_code,
            output=outcome.output,
            error=outcome.error,
            detail=outcome.detail,
            finished_at=outcome.ended_at,
        )
    )
    task.exit_code, task.error = outcome.exit_code, outcome.error
    table.asked.outputs[task.id] = outcome.output
    task.counted += outcome.counted and outcome.ending not in UNCOUNTED
    release(table, task)


def release(table: Table, task: Task) -> None:
    task.holder = None
    if not task.is_ending:
        task.wanted = None
    table.touch(task)


def complete(table: Table, task: Task) -> None:
    table.finish(task, T.COMPLETED, passed=True)
    if is_all_there_is(table, task):
        table.asked.results[table.run.id] = table.asked.outputs.get(task.id)
    table.tell("task.completed", task)
    advance(table, task)


def is_all_there_is(table: Table, task: Task) -> bool:
    """What a workflow comes to without others, its run comes to."""
    alone = task.kind == "workflow" and table.of_role("task") == [task]
    return alone and table.definition.result is None


def stopped(table: Table, task: Task) -> None:
    """Stopped because somebody asked, or given back by a worker that is going away."""
    if not table.goes_on(task):
        table.finish(task, T.STOPPED, passed=False)
        table.tell("task.stopped", task)
        advance(table, task)
    else:
        table.tell("task.handed_back", task)
        again(table, task)


def lost(table: Table, task: Task, outcome: Outcome) -> None:
    task.lost += 1
    placing.note_lost(task)
    if stopping.is_to_hear(table, task) and task.is_ending and task.lost <= most_losses(task):
        table.tell("task.lost", task, data={"error": outcome.error})
        stopping.waken(table, task)
    elif not table.goes_on(task):
        table.finish(task, T.STOPPED, passed=False)
        table.tell("task.lost", task)
        advance(table, task)
    elif placing.is_not_repeated(task) and not placing.is_replaced(task):
        give_up(table, task, outcome)
    elif task.lost > most_losses(task):
        error = f"lost {task.lost} times, the last time: {outcome.error}"
        give_up(table, task, Outcome(ending=Ending.LOST, error=error, retryable=False))
    else:
        table.tell("task.lost", task, data={"error": outcome.error})
        placing.close_window(task)
        if placing.is_replaced(task):
            placing.look_elsewhere(table, task)
        again(table, task)


def most_losses(task: Task) -> int:
    return MOST_REPLAYS if task.kind == "workflow" else MOST_LOSSES


def failed(table: Table, task: Task, outcome: Outcome) -> None:
    if not table.goes_on(task):
        table.finish(task, T.FAILED, passed=False)
        table.tell("task.failed", task, data={"error": outcome.error})
        advance(table, task)
        return
    verdict = retries.after_failure(
        table.definition_of(task).retries,
        counted=task.counted,
        exit_code=outcome.exit_code,
        retryable=outcome.retryable,
        now=table.now,
        chance=table.chance,
        asked=outcome.retry_after,
        error_type=outcome.error_type,
    )
    if isinstance(verdict, retries.Retry):
        table.tell("task.retrying", task, data={"error": outcome.error, "at": str(verdict.at)})
        placing.close_window(task)
        table.move(task, T.WAITING, Reason.BACKOFF, due_at=verdict.at)
        if task.kind == "workflow":
            table.asked.orders.append(Rewind(task=task, keeps=True))
    else:
        give_up(table, task, outcome)


def give_up(table: Table, task: Task, outcome: Outcome) -> None:
    """The task has failed for good; its role and its definition say what that is to the run."""
    task.error = outcome.error or f"exit code {outcome.exit_code}"
    action = table.definition_of(task).on_failure
    goes_on = task.role == "task" and action.kind == "continue" and table.goes_on(task)
    table.finish(task, T.FAILED, passed=goes_on)
    table.tell("task.failed", task, data={"error": task.error})
    match task.role:
        case "item":
            items.failed(table, task)
        case "hook":
            bury(table, task)
        case "call":
            say_how(table, task, outcome)
        case "task" if action.kind not in ("continue", "handler"):
            bury(table, task)
            want = "stop" if action.kind == "stop_now" else None
            error = f"task {task.name} failed: {task.error}"
            fail(table, error, want, {"task": task.name})
    advance(table, task)


def say_how(table: Table, task: Task, outcome: Outcome) -> None:
    """For the workflow: whether time was up, or what a program said that did it."""
    of = (outcome.detail or {}).get("error")
    kind = "TimedOut" if outcome.ending is Ending.TIMED_OUT else outcome.error_type or "Failed"
    error = of if isinstance(of, dict) else {"type": kind, "message": task.error}
    table.asked.notes[task.id] = {"error": error}


def bury(table: Table, task: Task) -> None:
    error = task.error or ""
    table.asked.letters.append(
        DeadLetter(
            run_id=table.run.id,
            task_id=task.id,
            round=table.run.round,
            type=table.run.type,
            task=task.name,
            error=error,
            fingerprint=fingerprint(table.run.type, task.name, error),
        )
    )


def again(table: Table, task: Task) -> None:
    """Back to the queue; a run that is winding down has no queue any more."""
    if table.goes_on(task):
        ready(table, task)
    elif task.is_ending and stopping.is_to_hear(table, task):
        stopping.waken(table, task)
    else:
        table.finish(task, T.STOPPED, passed=False)
        advance(table, task)
