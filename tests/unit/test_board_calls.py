"""What a workflow calls, on the board: rows beside those of the definition."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from executor.base import Ending, Outcome
from scheduler.domain import calls
from scheduler.domain.board import Board, Called, Hand
from scheduler.domain.board.outcomes import MOST_REPLAYS
from scheduler.domain.errors import Invalid
from scheduler.domain.orders import Inquire, Rewind, StartChild, TakeMessage
from scheduler.domain.states import Reason, RunState, TaskState
from scheduler.domain.tasks import Task
from tests.support.builders import HOLDER, LOST, NOW, SUCCESS, a_board, claim, states, task

ORDER = """
name: order
max_parallel: 1
tasks:
  - {name: flow, workflow: order}
  - {name: after, noop: true}
"""


def a_flow(text: str = ORDER.replace("max_parallel: 1\n", "")) -> Board:
    board = a_board(text)
    claim(board, "flow")
    return board


def hand(board: Board) -> Hand:
    flow = task(board, "flow")
    return Hand(flow.id, flow.attempt, HOLDER)


def call(board: Board, seq: int, **document: Any) -> Task:
    position = calls.FIRST + seq
    assert board.call(hand(board), [Called(position, f"c{seq}", document)])
    return board.tasks[position]


def over(board: Board, mine: Task, outcome: Outcome = SUCCESS) -> None:
    mine.state, mine.holder = TaskState.IN_PROGRESS, HOLDER
    mine.attempt += 1
    assert board.record(mine.id, mine.attempt, HOLDER, outcome)


def test_what_a_workflow_calls_is_a_task_that_counts_in_its_run_until_it_is_over() -> None:
    board = a_flow()
    mine = call(board, 1, action="mail")

    assert (mine.role, mine.of, mine.kind, mine.queue) == ("call", 0, "action", "action:mail")
    assert (mine.state, board.run.open, board.run.total) == (TaskState.READY, 3, 3)
    over(board, mine)
    assert (board.run.open, board.run.total) == (2, 3)
    assert states(board)["after"] == "PENDING"


def test_a_call_that_is_said_again_is_the_same_call() -> None:
    board = a_flow()
    call(board, 1, sleep="5s")
    call(board, 1, sleep="5s")

    assert len(board.of_role("call")) == 1
    assert board.run.open == 3


def test_a_workflow_that_waits_holds_no_hands_and_goes_on_when_a_call_is_over() -> None:
    board = a_flow()
    mine = call(board, 1, sleep="5s")
    assert board.park(hand(board), [calls.FIRST + 1])

    flow = task(board, "flow")
    assert (flow.state, flow.reason, flow.holder) == (TaskState.WAITING, Reason.CALLS, None)
    assert (flow.counted, flow.lost) == (0, 0)
    board.now += timedelta(seconds=5)
    board.wake()
    assert mine.state is TaskState.COMPLETED
    assert flow.state is TaskState.READY


HEARING = ORDER.replace("max_parallel: 1\n", "").replace(
    "workflow: order", "workflow: {name: order, hears_stop: true}"
)


def a_parked_flow(text: str = HEARING) -> Board:
    board = a_flow(text)
    call(board, 1, sleep="5s")
    assert board.park(hand(board), [calls.FIRST + 1])
    return board


def test_a_workflow_that_is_to_hear_of_a_stop_is_offered_for_it() -> None:
    board = a_parked_flow()
    board.stop("ada")

    flow = task(board, "flow")
    assert (flow.state, flow.wanted) == (TaskState.READY, "stop")
    assert board.tasks[calls.FIRST + 1].state is TaskState.STOPPED
    assert str(board.run.state) == "STOPPING"
    claim(board, "flow")
    assert board.record(flow.id, flow.attempt, HOLDER, Outcome(ending=Ending.STOPPED))
    assert str(board.run.state) == "STOPPED"


def test_who_cleans_up_and_is_lost_or_leaves_is_followed_by_another() -> None:
    board = a_parked_flow()
    board.stop("ada")
    flow = task(board, "flow")
    claim(board, "flow")
    assert board.record(flow.id, flow.attempt, HOLDER, LOST)
    assert (flow.state, flow.wanted) == (TaskState.READY, "stop")
    claim(board, "flow")
    assert board.hand_back(flow.id, flow.attempt, HOLDER)
    assert (flow.state, flow.wanted) == (TaskState.READY, "stop")
    flow.lost = MOST_REPLAYS
    claim(board, "flow")
    assert board.record(flow.id, flow.attempt, HOLDER, LOST)
    assert board.run.state is RunState.STOPPED


def test_nobody_hears_of_a_kill_nor_of_the_stop_of_what_never_began() -> None:
    board = a_parked_flow()
    board.stop("ada")
    board.stop("ada", kill=True)
    assert board.run.state is RunState.STOPPED

    fresh = a_board(HEARING)
    fresh.stop("ada")
    assert fresh.run.state is RunState.STOPPED

    silent = a_parked_flow(HEARING.replace("hears_stop: true", "hears_stop: false"))
    silent.stop("ada")
    assert silent.run.state is RunState.STOPPED


def test_a_workflow_that_waits_for_nothing_more_is_offered_at_once() -> None:
    board = a_flow()
    assert board.park(hand(board), [])
    assert task(board, "flow").state is TaskState.READY


def test_only_who_has_a_workflow_in_hand_calls_parks_or_holds_it() -> None:
    board = a_flow()
    stranger = Hand(task(board, "flow").id, 1, HOLDER + 1)

    assert not board.call(stranger, [Called(calls.FIRST + 1, "c", {"sleep": "1s"})])
    assert not board.park(stranger, [])
    assert not board.diverge(stranger, {})
    assert states(board) == {"flow": "IN_PROGRESS", "after": "PENDING"}


def test_what_a_workflow_called_ends_with_it_and_its_run_after_both() -> None:
    board = a_flow("name: one\ntasks:\n  - {name: flow, workflow: one}\n")
    sleeping, working = call(board, 1, sleep="1h"), call(board, 2, action="mail")
    working.state, working.holder, working.attempt = TaskState.IN_PROGRESS, HOLDER, 1
    flow = task(board, "flow")
    assert board.record(flow.id, flow.attempt, HOLDER, SUCCESS)

    assert sleeping.state is TaskState.STOPPED
    assert (working.wanted, board.run.state) == ("stop", RunState.IN_PROGRESS)
    assert board.record(working.id, 1, HOLDER, Outcome(ending=Ending.STOPPED))
    assert board.run.state is RunState.COMPLETED


def test_the_failure_of_a_call_is_the_workflows_to_answer() -> None:
    board = a_flow()
    mine = call(board, 1, action="mail")
    over(board, mine, Outcome(ending=Ending.FAILED, error="no such address"))

    assert (mine.state, board.run.state, board.run.failed) == (
        TaskState.FAILED,
        RunState.IN_PROGRESS,
        0,
    )
    assert not board.changes().letters
    assert board.changes().notes[mine.id]["error"] == {
        "type": "Failed",
        "message": "no such address",
    }


def test_a_call_whose_time_is_up_says_so() -> None:
    board = a_flow()
    mine = call(board, 1, recv={"topic": "news"}, timeout="2s")
    board.now += timedelta(seconds=2)
    board.wake()

    assert mine.state is TaskState.FAILED
    assert board.changes().notes[mine.id]["error"]["type"] == "TimedOut"


@pytest.mark.parametrize(
    "document", [{"frobnicate": 1}, {"workflow": "other"}, {"sleep": "soon"}, {}]
)
def test_a_call_that_nobody_can_carry_out_has_failed_and_says_why(document: Any) -> None:
    board = a_flow()
    mine = call(board, 1, **document)
    assert mine.state is TaskState.FAILED
    assert mine.error


def test_texts_of_calls_are_what_they_are_and_no_expressions() -> None:
    board = a_flow()
    mine = call(board, 1, action={"name": "mail", "payload": {"to": "${{ secrets.key }}"}})
    assert mine.invocation["payload"] == {"to": "${{ secrets.key }}"}


def test_a_workflow_that_waits_for_its_calls_needs_one_place_of_its_type() -> None:
    board = a_board(ORDER)
    flow = task(board, "flow")
    flow.invocation, flow.state, flow.reason = {}, TaskState.READY, None
    claim(board, "flow")
    assert call(board, 1, action="mail").limit_keys == []


def test_calls_ask_the_world_for_what_they_wait_for() -> None:
    board, other = a_flow(), uuid4()
    call(board, 1, recv={"topic": "news"})
    call(board, 2, get={"run": str(other), "key": "state"})
    call(board, 3, result={"run": str(other)})
    call(board, 4, process={"type": "child", "input": {"a": 1}})

    taken, value, end, child = board.changes().orders
    assert isinstance(taken, TakeMessage)
    assert isinstance(value, Inquire)
    assert (value.kind, value.name) == ("value", "state")
    assert isinstance(end, Inquire)
    assert (end.kind, end.about) == ("end", other)
    assert isinstance(child, StartChild)
    assert child.input == {"a": 1}


def test_a_call_that_is_given_up_is_stopped() -> None:
    board = a_flow()
    mine = call(board, 1, sleep="1h")
    board.drop(hand(board), mine.position)
    assert mine.state is TaskState.STOPPED
    assert task(board, "flow").state is TaskState.IN_PROGRESS


def test_hold_lets_a_workflow_come_to_the_end_of_its_step_and_resume_offers_it_again() -> None:
    board = a_flow()
    board.hold("ada")
    flow = task(board, "flow")
    assert (flow.wanted, board.run.state) == ("freeze", RunState.HOLDING)

    assert board.park(hand(board), [calls.FIRST + 1])
    assert (flow.reason, board.run.state) == (Reason.HOLD, RunState.HELD)
    board.resume("ada")
    assert (flow.state, flow.wanted) == (TaskState.READY, None)


def test_a_call_that_is_over_while_the_run_is_held_wakes_nobody_before_it_goes_on() -> None:
    board = a_flow()
    call(board, 1, sleep="5s")
    board.park(hand(board), [calls.FIRST + 1])
    board.hold("ada")
    board.now += timedelta(seconds=5)
    board.wake()
    assert task(board, "flow").reason is Reason.HOLD


def test_code_that_does_something_else_holds_its_run_and_says_what() -> None:
    board = a_flow()
    assert board.diverge(hand(board), {"seq": 3, "expected": "charge", "found": "ship"})

    assert board.run.state is RunState.HELD
    assert task(board, "flow").reason is Reason.HOLD
    (told,) = [event for event in board.changes().events if event.kind == "task.diverged"]
    assert told.data == {"seq": 3, "expected": "charge", "found": "ship"}


def test_stop_ends_what_was_called_and_asks_the_program_to_end() -> None:
    board = a_flow()
    mine = call(board, 1, sleep="1h")
    board.stop("ada")

    flow = task(board, "flow")
    assert (mine.state, flow.wanted) == (TaskState.STOPPED, "stop")
    late = call(board, 2, sleep="1s")
    assert late.state is TaskState.STOPPED
    assert board.record(flow.id, flow.attempt, HOLDER, Outcome(ending=Ending.STOPPED))
    assert board.run.state is RunState.STOPPED


def test_a_workflow_whose_holders_vanish_goes_on_until_it_has_killed_a_hundred() -> None:
    board = a_flow("name: one\ntasks:\n  - {name: flow, workflow: one}\n")
    flow = task(board, "flow")
    for _ in range(MOST_REPLAYS):
        assert board.record(flow.id, flow.attempt, HOLDER, LOST)
        claim(board, "flow")
    assert board.record(flow.id, flow.attempt, HOLDER, LOST)

    assert (flow.state, board.run.state) == (TaskState.FAILED, RunState.FAILED)
    assert len(board.changes().letters) == 1


@pytest.mark.parametrize(("whole", "keeps"), [(False, True), (True, False)])
def test_a_retry_keeps_what_was_done_and_a_reset_does_not(whole: bool, keeps: bool) -> None:
    board = a_flow()
    flow = task(board, "flow")
    failure = Outcome(ending=Ending.FAILED, error="boom", retryable=False)
    assert board.record(flow.id, flow.attempt, HOLDER, failure)
    board.retry("ada", whole=whole)

    (order,) = [each for each in board.changes().orders if isinstance(each, Rewind)]
    assert (order.task, order.keeps) == (flow, keeps)


def test_a_workflow_with_retries_is_tried_again_from_the_call_that_failed() -> None:
    board = a_flow("name: one\ntasks:\n  - {name: flow, workflow: one, retries: 1}\n")
    flow = task(board, "flow")
    failure = Outcome(ending=Ending.FAILED, error="boom")
    assert board.record(flow.id, flow.attempt, HOLDER, failure)

    (order,) = board.changes().orders
    assert isinstance(order, Rewind)
    assert (flow.reason, order.keeps) == (Reason.BACKOFF, True)


def test_a_board_needs_no_calls_that_are_over() -> None:
    board = a_flow()
    mine = call(board, 1, action="mail")
    over(board, mine)
    rows = [each for each in board.tasks.values() if each.role != "call"]
    again = Board(board.run, rows, board.definition, now=NOW)
    again.derive()
    assert (again.run.open, again.next_position) == (2, 2)


def test_a_document_of_a_call_is_read_like_a_task_of_a_definition() -> None:
    with pytest.raises(Invalid, match="there is no key 'tiemout'"):
        calls.read({"sleep": "1s", "tiemout": "2s"})
    with pytest.raises(Invalid, match="a UUID"):
        calls.read({"result": {"run": "yesterday"}})
