"""One thing that happened, and all that follows from it, in one transaction.

Runs are laid out as boards when they are first touched. What a board asks of the world around it
is carried out here, until nothing follows any more; then each run that changed is told of.
"""

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from edge.agent.micro import alone, asking, events, places, starting, timetable
from edge.agent.micro.alone import Here
from edge.agent.micro.ledger import Case, Ledger, task_id
from edge.agent.micro.working import Work, gathered, parsed, position_of, results
from edge.agent.micro.world import World
from edge.attempts import Own
from executor.base import Ending, Outcome
from scheduler.domain import scopes
from scheduler.domain.board import IN_FLIGHT, Board, Changes
from scheduler.domain.definitions import ProcessType
from scheduler.domain.errors import Conflict
from scheduler.domain.orders import (
    AskApproval,
    AwaitEvent,
    CloseApproval,
    EmitEvent,
    EnterGroup,
    Order,
    StartChild,
    TellChildren,
)
from scheduler.domain.states import Reason, RunState, TaskState
from scheduler.domain.tasks import Task

if TYPE_CHECKING:
    from edge.messages import Happened, Ticked

HOLDER = 1  # of what is in hand here there is only one
T = TaskState
DONE = Outcome(ending=Ending.SUCCEEDED)


class Decision:
    def __init__(
        self, ledger: Ledger, world: World, now: datetime, here: Here, closed: str = ""
    ) -> None:
        self.ledger, self.world, self.now, self.here = ledger, world, now, here
        self.closed = closed  # why no schedule starts anything
        self.works: dict[UUID, Work] = {}
        self.todo: deque[Callable[[], None]] = deque()
        self.happened: list[Happened] = []  # that the server is to hear of
        self.ticked: list[Ticked] = []

    @property
    def stamp(self) -> float:
        return self.now.timestamp()

    # What others ask.

    def on(self, run: UUID, act: Callable[[Board], Any]) -> Any:
        """Let `act` change a run's board, and go on with all that follows; None if it is gone."""
        found = self.touch(run, act)
        self.follow()
        return found

    def follow(self) -> None:
        while self.todo:
            self.todo.popleft()()

    def later(self, act: Callable[[], None]) -> None:
        self.todo.append(act)

    # Runs on the table.

    def work(self, run: UUID) -> Work | None:
        if run not in self.works:
            case = self.ledger.load(run)
            if case is None:
                return None
            self.lay_out(case)
        return self.works[run]

    def definition(self, name: str, version: int) -> ProcessType:
        """As it is carried out here."""
        return alone.local(self.ledger.type(name, version)[0], self.here)

    def lay_out(self, case: Case, *, is_new: bool = False) -> Work:
        run = case.run
        definition = self.definition(run.type, run.type_version)
        board = Board(run, case.tasks, definition, now=self.now, chance=self.world.chance())
        about = case.about
        board.vars = scopes.variables(about.system, definition.vars, about.record)
        work = Work(case, board, is_new=is_new, was_over=run.state.is_final)
        work.wanted = {task.position: task.wanted for task in case.tasks}
        self.works[run.id] = work
        return work

    def touch(self, run: UUID, act: Callable[[Board], Any]) -> Any:
        work = self.work(run)
        if work is None:
            return None
        try:
            return act(work.board)
        finally:
            self.settle(work)

    def settle(self, work: Work) -> None:
        board = work.board
        self.take(work, board.drain())
        while board.asks():
            whole = {position: gathered(work, position) for position in board.gatherable()}
            undone = {each: parsed(work.case.outputs.get(each)) for each in board.undoing_items()}
            board.settle(results(work), whole, undone)
            self.take(work, board.drain())

    def take(self, work: Work, changes: Changes) -> None:
        """Write what a board has decided, and remember what follows from it."""
        if not any((changes.runs, changes.tasks, changes.new_tasks, changes.events)):
            return
        work.has_changed = True
        self.name_new(work, changes)
        for id, output in changes.outputs.items():
            self.keep_output(work, position_of(id), output)
        for text in changes.results.values():
            work.case.result = text
        work.attempts += changes.attempts
        work.happened += changes.events
        self.ledger.put_limits(work.board)
        self.ledger.put_run(work.case)
        for task in (*changes.tasks, *changes.new_tasks):
            self.put(work, task)
        for order in changes.orders:
            self.later(partial(self.carry_out, order))
        if work.case.run.state.is_final and not work.was_over:
            self.later(partial(self.ended, work))
        work.was_over = work.case.run.state.is_final

    def name_new(self, work: Work, changes: Changes) -> None:
        for task in changes.new_tasks:
            task.id = task_id(task.position)
            work.board.by_id[task.id] = task

    def keep_output(self, work: Work, position: int, output: str | None) -> None:
        work.outputs.add(position)
        if output is None:
            work.case.outputs.pop(position, None)
        else:
            work.case.outputs[position] = output

    def put(self, work: Work, task: Task) -> None:
        work.changed[task.position] = task
        self.ledger.put_task(work.case, task, self.now)
        if task.state not in IN_FLIGHT and (task.attempt or task.limit_keys):
            places.release(self, task)
        if task.state is T.READY and task.kind == "noop":
            self.later(partial(self.pass_over, work, task))
        elif task.reason is Reason.LIMIT and task.blocked_on is None:
            self.later(partial(places.seek, self, work, task))

    # What follows.

    def carry_out(self, order: Order) -> None:
        match order:
            case StartChild():
                starting.child(self, order)
            case TellChildren():
                starting.tell_children(self, order)
            case AwaitEvent():
                events.wait(self, order)
            case EmitEvent():
                events.emit(self, order)
            case AskApproval():
                asking.ask(self, order)
            case CloseApproval():
                asking.close(self, order)
            case EnterGroup():
                places.enter(self, order)

    def pass_over(self, work: Work, task: Task) -> None:
        """A joint of the graph: nobody carries it out."""
        if task.state is T.READY:
            self.begin(work, task)
            self.touch(
                task.run_id,
                lambda board: board.record(task.id, task.attempt, HOLDER, DONE),
            )

    def begin(self, work: Work, task: Task) -> Own:
        task.state, task.holder, task.started_at = T.IN_PROGRESS, HOLDER, self.now
        task.exit_code = task.error = task.wanted = None
        task.attempt += 1
        run = work.case.run
        if run.state is RunState.PENDING:
            run.state = RunState.IN_PROGRESS
        work.board.touch(task)
        work.board.touch_run()
        self.take(work, work.board.drain())
        return Own(run.id, task.position, task.attempt)

    def deliver(self, run: UUID, position: int, outcome: Outcome) -> None:
        self.touch(run, lambda board: board.deliver(task_id(position), None, outcome))

    def obey(self, run: UUID, verb: str, by: str, why: str | None = None) -> None:
        """What one run asks of another; that it ended meanwhile is no fault of anybody."""
        try:
            self.touch(run, lambda board: obey(board, verb, by, why))
        except Conflict:
            return

    def ended(self, work: Work) -> None:
        run = work.case.run
        if not run.state.is_final:
            return
        places.leave(self, run.id)
        if run.parent_run is not None and run.parent_task is not None:
            starting.child_ended(self, run.parent_run, position_of(run.parent_task), work.case)
        if work.case.about.schedule is not None:
            timetable.run_ended(self, work.case.about.schedule)

    # Having been decided.

    def touched(self) -> Iterable[Work]:
        return [work for work in self.works.values() if work.has_changed]


def obey(board: Board, verb: str, by: str, why: str | None = None) -> None:
    match verb:
        case "hold":
            board.hold(by)
        case "resume":
            board.resume(by)
        case "stop" | "kill":
            board.stop(by, kill=verb == "kill", why=why)
