"""How runs end: what is undone, which hooks are called, what a run's result is; and what may be
said of a task instead of carrying it out."""

from dataclasses import replace

import pytest

from executor.base import Outcome
from scheduler.domain.board import Board
from scheduler.domain.errors import Conflict, Invalid
from scheduler.domain.states import RunState, TaskState
from tests.support.builders import FAILURE, STOPPED, SUCCESS, claim, end, states, task
from tests.support.flows import each, finish, finish_all, noop, playing, settle, undoing

ALL_HOOKS = {name: noop(name) for name in ("start", "success", "failure", "stop", "exit")}


def ready(board: Board) -> list[str]:
    return [each.name for each in board.of_state(TaskState.READY)]


def kinds(board: Board) -> list[str]:
    return [event.kind for event in board.changes().events]


def told(board: Board, kind: str) -> dict[str, object]:
    return dict(next(e.data or {} for e in board.changes().events if e.kind == kind))


def undone_in_order(board: Board, **outcomes: Outcome) -> list[str]:
    order = []
    while names := ready(board):
        order += names
        for name in names:
            finish(board, name, outcomes.get(name, SUCCESS))
    return order


def three_done_and_one_failed() -> Board:
    board = playing(undoing("a"), undoing("b", "a"), undoing("c", "b"), noop("d", "c"))
    for name in ("a", "b", "c"):
        finish(board, name)
    finish(board, "d", FAILURE)
    return board


# Undo


def test_what_was_done_is_undone_the_last_of_it_first() -> None:
    board = three_done_and_one_failed()
    assert str(board.run.state) == "COMPENSATING"
    assert undone_in_order(board) == ["undo:c", "undo:b", "undo:a"]
    assert (str(board.run.state), board.run.compensated) == ("FAILED", "yes")
    assert board.run.error == "task d failed: exit code 1"


def test_what_was_not_done_is_not_undone() -> None:
    board = playing(undoing("a"), undoing("b", "a"), undoing("c", "b"))
    finish(board, "a")
    finish(board, "b", FAILURE)
    assert undone_in_order(board) == ["undo:a"]


def test_an_undo_that_fails_for_good_keeps_no_other_from_being_undone() -> None:
    board = three_done_and_one_failed()
    assert undone_in_order(board, **{"undo:b": FAILURE}) == ["undo:c", "undo:b", "undo:a"]
    assert (board.run.state, board.run.compensated) == (RunState.FAILED, "partly")
    assert board.run.error == "task d failed: exit code 1; not undone: b"
    assert told(board, "run.compensated") == {"compensated": "partly", "not_undone": ["b"]}


def test_a_run_of_which_nothing_could_be_undone_says_so() -> None:
    board = playing(undoing("a"), noop("b", "a"))
    finish(board, "a")
    finish(board, "b", FAILURE)
    finish(board, "undo:a", FAILURE)
    assert board.run.compensated == "no"


def test_undoing_waits_for_what_is_in_hand() -> None:
    board = playing(undoing("a"), noop("b", "a"), undoing("c", "a"))
    finish(board, "a")
    claim(board, "c")
    finish(board, "b", FAILURE)
    assert (str(board.run.state), ready(board)) == ("STOPPING", [])
    finish(board, "c")
    assert undone_in_order(board) == ["undo:c", "undo:a"]


def test_an_undo_is_tried_again_as_its_definition_says() -> None:
    undo = noop("a", retries=replace(noop("a").retries, max=1))
    board = playing(noop("a", undo=undo), noop("b", "a"))
    finish(board, "a")
    finish(board, "b", FAILURE)
    finish(board, "undo:a", FAILURE)
    assert task(board, "undo:a").reason == "backoff"


@pytest.mark.parametrize(("asked", "always"), [(True, False), (False, True)])
def test_a_stop_undoes_what_was_done_if_it_or_the_type_says_so(asked: bool, always: bool) -> None:
    board = playing(undoing("a"), noop("b", "a"), undo_on_stop=always)
    finish(board, "a")
    claim(board, "b")
    board.stop("ann", undo=asked)
    finish(board, "b", STOPPED)
    assert undone_in_order(board) == ["undo:a"]
    assert (board.run.state, board.run.compensated) == (RunState.STOPPED, "yes")


def test_a_stop_that_does_not_say_so_undoes_nothing() -> None:
    board = playing(undoing("a"), noop("b", "a"))
    finish(board, "a")
    board.stop("ann")
    assert (board.run.state, board.run.compensated) == (RunState.STOPPED, None)


def test_undoing_can_be_asked_for_after_the_end() -> None:
    board = playing(undoing("a"), noop("b", "a"))
    finish(board, "a")
    board.stop("ann")
    board.compensate("ann")
    settle(board)
    assert str(board.run.state) == "COMPENSATING"
    assert undone_in_order(board) == ["undo:a"]
    assert (str(board.run.state), board.run.compensated) == ("STOPPED", "yes")
    with pytest.raises(Conflict, match="left to be undone"):
        board.compensate("ann")


def test_undoing_takes_up_what_of_it_failed() -> None:
    board = three_done_and_one_failed()
    undone_in_order(board, **{"undo:b": FAILURE})
    board.compensate("ann")
    settle(board)
    assert undone_in_order(board) == ["undo:b"]
    assert board.run.compensated == "yes"


def test_undoing_that_is_stopped_leaves_the_rest_as_it_is() -> None:
    board = three_done_and_one_failed()
    finish(board, "undo:c")
    claim(board, "undo:b")
    board.stop("ann")
    finish(board, "undo:b", STOPPED)
    assert (board.run.state, board.run.compensated) == (RunState.STOPPED, "partly")
    assert states(board)["undo:a"] == "STOPPED"


def test_a_new_round_does_again_what_was_undone_and_undoes_it_again() -> None:
    board = three_done_and_one_failed()
    undone_in_order(board, **{"undo:a": FAILURE})
    board.retry("ann")
    assert (states(board)["a"], ready(board)) == ("COMPLETED", ["b"])
    for name in ("b", "c"):
        finish(board, name)
    finish(board, "d", FAILURE)
    assert undone_in_order(board) == ["undo:c", "undo:b", "undo:a"]
    assert board.run.compensated == "yes"


def test_a_new_round_does_not_begin_with_an_undo_or_a_hook() -> None:
    board = three_done_and_one_failed()
    undone_in_order(board)
    with pytest.raises(Conflict, match="undo:a is carried out when its run ends"):
        board.retry("ann", task="undo:a")


def test_items_are_undone_one_by_one() -> None:
    board = playing(each("a", undo=noop("a")), noop("b", "a"), input={"items": [1, 2]})
    finish_all(board, b=FAILURE)
    assert {"undo:a[0]", "undo:a[1]"} <= set(states(board))
    assert board.run.compensated == "yes"
    board.retry("ann")
    settle(board)
    assert ready(board) == ["a[0]", "a[1]"]


# Hooks


def test_a_start_hook_comes_before_everything() -> None:
    board = playing(noop("a"), noop("b"), hooks={"start": noop("start")})
    assert states(board) == {"a": "PENDING", "b": "PENDING", "hook:start": "READY"}
    finish(board, "hook:start")
    assert ready(board) == ["a", "b"]


def test_a_run_whose_start_hook_fails_has_failed() -> None:
    board = playing(noop("a"), hooks={"start": noop("start")})
    finish(board, "hook:start", FAILURE)
    assert (states(board)["a"], board.run.state) == ("STOPPED", RunState.FAILED)


def test_the_hooks_of_an_end_are_called_before_it_and_that_of_every_end_last() -> None:
    board = playing(noop("a"), hooks=ALL_HOOKS)
    assert undone_in_order(board) == ["hook:start", "a", "hook:success", "hook:exit"]
    assert board.run.state is RunState.COMPLETED

    board = playing(noop("a"), hooks=ALL_HOOKS)
    assert undone_in_order(board, a=FAILURE) == ["hook:start", "a", "hook:failure", "hook:exit"]
    assert board.run.state is RunState.FAILED

    board = playing(noop("a"), hooks=ALL_HOOKS)
    board.stop("ann")
    settle(board)
    assert undone_in_order(board) == ["hook:stop", "hook:exit"]
    assert board.run.state is RunState.STOPPED


@pytest.mark.parametrize(("outcome", "state"), [(SUCCESS, "COMPLETED"), (FAILURE, "FAILED")])
def test_a_hook_that_fails_changes_nothing_about_the_end_and_leaves_a_letter(
    outcome: Outcome, state: str
) -> None:
    board = playing(noop("a"), hooks={n: ALL_HOOKS[n] for n in ("success", "failure", "exit")})
    undone_in_order(
        board,
        a=outcome,
        **dict.fromkeys(("hook:success", "hook:failure", "hook:exit"), FAILURE),
    )
    assert str(board.run.state) == state
    letters = [letter.task for letter in board.changes().letters]
    assert [name for name in letters if name != "a"][-1] == "hook:exit"


def test_a_run_that_ends_again_calls_its_hooks_again() -> None:
    board = playing(noop("a"), hooks=ALL_HOOKS)
    undone_in_order(board, a=FAILURE)
    board.retry("ann")
    settle(board)
    assert undone_in_order(board) == ["a", "hook:success", "hook:exit"]


def test_hooks_are_called_after_what_was_done_is_undone() -> None:
    board = playing(undoing("a"), noop("b", "a"), hooks={"failure": noop("failure")})
    assert undone_in_order(board, b=FAILURE) == ["a", "b", "undo:a", "hook:failure"]


def test_a_hook_that_hangs_can_be_stopped() -> None:
    board = playing(noop("a"), hooks={"success": noop("success"), "exit": noop("exit")})
    finish(board, "a")
    claim(board, "hook:success")
    board.stop("ann", kill=True)
    finish(board, "hook:success", STOPPED)
    assert (board.run.state, states(board)["hook:exit"]) == (RunState.STOPPED, "STOPPED")


# Results


def test_the_result_of_a_run_is_worked_out_when_all_is_done() -> None:
    board = playing(noop("a"), result={"a": "${{ tasks.a.status }}", "n": ["${{ input.n }}"]})
    board.run.input = {"n": 3}
    finish(board, "a")
    assert board.run.state is RunState.COMPLETED
    assert board.changes().results == {board.run.id: '{"a": "COMPLETED", "n": [3]}'}


def test_a_run_whose_result_cannot_be_worked_out_has_failed_and_can_be_tried_again() -> None:
    board = playing(undoing("a"), result={"n": "${{ input.n }}"})
    finish(board, "a")
    assert undone_in_order(board) == ["undo:a"]
    assert board.run.state is RunState.FAILED
    assert "the result cannot be worked out: result.n: " in (board.run.error or "")


# By word


def test_a_task_that_is_skipped_is_for_those_that_follow_like_one_whose_condition_is_false() -> (
    None
):
    board = playing(noop("a"), noop("b", "a"), noop("c", "a"), noop("d", "b", "c"))
    board.skip("ann", "b", "not today")
    assert told(board, "task.skipped") == {"by": "ann", "why": "not today"}
    finish_all(board)
    assert states(board)["d"] == "COMPLETED"


def test_a_task_that_is_marked_as_done_has_the_output_that_somebody_gave() -> None:
    board = playing(noop("a"), noop("b", "a"))
    board.mark_done("ann", "a", {"n": 1}, "by hand")
    assert states(board) == {"a": "COMPLETED", "b": "READY"}
    assert board.changes().outputs[task(board, "a").id] == '{"n": 1}'
    assert not board.changes().attempts
    assert told(board, "task.marked_done") == {"by": "ann", "why": "by hand"}


@pytest.mark.parametrize("word", ["skip", "mark_done"])
def test_what_has_begun_or_is_over_cannot_be_settled_by_word(word: str) -> None:
    board = playing(noop("a"), noop("b", "a"))
    claim(board, "a")

    def say() -> None:
        if word == "skip":
            board.skip("ann", "a", "")
        else:
            board.mark_done("ann", "a", None, "")

    with pytest.raises(Conflict, match="task a is IN_PROGRESS: stop the run first"):
        say()
    finish(board, "a")
    with pytest.raises(Conflict, match="task a is COMPLETED"):
        say()
    finish(board, "b")
    with pytest.raises(Conflict, match="its run is COMPLETED"):
        say()


def test_a_task_is_called_by_its_name_or_else_by_its_position() -> None:
    board = playing(noop("1"), noop("b"))
    board.skip("ann", "1", "by name")
    assert states(board) == {"1": "SKIPPED", "b": "READY"}
    board.skip("ann", "b", "")
    assert board.run.state is RunState.COMPLETED


def test_a_word_about_a_task_that_there_is_not_is_refused() -> None:
    board = playing(noop("a"))
    with pytest.raises(Invalid, match="no task named 'b'"):
        board.skip("ann", "b", "")


@pytest.mark.parametrize(("word", "after"), [("skip", "SKIPPED"), ("mark_done", "READY")])
def test_a_failed_task_that_is_settled_by_word_lets_the_rest_go_on_in_a_new_round(
    word: str, after: str
) -> None:
    board = playing(noop("a"), noop("b", "a"), noop("c"))
    claim(board, "c")
    end(board, "a", FAILURE)
    finish(board, "c")
    assert states(board) == {"a": "FAILED", "b": "STOPPED", "c": "COMPLETED"}
    if word == "skip":
        board.skip("ann", "a", "never mind")
    else:
        board.mark_done("ann", "a", None, "by hand")
    assert (states(board)["b"], board.run.round) == (after, 2)
    finish_all(board)
    assert board.run.state is RunState.COMPLETED
    assert board.changes().redriven == [board.run.id]
