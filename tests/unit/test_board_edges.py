"""What runs after what: conditions, joins, branches, and runs that fail and go on all the same."""

import pytest

from executor.base import Outcome
from scheduler.domain.states import RunState
from tests.support.builders import FAILURE, STOPPED, SUCCESS, claim, end, states, task
from tests.support.flows import (
    ANY,
    CONTINUE,
    HANDLER,
    STOP_REST,
    branch,
    finish,
    finish_all,
    noop,
    playing,
    settle,
)

NO = "${{ false }}"


# Conditions


def test_a_condition_that_is_false_skips_the_task_and_what_only_follows_on_it() -> None:
    board = playing(noop("a"), noop("b", "a", when=NO), noop("c", "b"), noop("d", "a", "b"))
    finish_all(board)
    assert states(board) == {"a": "COMPLETED", "b": "SKIPPED", "c": "SKIPPED", "d": "COMPLETED"}
    assert board.run.state is RunState.COMPLETED


def test_a_condition_is_looked_at_when_those_before_it_are_over() -> None:
    board = playing(noop("a"), noop("b", "a", when="${{ tasks.a.status == 'COMPLETED' }}"))
    assert states(board)["b"] == "PENDING"
    finish(board, "a")
    assert states(board)["b"] == "READY"


def test_a_condition_that_is_neither_true_nor_false_fails_its_task() -> None:
    board = playing(noop("a", when="${{ 'yes' }}"))
    assert states(board) == {"a": "FAILED"}
    assert "when: ${{ 'yes' }} is neither true nor false" in (task(board, "a").error or "")


def test_a_run_of_which_everything_is_skipped_is_completed() -> None:
    board = playing(noop("a", when=NO), noop("b", "a"))
    assert states(board) == {"a": "SKIPPED", "b": "SKIPPED"}
    assert board.run.state is RunState.COMPLETED


@pytest.mark.parametrize(
    ("outcome", "after", "state"),
    [
        (SUCCESS, "always", "COMPLETED"),
        (SUCCESS, "on_failure", "SKIPPED"),
        (SUCCESS, "any_failed", "SKIPPED"),
        (FAILURE, "always", "COMPLETED"),
        (FAILURE, "on_failure", "COMPLETED"),
        (FAILURE, "any_failed", "COMPLETED"),
    ],
)
def test_a_task_may_follow_on_success_failure_or_either(
    outcome: Outcome, after: str, state: str
) -> None:
    board = playing(noop("a"), noop("b", "a", after=after))
    finish_all(board, a=outcome)
    assert states(board)["b"] == state


def test_a_failure_further_back_counts_for_any_failed_alone() -> None:
    board = playing(
        noop("a"),
        noop("b", "a", after="always"),
        noop("near", "b", after="on_failure"),
        noop("far", "b", after="any_failed"),
    )
    finish_all(board, a=FAILURE)
    assert (states(board)["near"], states(board)["far"]) == ("SKIPPED", "COMPLETED")


def test_what_was_passed_over_is_no_failure_for_those_that_follow_but_is_one() -> None:
    board = playing(
        noop("a", on_failure=CONTINUE),
        noop("mend", "a", after="on_failure"),
        noop("tell", "a", after="any_failed"),
    )
    finish_all(board, a=FAILURE)
    assert (states(board)["mend"], states(board)["tell"]) == ("SKIPPED", "COMPLETED")
    assert board.run.state is RunState.COMPLETED


def test_what_always_runs_does_so_even_where_all_before_it_was_skipped() -> None:
    board = playing(noop("a", when=NO), noop("b", "a", after="always"))
    finish_all(board)
    assert states(board) == {"a": "SKIPPED", "b": "COMPLETED"}


# Runs that fail


def test_a_failing_run_does_what_is_there_for_that_and_then_has_failed() -> None:
    board = playing(
        noop("a"),
        noop("b", "a"),
        noop("clean", "b", after="always"),
        noop("tell", "clean"),
        noop("both", "clean", "b"),
    )
    end(board, "a", FAILURE)
    assert str(board.run.state) == "IN_PROGRESS"
    assert (states(board)["b"], states(board)["both"]) == ("STOPPED", "STOPPED")
    assert states(board)["clean"] == "READY"
    finish_all(board)

    assert states(board)["tell"] == "COMPLETED"
    assert str(board.run.state) == "FAILED"
    assert board.run.error == "task a failed: exit code 1"
    assert [letter.task for letter in board.changes().letters] == ["a"]


def test_a_task_that_mended_a_failure_does_not_heal_the_run() -> None:
    board = playing(noop("a"), noop("mend", "a", after="on_failure"))
    finish_all(board, a=FAILURE)
    assert (states(board)["mend"], board.run.state) == ("COMPLETED", RunState.FAILED)


def test_a_run_without_anything_left_to_do_about_it_winds_down() -> None:
    board = playing(noop("first"), noop("a", "first"), noop("seen", "first", after="always"))
    finish(board, "first")
    finish(board, "seen")
    finish(board, "a", FAILURE)
    assert board.run.state is RunState.FAILED


def test_a_running_sibling_of_a_failing_run_finishes_and_is_not_tried_again() -> None:
    board = playing(noop("a"), noop("b"), noop("clean", "a", "b", after="always"))
    claim(board, "b")
    end(board, "a", FAILURE)
    assert (states(board)["clean"], task(board, "b").wanted) == ("PENDING", None)
    finish(board, "b", FAILURE)
    assert states(board)["clean"] == "READY"
    finish_all(board)
    assert board.run.state is RunState.FAILED
    assert board.run.error == "task a failed: exit code 1"


def test_a_failure_of_what_cleans_up_leaves_a_letter_of_its_own_and_the_rest_goes_on() -> None:
    board = playing(noop("a"), noop("one", "a", after="always"), noop("two", "a", after="always"))
    finish_all(board, a=FAILURE, one=FAILURE)
    assert states(board) == {"a": "FAILED", "one": "FAILED", "two": "COMPLETED"}
    assert [letter.task for letter in board.changes().letters] == ["a", "one"]
    assert board.run.error == "task a failed: exit code 1"


def test_a_failing_run_can_be_held_stopped_and_tried_again() -> None:
    board = playing(noop("a"), noop("b", "a"), noop("clean", "b", after="always"))
    end(board, "a", FAILURE)
    board.hold("ann")
    assert (str(board.run.state), states(board)["clean"]) == ("HELD", "WAITING")
    board.resume("ann")
    board.stop("ann")
    assert str(board.run.state) == "STOPPED"
    board.retry("ann")
    assert states(board) == {"a": "READY", "b": "PENDING", "clean": "PENDING"}
    finish_all(board)
    assert str(board.run.state) == "COMPLETED"


def test_a_new_round_takes_up_what_cleaned_up_after_a_failure() -> None:
    board = playing(noop("a"), noop("clean", "a", after="always"))
    finish_all(board, a=FAILURE)
    board.retry("ann")
    assert states(board) == {"a": "READY", "clean": "PENDING"}


# Joins


def test_a_join_of_one_begins_with_the_first_success_and_the_others_run_on() -> None:
    board = playing(noop("a"), noop("b"), noop("c", "a", "b", join=ANY))
    claim(board, "b")
    finish(board, "a")
    assert (states(board)["b"], states(board)["c"]) == ("IN_PROGRESS", "READY")
    finish(board, "c")
    assert str(board.run.state) == "IN_PROGRESS"
    finish(board, "b")
    assert str(board.run.state) == "COMPLETED"


def test_a_join_that_cannot_have_what_it_wants_is_skipped() -> None:
    board = playing(noop("a", when=NO), noop("b", when=NO), noop("c", "a", "b", join=ANY))
    assert states(board)["c"] == "SKIPPED"


def test_a_failure_does_not_keep_a_join_from_what_it_wants() -> None:
    board = playing(
        noop("a", on_failure=HANDLER), noop("b"), noop("c", "a", "b", join=ANY), noop("mend")
    )
    finish_all(board, a=FAILURE)
    assert states(board) == {"a": "FAILED", "b": "COMPLETED", "c": "COMPLETED", "mend": "COMPLETED"}


def test_the_losers_of_a_join_are_stopped_if_it_says_so_and_the_run_goes_on() -> None:
    board = playing(
        noop("a"), noop("b"), noop("first"), noop("late", "first"),
        noop("c", "a", "b", "late", join=STOP_REST),
    )  # fmt: skip
    claim(board, "b")
    finish(board, "a")
    assert states(board)["late"] == "SKIPPED"
    assert task(board, "b").wanted == "stop"
    finish(board, "b", STOPPED)
    finish_all(board)
    assert states(board)["b"] == "STOPPED"
    assert board.run.state is RunState.COMPLETED


def test_a_loser_that_somebody_else_needs_runs_on() -> None:
    board = playing(noop("a"), noop("b"), noop("c", "a", "b", join=STOP_REST), noop("d", "b"))
    claim(board, "b")
    finish(board, "a")
    assert task(board, "b").wanted is None


def test_a_new_round_does_not_take_up_losers() -> None:
    board = playing(noop("a"), noop("b"), noop("c", "a", "b", join=STOP_REST))
    claim(board, "b")
    finish(board, "a")
    finish(board, "b", STOPPED)
    finish(board, "c", FAILURE)
    assert str(board.run.state) == "FAILED"
    board.retry("ann")
    assert states(board) == {"a": "COMPLETED", "b": "STOPPED", "c": "READY"}


# Branches


def test_a_branch_goes_where_the_first_case_that_holds_says() -> None:
    board = playing(
        branch("ask", to={"x": NO, "y": "${{ true }}"}, default="z"),
        noop("x", "ask"),
        noop("y", "ask"),
        noop("z", "ask"),
        noop("all", "x", "y", "z"),
    )
    board.wake()
    settle(board)
    finish_all(board)
    assert states(board) == {
        "ask": "COMPLETED",
        "x": "SKIPPED",
        "y": "COMPLETED",
        "z": "SKIPPED",
        "all": "COMPLETED",
    }


def test_a_branch_that_went_elsewhere_is_no_success_for_a_join() -> None:
    board = playing(
        branch("ask", to={"x": "${{ true }}"}, default="y"),
        noop("x", "ask"),
        noop("a"),
        noop("y", "ask", "a", join=ANY),
    )
    assert states(board)["y"] == "PENDING"
    finish(board, "a")
    assert states(board)["y"] == "READY"
