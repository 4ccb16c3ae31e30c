"""Fanning out over lists and maps, and doing the same once more."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from executor.base import Outcome
from scheduler.domain.board import Board, Gathered
from scheduler.domain.board.expanding import MOST_ITEMS
from scheduler.domain.commands import Argv
from scheduler.domain.definitions import ForEach, OnFailure, TaskDefinition
from scheduler.domain.states import Reason, RunState
from tests.support.builders import FAILURE, STOPPED, SUCCESS, claim, end, states, task
from tests.support.flows import (
    each,
    finish,
    finish_all,
    noop,
    playing,
    repeated,
    results_of,
    settle,
)

THREE = {"items": ["x", "y", "z"]}
DONE = "${{ output.done }}"


def counters(board: Board, name: str) -> tuple[int, int]:
    mine = task(board, name)
    return mine.needed, mine.open


def test_each_element_is_an_item_of_its_own_and_the_task_is_done_when_all_are() -> None:
    board = playing(each("a"), noop("b", "a"), input=THREE)
    assert states(board) == {
        "a": "WAITING",
        "b": "PENDING",
        "a[0]": "READY",
        "a[1]": "READY",
        "a[2]": "READY",
    }
    assert (board.run.total, board.run.open) == (5, 5)
    assert (task(board, "a").reason, counters(board, "a")) == (Reason.ITEMS, (3, 3))
    for name in ("a[1]", "a[0]"):
        finish(board, name)
    assert counters(board, "a") == (1, 1)
    finish(board, "a[2]")
    assert (states(board)["a"], states(board)["b"]) == ("COMPLETED", "READY")
    finish(board, "b")
    assert board.run.state is RunState.COMPLETED


def test_an_item_is_filled_in_with_its_value_its_index_and_its_key() -> None:
    words = ("${{ item.value }}", "${{ item.index }}", "${{ item.key }}")
    command = TaskDefinition(
        name="a", command=Argv(words), for_each=ForEach(items="${{ input.items }}")
    )
    board = playing(command, input={"items": {"one": "x", "two": "y"}})
    assert task(board, "a[two]").invocation["argv"] == ["y", "1", "two"]


def test_what_the_items_came_to_is_the_output_of_their_task() -> None:
    board = playing(each("a"), input=THREE)
    for name in ("a[0]", "a[1]", "a[2]"):
        end(board, name)
    board.settle(results_of(board), {0: Gathered("[1, 2, 3]", 9)})
    assert board.changes().outputs[task(board, "a").id] == "[1, 2, 3]"


def test_an_output_that_is_too_long_together_is_left_out_and_said_to_be() -> None:
    board = playing(each("a"), input=THREE)
    for name in ("a[0]", "a[1]", "a[2]"):
        end(board, name)
    board.settle(results_of(board), {0: Gathered(None, 2 << 20)})
    note = board.changes().notes[task(board, "a").id]["output_left_out"]
    assert note == "its items have 2097152 bytes of output together: 1048576 are kept"


@pytest.mark.parametrize("nothing", [[], {}])
def test_nothing_to_do_is_done_at_once(nothing: Any) -> None:
    board = playing(each("a"), noop("b", "a"), input={"items": nothing})
    assert states(board) == {"a": "COMPLETED", "b": "READY"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("abc", "neither a list nor a map"),
        ([0] * (MOST_ITEMS + 1), "let each item be a batch"),
        ({"k" * 201: 1}, "a key is longer than 200 characters"),
    ],
)
def test_what_cannot_be_fanned_out_over_fails_the_task(given: Any, says: str) -> None:
    board = playing(each("a"), input={"items": given})
    assert states(board) == {"a": "FAILED"}
    assert says in (task(board, "a").error or "")


def test_an_item_that_fails_for_good_fails_its_task_once_all_are_over() -> None:
    board = playing(each("a"), noop("b", "a"), input=THREE)
    finish(board, "a[0]", FAILURE)
    assert board.run.state is RunState.IN_PROGRESS
    finish(board, "a[1]")
    finish(board, "a[2]", FAILURE)
    assert str(board.run.state) == "FAILED"
    assert task(board, "a").error == (
        "2 of 3 items did not succeed, the first of them a[0]: exit code 1"
    )
    assert [letter.task for letter in board.changes().letters] == ["a"]


@pytest.mark.parametrize(
    ("least", "failures", "state"),
    [(2, 1, "COMPLETED"), (2, 2, "FAILED"), (0.6, 1, "COMPLETED"), (0.7, 1, "FAILED")],
)
def test_so_many_items_must_succeed_as_the_task_says(
    least: float, failures: int, state: str
) -> None:
    board = playing(each("a", min_success=least), input=THREE)
    for number in range(3):
        finish(board, f"a[{number}]", FAILURE if number < failures else SUCCESS)
    assert states(board)["a"] == state


def test_beyond_hope_the_rest_is_stopped_if_the_task_says_so() -> None:
    board = playing(each("a", stop_rest=True, min_success=2), input=THREE)
    claim(board, "a[1]")
    finish(board, "a[0]", FAILURE)
    assert task(board, "a[1]").wanted is None
    board = playing(each("a", stop_rest=True), input=THREE)
    claim(board, "a[1]")
    finish(board, "a[0]", FAILURE)
    assert task(board, "a[1]").wanted == "stop"
    assert states(board)["a[2]"] == "SKIPPED"
    finish(board, "a[1]", STOPPED)
    assert (states(board)["a"], board.run.state) == ("FAILED", RunState.FAILED)


def test_no_more_items_ask_for_a_place_than_may_run_at_a_time() -> None:
    board = playing(each("a", max_parallel=2), input=THREE)
    key = f"each:{board.run.id}:0"
    mine = [task(board, f"a[{number}]") for number in range(3)]
    assert [(each.reason, each.blocked_on) for each in mine] == [
        (Reason.LIMIT, None),
        (Reason.LIMIT, None),
        (Reason.LIMIT, key),
    ]
    assert board.limit_sizes == {key: 2}


def test_an_item_that_cannot_be_filled_in_fails_alone() -> None:
    command = TaskDefinition(
        name="a",
        command=Argv(("x", "${{ item.value.n }}")),
        for_each=ForEach(items="${{ input.items }}", min_success=1),
    )
    board = playing(command, input={"items": [{"n": 1}, {"m": 1}]})
    assert (states(board)["a[0]"], states(board)["a[1]"]) == ("READY", "FAILED")
    finish(board, "a[0]")
    assert states(board)["a"] == "COMPLETED"


def test_a_new_round_takes_up_the_items_that_did_not_succeed() -> None:
    board = playing(each("a"), input=THREE)
    for number in range(3):
        finish(board, f"a[{number}]", FAILURE if number == 1 else SUCCESS)
    board.retry("ann")
    settle(board)
    assert states(board) == {
        "a": "WAITING",
        "a[0]": "COMPLETED",
        "a[1]": "READY",
        "a[2]": "COMPLETED",
    }
    assert (counters(board, "a"), board.run.open) == ((1, 1), 2)
    finish(board, "a[1]")
    assert board.run.state is RunState.COMPLETED


def test_a_new_round_with_another_list_does_what_is_new_and_drops_what_is_gone() -> None:
    board = playing(each("a"), input=THREE)
    for number in range(3):
        finish(board, f"a[{number}]", FAILURE if number == 1 else SUCCESS)
    board.run.input = {"items": ["x", "w"]}
    board.retry("ann")
    settle(board)
    assert (states(board)["a[0]"], states(board)["a[1]"]) == ("COMPLETED", "READY")
    finish(board, "a[1]")
    assert (states(board)["a"], board.run.state) == ("COMPLETED", RunState.COMPLETED)


def test_a_new_round_from_an_item_takes_up_that_item_and_those_that_failed() -> None:
    board = playing(each("a"), input=THREE)
    for number in range(3):
        finish(board, f"a[{number}]", FAILURE if number == 1 else SUCCESS)
    board.retry("ann", task="a[2]")
    settle(board)
    assert [states(board)[f"a[{number}]"] for number in range(3)] == ["COMPLETED", "READY", "READY"]
    finish_all(board)
    assert board.run.state is RunState.COMPLETED


def test_a_new_round_from_before_the_task_does_all_items_again() -> None:
    board = playing(noop("first"), each("a", "first"), input=THREE)
    finish(board, "first")
    for number in range(3):
        finish(board, f"a[{number}]", FAILURE if number == 1 else SUCCESS)
    board.retry("ann", task="first")
    finish(board, "first")
    assert {states(board)[f"a[{number}]"] for number in range(3)} == {"READY"}


def test_holding_and_stopping_reach_the_items() -> None:
    board = playing(each("a"), input=THREE)
    claim(board, "a[0]")
    board.hold("ann")
    assert (task(board, "a[1]").reason, states(board)["a"]) == (Reason.HOLD, "WAITING")
    board.resume("ann")
    board.stop("ann")
    assert (states(board)["a"], states(board)["a[1]"]) == ("STOPPED", "STOPPED")
    finish(board, "a[0]")
    assert board.run.state is RunState.STOPPED


def test_a_failed_item_is_passed_over_where_its_task_is() -> None:
    board = playing(each("a", on_failure=OnFailure("continue")), noop("b", "a"), input=THREE)
    for number in range(3):
        finish(board, f"a[{number}]", FAILURE)
    assert (states(board)["a"], states(board)["b"]) == ("FAILED", "READY")


# Once more


def answer(text: str) -> Outcome:
    return replace(SUCCESS, output=text)


def test_a_task_is_repeated_until_its_own_output_says_so() -> None:
    board = playing(repeated("a", DONE))
    finish(board, "a", answer('{"done": false}'))
    mine = task(board, "a")
    assert (mine.reason, mine.due_at) == (Reason.TIMER, board.now + timedelta(seconds=1))
    board.now += timedelta(seconds=1)
    board.wake()
    settle(board)
    finish(board, "a", answer('{"done": true}'))
    assert (states(board)["a"], mine.attempt) == ("COMPLETED", 2)


def test_a_task_that_never_says_so_has_failed_after_so_many_times() -> None:
    board = playing(repeated("a", DONE, most=2))
    for _ in range(2):
        finish(board, "a", answer('{"done": false}'))
        board.now += timedelta(seconds=1)
        board.wake()
        settle(board)
    assert states(board)["a"] == "FAILED"
    assert task(board, "a").error == "${{ output.done }} was not true after 2 times"


def test_a_repetition_counts_itself_and_sees_its_exit_code() -> None:
    board = playing(repeated("a", "${{ iteration == 2 && exit_code == 0 }}"))
    finish(board, "a")
    assert states(board)["a"] == "WAITING"
    board.now += timedelta(seconds=1)
    board.wake()
    settle(board)
    finish(board, "a")
    assert states(board)["a"] == "COMPLETED"


def test_an_answer_that_cannot_be_looked_at_fails_the_task() -> None:
    board = playing(repeated("a", DONE))
    finish(board, "a")
    assert states(board)["a"] == "FAILED"


def test_a_repeated_task_that_is_stopped_between_two_times_is_stopped() -> None:
    board = playing(repeated("a", DONE))
    claim(board, "a")
    board.stop("ann")
    finish(board, "a", answer('{"done": false}'))
    assert (states(board)["a"], board.run.state) == ("STOPPED", RunState.STOPPED)


def test_items_are_repeated_each_for_itself() -> None:
    board = playing(repeated("a", DONE, for_each=ForEach(items="${{ input.items }}")), input=THREE)
    finish(board, "a[0]", answer('{"done": false}'))
    finish(board, "a[1]", answer('{"done": true}'))
    assert (states(board)["a[0]"], states(board)["a[1]"]) == ("WAITING", "COMPLETED")
    board.now += timedelta(seconds=1)
    board.wake()
    settle(board)
    finish(board, "a[0]", answer('{"done": true}'))
    finish_all(board, **{"a[2]": answer('{"done": true}')})
    assert board.run.state is RunState.COMPLETED
