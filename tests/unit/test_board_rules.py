"""Random graphs, random commands and outcomes: what holds of a board after every step."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from executor.base import Outcome
from scheduler.domain.board import Board
from scheduler.domain.definitions import OnFailure, Placement, ProcessType, TaskDefinition
from scheduler.domain.errors import Conflict
from scheduler.domain.places import Around, Station
from scheduler.domain.retries import RetryPolicy
from scheduler.domain.states import RUN_ARROWS, TASK_ARROWS, RunState, TaskState
from scheduler.domain.tasks import Task
from tests.support.builders import (
    FAILURE,
    HOLDER,
    LOST,
    PERMANENT,
    STOPPED,
    SUCCESS,
    TIMED_OUT,
    a_board,
    claim,
)

OUTCOMES = [SUCCESS, SUCCESS, SUCCESS, FAILURE, PERMANENT, TIMED_OUT, STOPPED, LOST]
COMMANDS = ["hold", "resume", "stop", "kill", "retry", "whole", "wake", "expire", "hand back"]
COMMANDS += ["late", "late", "refuse", "too late"]
STATIONS = (Station("p1"), Station("p2"))
PLACES = [
    None,
    None,
    Placement(workstation="p1"),
    Placement(replace=True),
    Placement(replace=True, reconcile="ask", sticky=True),
    Placement(replace=True, reconcile="keep_replacement"),
    Placement(reconcile="ask"),
    Placement(replace=True, start_before=timedelta(minutes=5)),
]
ALONG_ARROWS = ["hold", "resume", "stop", "wake", "expire", "refuse", "too late"]
CLOSED = (RunState.HOLDING, RunState.HELD, RunState.STOPPING)


@st.composite
def process_types(draw: st.DrawFn) -> ProcessType:
    """A graph of a few tasks; the last of them may handle the failures of others."""
    count = draw(st.integers(1, 6))
    handlers = [f"h{number}" for number in range(draw(st.integers(0, 2)))]
    tasks: list[TaskDefinition] = []
    for number in range(count):
        before = [task.name for task in tasks]
        tasks.append(
            TaskDefinition(
                name=f"t{number}",
                kind="noop",
                needs=tuple(draw(st.lists(st.sampled_from(before), unique=True)) if before else ()),
                on_failure=draw(st.sampled_from(reactions(handlers))),
                on=draw(st.sampled_from(PLACES)),
                on_lost=draw(st.sampled_from(["retry", "fail", "wait"])),
                retries=RetryPolicy(max=draw(st.integers(0, 1))),
            )
        )
    called = {task.on_failure.handler for task in tasks}
    tasks += [TaskDefinition(name=name, kind="noop") for name in handlers if name in called]
    tasks += draw(after_handlers([name for name in handlers if name in called]))
    return ProcessType(name="any", tasks=tuple(tasks), timeout=timedelta(hours=1))


def reactions(handlers: list[str]) -> list[OnFailure]:
    plain = [OnFailure("stop"), OnFailure("stop_now"), OnFailure("continue")]
    return plain + [OnFailure("handler", name) for name in handlers]


def after_handlers(handlers: list[str]) -> st.SearchStrategy[list[TaskDefinition]]:
    after = [TaskDefinition(name=f"after-{name}", kind="noop", needs=(name,)) for name in handlers]
    return st.sampled_from([after, []])


class Carrying:
    """Does to a board what workers, clocks and people do, in any order."""

    def __init__(self, definition: ProcessType):
        self.board = a_board(definition)
        self.settle()

    def settle(self) -> None:
        while self.board.asks():
            self.board.settle({}, around=Around(STATIONS))

    def step(self, command: str) -> None:
        board = self.board
        try:
            match command:
                case "retry" | "whole":
                    board.retry("ann", whole=command == "whole")
                case "stop" | "kill":
                    board.stop("ann", kill=command == "kill")
                case "hand back":
                    self.give_back()
                case "late":
                    self.hear_of_what_was_lost()
                case "refuse":
                    self.refuse()
                case "too late":
                    board.too_late()
                case "wake":
                    board.now += timedelta(minutes=10)
                    board.wake()
                case "hold" | "resume":
                    getattr(board, command)("ann")
                case _:
                    board.expire()
        except Conflict:
            pass
        self.settle()

    def hear_of_what_was_lost(self) -> None:
        for task in self.board.tasks.values():
            for attempt in (task.placement or {}).get("lost", ()):
                self.board.late(task.id, attempt, SUCCESS, station="p1")
                self.settle()

    def refuse(self) -> None:
        for task in self.in_hand():
            if task.placement:
                station = task.queue.removeprefix("ws:") if "ws:" in task.queue else "p1"
                self.board.refuse(
                    task.id, task.attempt, HOLDER, station=station, why="no", others=STATIONS
                )

    def give_back(self) -> None:
        for task in self.in_hand():
            self.board.hand_back(task.id, task.attempt, HOLDER)

    def carry_out(self, number: int, outcome: Outcome) -> None:
        """Begin what is ready, end one of what is in hand."""
        for task in self.of(TaskState.READY):
            claim(self.board, task.name)
        if in_hand := self.in_hand():
            task = in_hand[number % len(in_hand)]
            assert self.board.record(task.id, task.attempt, HOLDER, outcome)
        self.settle()

    def in_hand(self) -> list[Task]:
        return self.of(TaskState.IN_PROGRESS)

    def of(self, state: TaskState) -> list[Task]:
        return [task for task in self.board.tasks.values() if task.state is state]


def check(board: Board) -> None:
    counters_are_those_derived(board)
    run = board.run
    open_tasks = [task for task in board.tasks.values() if not task.state.is_final]
    ready = [task.name for task in open_tasks if task.state is TaskState.READY]
    assert run.state.is_final == (run.open == 0) == (not open_tasks)
    assert run.state.is_final == (run.finished_at is not None)
    assert not (ready and (run.state in CLOSED or run.state.is_final)), f"{ready} in {run.state}"
    assert run.state is not RunState.HELD or not any(task.holder for task in open_tasks)
    assert run.state.is_final or run.state is RunState.HELD or is_moving(board), "stuck"
    for task in board.tasks.values():
        assert (task.state is TaskState.WAITING) == (task.reason is not None)
        assert (task.state is TaskState.IN_PROGRESS) == (task.holder is not None)
        assert task.state.is_final == (task.passed is not None)
    letters = [(letter.task_id, letter.round) for letter in board.changes().letters]
    assert len(letters) == len(set(letters))
    assert [event.seq for event in board.changes().events] == [*range(2, run.events + 1)]


def counters_are_those_derived(board: Board) -> None:
    again = deepcopy(board)
    again.derive()
    assert counters(again) == counters(board)


def counters(board: Board) -> list[tuple[int, int]]:
    of_tasks = [(task.needed, task.open) for task in board.tasks.values()]
    return [(board.run.open, board.run.failed), *of_tasks]


def is_moving(board: Board) -> bool:
    moving = (TaskState.READY, TaskState.IN_PROGRESS, TaskState.WAITING)
    return any(task.state in moving for task in board.tasks.values())


@given(data=st.data(), definition=process_types())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_done_to_a_run_its_rules_hold(
    data: st.DataObject, definition: ProcessType
) -> None:
    carrying = Carrying(definition)
    for _ in range(data.draw(st.integers(1, 25))):
        if data.draw(st.booleans()):
            carrying.step(data.draw(st.sampled_from(COMMANDS)))
        else:
            outcome = data.draw(st.sampled_from(OUTCOMES))
            carrying.carry_out(data.draw(st.integers(0, 5)), outcome)
        check(carrying.board)


@given(data=st.data(), definition=process_types())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_step_follows_an_arrow(data: st.DataObject, definition: ProcessType) -> None:
    carrying = Carrying(definition)
    for _ in range(data.draw(st.integers(1, 15))):
        run, tasks = standing(carrying.board)
        outcome = data.draw(st.sampled_from(OUTCOMES))
        if data.draw(st.booleans()):
            carrying.step(data.draw(st.sampled_from(ALONG_ARROWS)))
        else:
            claimed = {task.id for task in carrying.of(TaskState.READY)}
            tasks |= dict.fromkeys(claimed, TaskState.IN_PROGRESS)
            carrying.carry_out(data.draw(st.integers(0, 5)), outcome)
        assert list(strays(carrying.board, run, tasks)) == []


def standing(board: Board) -> tuple[RunState, dict[int, TaskState]]:
    return board.run.state, {task.id: task.state for task in board.tasks.values()}


def strays(board: Board, run: RunState, tasks: dict[int, TaskState]) -> Iterator[str]:
    if board.run.state is not run and board.run.state not in RUN_ARROWS[run]:
        yield f"run: {run} to {board.run.state}"
    for task in board.tasks.values():
        if task.state is not tasks[task.id] and task.state not in TASK_ARROWS[tasks[task.id]]:
            yield f"{task.name}: {tasks[task.id]} to {task.state}"


@given(data=st.data(), definition=process_types())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_run_that_is_let_alone_comes_to_its_end(
    data: st.DataObject, definition: ProcessType
) -> None:
    carrying = Carrying(definition)
    for _ in range(data.draw(st.integers(0, 10))):
        outcome = data.draw(st.sampled_from(OUTCOMES))
        carrying.carry_out(data.draw(st.integers(0, 5)), outcome)
        carrying.step(data.draw(st.sampled_from(COMMANDS)))
    carrying.step("resume")
    for _ in range(60):
        carrying.carry_out(0, SUCCESS)
        carrying.step("wake")
    assert carrying.board.run.state.is_final


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
def test_what_can_no_longer_run_is_skipped_whichever_of_its_needs_ends_last(
    order: list[str],
) -> None:
    mended = TaskDefinition(name="a", kind="noop", on_failure=OnFailure("handler", "mend"))
    tasks = (
        mended,
        TaskDefinition(name="b", kind="noop"),
        TaskDefinition(name="both", kind="noop", needs=("a", "b")),
        TaskDefinition(name="mend", kind="noop"),
    )
    board = a_board(ProcessType(name="any", tasks=tasks))
    outcomes = {"a": FAILURE, "b": replace(SUCCESS)}
    for name in order:
        mine = claim(board, name)
        assert board.record(mine.id, mine.attempt, HOLDER, outcomes[name])
    both = next(task for task in board.tasks.values() if task.name == "both")
    assert both.state is TaskState.SKIPPED
