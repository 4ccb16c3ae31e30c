from datetime import datetime, timedelta

import pytest

from executor.base import Ending, Outcome
from scheduler.domain.board import MOST_LOSSES, Board, fingerprint
from scheduler.domain.errors import Conflict, Invalid
from scheduler.domain.states import Reason, RunState, TaskState
from tests.support.builders import (
    FAILURE,
    HOLDER,
    LOST,
    NOW,
    PERMANENT,
    STOPPED,
    TIMED_OUT,
    a_board,
    chain,
    claim,
    end,
    states,
    task,
)

TWO = chain("two", "", "")
DIAMOND = """
name: diamond
tasks:
  - {name: top, noop: true}
  - {name: left, noop: true, needs: [top]}
  - {name: right, noop: true, needs: [top]}
  - {name: bottom, noop: true, needs: [left, right]}
"""
SIDE_BY_SIDE = """
name: side-by-side
tasks:
  - {name: a, noop: true, needs: [], on_failure: %s}
  - {name: b, noop: true, needs: []}
  - {name: after, noop: true, needs: [a, b]}
"""
HANDLED = """
name: handled
tasks:
  - {name: risky, noop: true, on_failure: {handler: mend}}
  - {name: after, noop: true, needs: [risky]}
  - {name: last, noop: true, needs: [after]}
  - {name: mend, noop: true}
"""
RETRIED = chain("retried", ", retries: {max: 2, delay: 1s, backoff: 3}")


def later(board: Board, seconds: float) -> None:
    board.now += timedelta(seconds=seconds)


def waiting(board: Board, name: str) -> tuple[str, str | None, datetime | None]:
    mine = task(board, name)
    return mine.state, mine.reason, mine.due_at


def kinds(board: Board) -> list[str]:
    return [event.kind for event in board.changes().events]


# Success


def test_a_task_becomes_ready_when_the_last_of_those_it_needs_has_succeeded() -> None:
    board = a_board(DIAMOND)
    end(board, "top")
    end(board, "left")
    assert states(board)["bottom"] == "PENDING"
    end(board, "right")
    assert states(board)["bottom"] == "READY"


def test_a_run_is_completed_by_its_last_task_and_says_so() -> None:
    board = a_board(TWO)
    end(board, "t0")
    assert board.run.state is RunState.IN_PROGRESS
    end(board, "t1")

    assert (board.run.state, board.run.finished_at) == (RunState.COMPLETED, NOW)
    assert kinds(board) == ["task.completed", "task.completed", "run.completed"]


def test_every_attempt_is_written_with_what_is_known_of_it() -> None:
    board = a_board(chain("one", ""))
    end(board, "t0", Outcome(ending=Ending.SUCCEEDED, exit_code=0, output="[1]"))

    (attempt,) = board.changes().attempts
    assert (attempt.number, attempt.round, attempt.state, attempt.holder) == (
        1,
        1,
        "SUCCEEDED",
        HOLDER,
    )
    assert (attempt.exit_code, attempt.output) == (0, "[1]")


@pytest.mark.parametrize(("attempt", "holder"), [(2, HOLDER), (0, HOLDER), (1, HOLDER + 1)])
def test_only_the_attempt_in_hand_can_be_recorded_and_only_by_its_holder(
    attempt: int, holder: int
) -> None:
    board = a_board(chain("one", ""))
    mine = claim(board, "t0")

    assert not board.record(mine.id, attempt, holder, FAILURE)
    assert not board.hand_back(mine.id, attempt, holder)
    assert not board.changes().attempts
    assert states(board) == {"t0": "IN_PROGRESS"}


def test_a_late_result_is_kept_as_evidence_and_changes_nothing_else() -> None:
    board = a_board(chain("one", ""))
    mine = claim(board, "t0")
    board.late(mine.id, 1, FAILURE)

    assert states(board) == {"t0": "IN_PROGRESS"}
    assert kinds(board) == ["task.late_result"]
    assert board.changes().events[0].data == {"ending": "FAILED", "exit_code": 1}


# Failure


def test_a_failed_task_with_retries_left_waits_for_its_delay_and_then_goes_on() -> None:
    board = a_board(RETRIED)
    end(board, "t0", FAILURE)
    assert waiting(board, "t0") == ("WAITING", "backoff", NOW + timedelta(seconds=1))

    later(board, 0.999)
    board.wake()
    assert states(board) == {"t0": "WAITING"}
    later(board, 0.001)
    board.wake()
    assert waiting(board, "t0") == ("READY", None, None)


def test_each_retry_waits_longer_and_when_none_is_left_the_run_fails() -> None:
    board = a_board(RETRIED)
    waits = []
    for _ in range(2):
        end(board, "t0", FAILURE)
        due = task(board, "t0").due_at
        assert due is not None
        waits.append((due - board.now).total_seconds())
        board.now = due
        board.wake()
    end(board, "t0", TIMED_OUT)

    assert waits == [1, 3]
    assert board.run.state is RunState.FAILED
    assert board.run.error == "task t0 failed: it took longer than 5 s"
    assert [attempt.number for attempt in board.changes().attempts] == [1, 2, 3]


def test_a_permanent_failure_is_not_tried_again() -> None:
    board = a_board(RETRIED)
    end(board, "t0", PERMANENT)
    assert board.run.state is RunState.FAILED


@pytest.mark.parametrize(
    ("asked", "waited"), [(None, 1), (0.2, 1), (90.0, 90), (1e9, 3600)], ids=str
)
def test_a_retry_comes_no_sooner_than_whoever_was_called_wants(
    asked: float | None, waited: float
) -> None:
    board = a_board("name: p\ntasks: [{name: t0, noop: true, retries: 1}]\n")
    end(board, "t0", Outcome(ending=Ending.FAILED, error="503", retry_after=asked))
    assert task(board, "t0").due_at == NOW + timedelta(seconds=waited)


def test_an_attempt_that_a_leaving_worker_gave_back_uses_up_no_retry() -> None:
    board = a_board(chain("one", ", retries: {max: 1, delay: 1s}"))
    end(board, "t0", STOPPED)
    assert states(board) == {"t0": "READY"}
    end(board, "t0", FAILURE)
    assert task(board, "t0").reason is Reason.BACKOFF


def test_a_task_that_gave_up_is_buried_once_and_nothing_after_it_begins() -> None:
    board = a_board(DIAMOND)
    end(board, "top", FAILURE)

    assert states(board) == {
        "top": "FAILED",
        "left": "STOPPED",
        "right": "STOPPED",
        "bottom": "STOPPED",
    }
    (letter,) = board.changes().letters
    assert (letter.task, letter.round, letter.error) == ("top", 1, "exit code 1")
    assert board.run.state is RunState.FAILED


def test_a_running_sibling_of_a_failed_task_finishes_and_then_the_run_has_failed() -> None:
    board = a_board(SIDE_BY_SIDE % "stop")
    claim(board, "b")
    end(board, "a", FAILURE)
    assert (board.run.state, task(board, "b").wanted) == (RunState.STOPPING, None)
    end(board, "b")

    assert board.run.state is RunState.FAILED
    assert states(board) == {"a": "FAILED", "b": "COMPLETED", "after": "STOPPED"}


def test_stop_now_asks_running_siblings_to_stop() -> None:
    board = a_board(SIDE_BY_SIDE % "stop_now")
    claim(board, "b")
    end(board, "a", FAILURE)
    assert task(board, "b").wanted == "stop"
    end(board, "b", STOPPED)

    assert board.run.state is RunState.FAILED
    assert states(board)["b"] == "STOPPED"


def test_two_siblings_that_fail_leave_one_dead_letter_and_one_reason() -> None:
    board = a_board(SIDE_BY_SIDE % "stop")
    claim(board, "b")
    end(board, "a", FAILURE)
    end(board, "b", FAILURE)

    assert [letter.task for letter in board.changes().letters] == ["a"]
    assert board.run.error == "task a failed: exit code 1"


def test_a_failure_that_may_be_passed_over_counts_as_done_for_those_that_follow() -> None:
    board = a_board(SIDE_BY_SIDE % "continue")
    end(board, "a", FAILURE)
    end(board, "b")
    assert states(board)["after"] == "READY"
    end(board, "after")

    assert (board.run.state, board.run.failed) == (RunState.COMPLETED, 1)
    assert not board.changes().letters


def test_a_handler_runs_when_its_task_failed_and_what_needed_that_is_skipped() -> None:
    board = a_board(HANDLED)
    end(board, "risky", FAILURE)
    assert states(board) == {
        "risky": "FAILED",
        "after": "SKIPPED",
        "last": "SKIPPED",
        "mend": "READY",
    }
    end(board, "mend")
    assert board.run.state is RunState.COMPLETED


def test_a_handler_is_skipped_when_there_is_nothing_to_mend() -> None:
    board = a_board(HANDLED)
    for name in ("risky", "after", "last"):
        end(board, name)
    assert states(board)["mend"] == "SKIPPED"
    assert board.run.state is RunState.COMPLETED


# Loss


def test_a_lost_task_is_tried_again_until_it_has_cost_too_many_holders() -> None:
    board = a_board(chain("one", ""))
    for _ in range(MOST_LOSSES):
        end(board, "t0", LOST)
        assert states(board) == {"t0": "READY"}
    end(board, "t0", LOST)

    assert board.run.state is RunState.FAILED
    assert board.run.error == "task t0 failed: lost 4 times, the last time: nobody knows"


def test_a_loss_uses_up_no_retry() -> None:
    board = a_board(chain("one", ", retries: {max: 1, delay: 1s}"))
    end(board, "t0", LOST)
    end(board, "t0", FAILURE)
    assert task(board, "t0").reason is Reason.BACKOFF


def test_a_task_that_must_not_run_twice_fails_when_it_is_lost() -> None:
    board = a_board(chain("one", ", on_lost: fail"))
    end(board, "t0", LOST)
    assert board.run.state is RunState.FAILED


# Hold and resume


def test_holding_lets_what_is_in_hand_finish_and_begins_nothing_more() -> None:
    board = a_board(TWO)
    claim(board, "t0")
    board.hold("ann")
    assert str(board.run.state) == "HOLDING"
    end(board, "t0")

    assert str(board.run.state) == "HELD"
    assert waiting(board, "t1")[1] == "hold"
    board.resume("ann")
    assert (str(board.run.state), states(board)["t1"]) == ("IN_PROGRESS", "READY")


def test_a_delay_that_ends_while_the_run_is_held_waits_for_the_resume() -> None:
    board = a_board(RETRIED)
    end(board, "t0", FAILURE)
    board.hold("ann")
    later(board, 1)
    board.wake()
    assert task(board, "t0").reason is Reason.HOLD
    board.resume("ann")
    assert states(board) == {"t0": "READY"}


def test_holding_twice_and_resuming_what_is_not_held_change_nothing() -> None:
    board = a_board(TWO)
    board.resume("ann")
    board.hold("ann")
    board.hold("ann")
    assert kinds(board) == ["run.holding", "run.held"]


def test_a_run_whose_last_task_ends_while_it_is_being_held_is_completed() -> None:
    board = a_board(chain("one", ""))
    claim(board, "t0")
    board.hold("ann")
    end(board, "t0")
    assert board.run.state is RunState.COMPLETED


def test_what_is_given_back_or_lost_while_the_run_is_being_held_is_held_too() -> None:
    board = a_board(SIDE_BY_SIDE % "stop")
    mine = claim(board, "a")
    claim(board, "b")
    board.hold("ann")
    assert board.hand_back(mine.id, 1, HOLDER)
    end(board, "b", LOST)

    assert board.run.state is RunState.HELD
    assert {t.reason for t in board.tasks.values() if t.state is TaskState.WAITING} == {Reason.HOLD}


# Stop


def test_stopping_ends_at_once_when_nothing_is_in_hand() -> None:
    board = a_board(TWO)
    board.stop("ann")
    assert (board.run.state, board.run.error) == (RunState.STOPPED, "stopped by ann")
    assert set(states(board).values()) == {"STOPPED"}


@pytest.mark.parametrize(("kill", "wanted"), [(False, "stop"), (True, "kill")])
def test_stopping_asks_for_what_is_in_hand_and_ends_with_it(kill: bool, wanted: str) -> None:
    board = a_board(TWO)
    mine = claim(board, "t0")
    board.stop("ann", kill=kill, why="wrong day")
    assert (board.run.state, mine.wanted) == (RunState.STOPPING, wanted)
    end(board, "t0", STOPPED)

    assert (board.run.state, board.run.error) == (RunState.STOPPED, "wrong day")
    assert (mine.state, mine.wanted) == (TaskState.STOPPED, None)


def test_a_kill_outdoes_a_stop_and_a_stop_does_not_take_a_kill_back() -> None:
    board = a_board(TWO)
    mine = claim(board, "t0")
    board.stop("ann")
    board.stop("ann", kill=True)
    board.stop("ann")
    assert mine.wanted == "kill"


def test_a_success_that_came_before_the_stop_did_stands_and_the_run_is_stopped() -> None:
    board = a_board(chain("one", ""))
    claim(board, "t0")
    board.stop("ann")
    end(board, "t0")
    assert (states(board), board.run.state) == ({"t0": "COMPLETED"}, RunState.STOPPED)


@pytest.mark.parametrize("outcome", [FAILURE, LOST, TIMED_OUT])
def test_nothing_is_tried_again_in_a_run_that_is_being_stopped(outcome: Outcome) -> None:
    board = a_board(RETRIED)
    claim(board, "t0")
    board.stop("ann")
    end(board, "t0", outcome)
    assert board.run.state is RunState.STOPPED
    assert not board.changes().letters


def test_what_is_given_back_to_a_run_that_is_being_stopped_is_stopped() -> None:
    board = a_board(TWO)
    mine = claim(board, "t0")
    board.stop("ann")
    board.hand_back(mine.id, 1, HOLDER)
    assert (board.run.state, states(board)["t0"]) == (RunState.STOPPED, "STOPPED")


def test_a_person_who_stops_a_failing_run_makes_it_stopped() -> None:
    board = a_board(SIDE_BY_SIDE % "stop")
    claim(board, "b")
    end(board, "a", FAILURE)
    board.stop("ann")
    end(board, "b", STOPPED)
    assert board.run.state is RunState.STOPPED


# The run's own timeout


def test_a_run_that_outlives_its_timeout_fails() -> None:
    board = a_board("name: slow\ntimeout: 10s\ntasks: [{name: t0, noop: true}]\n")
    mine = claim(board, "t0")
    later(board, 10)
    board.expire()
    assert (board.run.state, mine.wanted) == (RunState.STOPPING, "stop")
    end(board, "t0", STOPPED)
    assert (board.run.state, board.run.due_at) == (RunState.FAILED, None)
    assert board.run.error == "the run did not end within 10 s"


def test_a_timeout_that_was_meant_for_the_round_before_does_not_end_this_one() -> None:
    board = a_board("name: slow\ntimeout: 10s\ntasks: [{name: t0, noop: true}]\n")
    later(board, 10)
    board.stop("ann")
    board.retry("ann")
    board.expire()
    assert board.run.state is RunState.IN_PROGRESS


# Rounds


def test_a_retry_takes_up_what_failed_and_leaves_what_is_done() -> None:
    board = a_board(TWO)
    end(board, "t0")
    end(board, "t1", FAILURE)
    board.retry("ann")

    assert (board.run.state, board.run.round, board.run.error) == (RunState.IN_PROGRESS, 2, None)
    assert states(board) == {"t0": "COMPLETED", "t1": "READY"}
    assert board.changes().redriven == [board.run.id]
    assert claim(board, "t1").attempt == 2  # a number is never used again


def test_a_retry_from_a_task_takes_up_all_that_follows_it() -> None:
    board = a_board(DIAMOND)
    for name in ("top", "left", "right"):
        end(board, name)
    end(board, "bottom", FAILURE)
    board.retry("ann", task="left")
    assert states(board) == {
        "top": "COMPLETED",
        "left": "READY",
        "right": "COMPLETED",
        "bottom": "PENDING",
    }


def test_a_retry_of_the_whole_run_begins_at_the_beginning() -> None:
    board = a_board(TWO)
    end(board, "t0")
    end(board, "t1", FAILURE)
    board.retry("ann", whole=True)
    assert states(board) == {"t0": "READY", "t1": "PENDING"}
    assert (board.run.open, board.run.failed) == (2, 0)


def test_a_retry_gives_a_task_its_retries_anew() -> None:
    board = a_board(RETRIED)
    end(board, "t0", PERMANENT)
    board.retry("ann")
    end(board, "t0", FAILURE)
    assert task(board, "t0").reason is Reason.BACKOFF


def test_a_retry_names_a_task_that_the_run_has() -> None:
    board = a_board(TWO)
    board.stop("ann")
    with pytest.raises(Invalid, match="no task named 'nothing'") as refusal:
        board.retry("ann", task="nothing")
    assert refusal.value.field == "task"


def test_a_retry_of_a_run_that_was_stopped_after_all_was_done_completes_it() -> None:
    board = a_board(chain("one", ""))
    claim(board, "t0")
    board.stop("ann")
    end(board, "t0")
    board.retry("ann")
    assert board.run.state is RunState.COMPLETED


COMMANDS = {
    "hold": lambda board: board.hold("ann"),
    "resume": lambda board: board.resume("ann"),
    "stop": lambda board: board.stop("ann"),
    "retry": lambda board: board.retry("ann"),
}
FINAL = {RunState.COMPLETED, RunState.FAILED, RunState.STOPPED}
REFUSED = {
    "hold": {RunState.STOPPING, *FINAL},
    "resume": {RunState.STOPPING, *FINAL},
    "stop": FINAL,
    "retry": {*RunState} - {RunState.FAILED, RunState.STOPPED},
}


def a_board_in(state: RunState) -> Board:
    """A run that came into that state the way runs do, with something in hand if it lives."""
    board = a_board(TWO)
    if state is RunState.HELD:
        board.hold("bob")
        return board
    claim(board, "t0")
    match state:
        case RunState.HOLDING:
            board.hold("bob")
        case RunState.STOPPING:
            board.stop("bob")
        case RunState.STOPPED:
            board.stop("bob")
            end(board, "t0", STOPPED)
        case RunState.FAILED:
            end(board, "t0", FAILURE)
        case RunState.COMPLETED:
            end(board, "t0")
            end(board, "t1")
    return board


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "state", [s for s in RunState if s not in (RunState.PENDING, RunState.COMPENSATING)]
)
def test_a_command_is_carried_out_or_refused_with_the_state_that_forbids_it(
    command: str, state: RunState
) -> None:
    board = a_board_in(state)
    assert board.run.state is state
    if state in REFUSED[command]:
        with pytest.raises(Conflict, match=state):
            COMMANDS[command](board)
        assert board.run.state is state
    else:
        COMMANDS[command](board)


# Settling and limits

RENDERED = """
name: rendered
input: {type: object}
tasks:
  - {name: a, run: "echo ${{ input.word }}", needs: []}
  - {name: b, run: "echo ${{ input.word }}", needs: []}
"""


def test_a_task_is_ready_when_its_expressions_are_filled_in() -> None:
    board = a_board(RENDERED, input={"word": "x y"})
    board.settle({})
    assert states(board) == {"a": "READY", "b": "READY"}
    assert task(board, "a").invocation["argv"] == ["echo", "x y"]


def test_a_task_that_cannot_be_filled_in_fails_and_its_unsettled_siblings_stay_stopped() -> None:
    board = a_board(RENDERED, input={})
    board.settle({})
    assert states(board) == {"a": "FAILED", "b": "STOPPED"}
    assert board.run.state is RunState.FAILED
    assert len(board.changes().letters) == 1


def test_a_limited_task_waits_for_a_place_whenever_it_would_be_ready() -> None:
    limited = "name: few\nmax_parallel: 2\ntasks: [{name: t0, noop: true}]\n"
    board = a_board(limited)
    board.settle({})
    assert waiting(board, "t0")[1] == "limit"
    assert task(board, "t0").limit_keys == ["type:few"]
    assert board.limit_sizes == {"type:few": 2}

    board.hold("ann")
    assert waiting(board, "t0")[1] == "hold"
    board.resume("ann")
    assert waiting(board, "t0")[1] == "limit"
    board.look_again()
    assert waiting(board, "t0")[1] == "limit"


# Counters and letters


def test_counters_that_went_wrong_are_derived_again_from_the_states() -> None:
    board = a_board(DIAMOND)
    end(board, "top")
    end(board, "left")
    bottom = task(board, "bottom")
    bottom.needed, bottom.open, board.run.open = 7, 7, 7
    board.derive()
    assert (bottom.needed, bottom.open, board.run.open) == (1, 1, 2)


def test_failures_that_differ_in_numbers_alone_have_the_same_fingerprint() -> None:
    one, other = (fingerprint("t", "a", f"pid {n} died at 0x{n:x}") for n in (7, 4711))
    assert one == other
    assert one != fingerprint("t", "b", "pid 7 died at 0x7")
