"""Changing runs: lock them, lay out their boards, decide, write, and say who is to be woken.

Everything that changes a run's tasks and is not plain success comes through `judge`. The caller
owns the transaction. Lock order: runs by id, tasks by id; places under limits are only ever
taken with SKIP LOCKED; locks of events come last.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain import scopes
from scheduler.domain.board import IN_FLIGHT, MOST_GATHERED, Board, Changes
from scheduler.domain.orders import Order
from scheduler.domain.places import Around
from scheduler.domain.runs import Run
from scheduler.domain.states import Reason, TaskState
from scheduler.domain.tasks import Task
from scheduler.domain.wakes import Wake
from scheduler.services import carrying, errands, waking
from scheduler.services.catalog import Catalog
from scheduler.store import boards, flows, limits, placements, queues, tasks, variables

Conn = AsyncConnection[Any]
Decide = Callable[[Board], None]


async def judge(
    conn: Conn, catalog: Catalog, ids: Sequence[UUID], decide: Decide, *, by: str
) -> Wake:
    """Let `decide` change each run's board; ids that no longer exist are left out."""
    changes, rest, sizes, windows, wake = Changes(), Changes(), {}, {}, Wake()
    loaded = await boards.load(conn, ids)
    moment = await queues.moment(conn)
    for run, rows in loaded:
        definition = await catalog.get(conn, run.type, run.type_version)
        board = Board(
            run,
            rows,
            definition,
            now=moment.now,
            chance=random.random(),
            limited=moment.limited,
        )
        decide(board)
        while board.asks():
            # Settling reads what was decided, so that has to be written first.
            changes.add(await write(conn, board.drain(), by))
            await settle(conn, board)
        rest.add(board.drain())
        sizes.update(board.limit_sizes)
        windows.update(board.limit_windows)
    changes.add(await write(conn, rest, by))
    if windows:
        await limits.ensure(conn, {key: sizes[key] for key in windows}, windows)
    await place(conn, changes.tasks, sizes, moment.limited, wake)
    await limits.remove_spent(conn, changes.spent_limits)
    tell(changes, wake)
    if changes.orders:
        await go_on(conn, catalog, changes.orders, wake, by=by)
    return wake


async def write(conn: Conn, changes: Changes, by: str) -> Changes:
    """New tasks are tasks like the others when they have been written."""
    await boards.write(conn, changes, by=by)
    changes.tasks += changes.new_tasks
    over = [task.id for task in changes.tasks if task.role == "call" and task.state.is_final]
    if over:
        changes.hearing += await flows.number(conn, over)
    return changes


async def settle(conn: Conn, board: Board) -> None:
    run = board.run.id
    around = await variables.of_record(conn, board.run.record_id)
    board.vars = scopes.variables(around.system, board.definition.vars, around.record)
    board.settle(
        await tasks.results(conn, run),
        await tasks.gathered(conn, run, board.gatherable(), MOST_GATHERED),
        await tasks.outputs(conn, run, board.undoing_items()),
        await workstations(conn, board) if board.asks_where() else None,
    )


async def workstations(conn: Conn, board: Board) -> Around:
    return Around(await placements.stations(conn), await placements.taken(conn, board.run.id))


async def go_on(
    conn: Conn, catalog: Catalog, orders: Sequence[Order], wake: Wake, *, by: str
) -> None:
    """Carry out what was asked, and go on at once with what has an answer at once."""
    news = await carrying.carry_out(conn, catalog, orders, wake)
    if news.unsettled:
        children = sorted(news.unsettled)
        wake.merge(await judge(conn, catalog, children, Board.look_again, by=by))
    if news.answers:
        answers = await errands.answers(conn, news.answers)

        def decide(board: Board) -> None:
            errands.tell(board, answers)

        wake.merge(await judge(conn, catalog, sorted(answers), decide, by=by))


async def place(
    conn: Conn,
    changed: Sequence[Task],
    sizes: dict[str, int],
    limited: dict[str, int],
    wake: Wake,
) -> None:
    """Release the places of those that left, and try to find one for those that need one."""
    left = [task.id for task in changed if task.state not in IN_FLIGHT and may_have_place(task)]
    if left and await limits.release(conn, left):
        wake.add(due=True)
    if sizes:
        await limits.ensure(conn, sizes)
        await limits.trim(conn, sizes)
    waiting = {task.id: task for task in changed if is_to_be_placed(task)}
    await admit_all(conn, list(waiting.values()), limited, wake)


def is_to_be_placed(task: Task) -> bool:
    return task.reason is Reason.LIMIT and task.blocked_on is None


async def admit_all(
    conn: Conn, waiting: Sequence[Task], limited: dict[str, int], wake: Wake
) -> None:
    """Behind one that found no place under a limit, others under the same limit need not ask."""
    full: dict[str, list[int]] = {}
    for task in waiting:
        keys = keys_of(task, limited)
        known = next((key for key in keys if key in full), None)
        if known is not None:
            full[known].append(task.id)
        elif key := await admit(conn, task.id, task.run_id, keys, wake):
            full[key] = []
    for key, behind in full.items():
        if behind:
            await limits.block(conn, behind, key)


def may_have_place(task: Task) -> bool:
    """A task that was claimed or READY may have had places; the keys of those it keeps."""
    return bool(task.attempt or task.limit_keys)


def keys_of(task: Task, limited: dict[str, int]) -> list[str]:
    return [*without_queue(task.limit_keys), *queue_keys(task.queue, limited)]


def without_queue(keys: Sequence[str]) -> list[str]:
    """The keys of its definition: its queue may have been limited, or no more, since."""
    return [key for key in keys if not key.startswith("queue:")]


def queue_keys(queue: str, limited: dict[str, int] | Sequence[str]) -> list[str]:
    return [f"queue:{queue}"] if queue in limited else []


async def admit(conn: Conn, task: int, run: UUID, keys: Sequence[str], wake: Wake) -> str | None:
    """Make a task READY if there is a place for it under each of its limits; else the one that
    had none."""
    full = await limits.take(conn, task, keys)
    if full is not None:
        await limits.block(conn, [task], full)
        wake.add(due=True)
    elif queue := await limits.admit(conn, task, keys):
        await limits.begin_run(conn, run)
        wake.add(runs=[run], queues=[queue])
    return full


def tell(changes: Changes, wake: Wake) -> None:
    wake.add(
        runs=[run.id for run in changes.runs],
        queues={
            *(task.queue for task in changes.tasks if task.state is TaskState.READY),
            *map(waking.of_calls, changes.hearing),
        },
        due=any(task.due_at for task in changes.tasks) or any(map(is_due, changes.runs)),
        wanted=any(task.wanted for task in changes.tasks),
    )


def is_due(run: Run) -> bool:
    """Something comes of it in time; or it has ended, and an errand tells its parent."""
    return run.due_at is not None or (run.parent_run is not None and run.state.is_final)
