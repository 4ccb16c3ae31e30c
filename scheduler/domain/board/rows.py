"""Rows that a run did not begin with: items, undos, hooks and calls."""

from scheduler.domain.board.table import Table
from scheduler.domain.definitions import TaskDefinition
from scheduler.domain.states import TaskState
from scheduler.domain.tasks import Role, Task, rank


def new_row(
    table: Table,
    role: Role,
    name: str,
    definition: TaskDefinition,
    *,
    of: int | None = None,
    position: int | None = None,
) -> Task:
    """A task of nobody's needs; it is for the caller to say when it is ready."""
    priority = table.run.priority if definition.priority is None else definition.priority
    task = Task(
        id=0,
        run_id=table.run.id,
        position=table.next_position if position is None else position,
        name=name,
        kind=definition.kind,
        state=TaskState.PENDING,
        reason=None,
        blocked_on=None,
        due_at=None,
        queue=definition.queue or table.definition.queue,
        rank=rank(priority, started=True),
        required=0,
        needed=0,
        open=0,
        passed=None,
        successors=[],
        handler=None,
        settles=True,
        judged=True,
        on_lost=definition.on_lost,
        limit_keys=[],
        attempt=0,
        counted=0,
        lost=0,
        holder=None,
        wanted=None,
        invocation=None,
        exit_code=None,
        error=None,
        started_at=None,
        finished_at=None,
        role=role,
        of=of,
    )
    table.add(task)
    return task


def last_step(
    table: Table, role: Role, name: str, definition: TaskDefinition, of: int | None = None
) -> Task:
    """The row of an undo or a hook, which it keeps over all rounds."""
    known = [task for task in table.of_role(role) if (task.name, task.of) == (name, of)]
    if not known:
        task = new_row(table, role, name, definition, of=of)
    else:
        [task] = known
        table.reopen(task)
    task.iteration = table.run.round
    return task
