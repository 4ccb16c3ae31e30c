"""The rows that a run begins with, where no database makes them of its templates."""

from datetime import datetime

from scheduler.domain.graph import TaskTemplate
from scheduler.domain.runs import Run
from scheduler.domain.states import Reason, TaskState
from scheduler.domain.tasks import Task, rank


def first_row(run: Run, template: TaskTemplate, *, id: int, now: datetime) -> Task:
    state, reason = first_state(template)
    return Task(
        id=id,
        run_id=run.id,
        position=template.position,
        name=template.name,
        kind=template.kind,
        state=state,
        reason=reason,
        blocked_on=None,
        due_at=now if reason else None,
        queue=template.queue,
        rank=rank(template.priority, started=False),
        required=template.required,
        needed=template.required,
        open=template.open,
        passed=None,
        successors=list(template.successors),
        handler=template.handler,
        settles=template.settles,
        judged=template.judged,
        on_lost=template.on_lost,
        limit_keys=[],
        attempt=0,
        counted=0,
        lost=0,
        holder=None,
        wanted=None,
        invocation=template.invocation,
        exit_code=None,
        error=None,
        started_at=None,
        finished_at=None,
        placement=template.placement,
    )


def first_state(template: TaskTemplate) -> tuple[TaskState, Reason | None]:
    if template.required:
        return TaskState.PENDING, None
    return (TaskState.WAITING, Reason.SETTLE) if template.settles else (TaskState.READY, None)
