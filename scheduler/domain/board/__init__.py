"""A run and its tasks, laid out while somebody who holds the run's lock decides what follows.

Pure: values go in, the board is changed, and `changes` says what must be written. Plain success
never comes here, it is arithmetic in SQL (sql/queries/tasks.sql, `record`); everything else does.

Invariants, checked by `doctor` and by the tests: `needed` is the number of successes a task
still misses, `open` the number of its predecessors that are not final; while a task has items
under way, both speak of them. A run's `open` is the number of its tasks that are not final.
`derive` computes all three from the rows.
"""

from scheduler.domain.board import (
    calling,
    grouping,
    outcomes,
    parked,
    reconciling,
    rounds,
    settling,
    verbs,
)
from scheduler.domain.board.calling import Called, Hand
from scheduler.domain.board.changes import Attempt, Changes, DeadLetter, Event, fingerprint
from scheduler.domain.board.expanding import MOST_GATHERED, Gathered
from scheduler.domain.board.outcomes import MOST_LOSSES
from scheduler.domain.board.table import Table
from scheduler.domain.states import TaskState

__all__ = [
    "IN_FLIGHT",
    "MOST_GATHERED",
    "MOST_LOSSES",
    "Attempt",
    "Board",
    "Called",
    "Changes",
    "DeadLetter",
    "Event",
    "Gathered",
    "Hand",
    "fingerprint",
]

IN_FLIGHT = (TaskState.READY, TaskState.IN_PROGRESS)


class Board(Table):
    """The rows, and all that can happen to them."""

    record = outcomes.record
    late = reconciling.late
    hand_back = outcomes.hand_back
    refuse = outcomes.refuse
    too_late = outcomes.too_late

    hold = verbs.hold
    resume = verbs.resume
    stop = verbs.stop
    expire = verbs.expire
    wake = verbs.wake
    look_again = verbs.look_again

    retry = rounds.retry
    skip = rounds.skip_task
    mark_done = rounds.mark_done
    compensate = rounds.compensate

    call = calling.call
    drop = calling.drop
    park = calling.park
    diverge = calling.diverge

    deliver = parked.deliver
    admit = grouping.admit

    unsettled = settling.unsettled
    settle = settling.settle
    asks = settling.asks
    asks_where = settling.asks_where
    gatherable = settling.gatherable
    undoing_items = settling.undoing_items
