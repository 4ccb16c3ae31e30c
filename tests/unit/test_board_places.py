"""Tasks that workstations carry out: where they wait, and what becomes of them out of sight."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from executor.base import Ending, Outcome
from scheduler.domain.board import Board
from scheduler.domain.orders import LeavePlace, StartChild
from scheduler.domain.places import Around, Station
from scheduler.domain.states import Reason, RunState, TaskState
from scheduler.domain.tasks import Task
from tests.support.builders import FAILURE, HOLDER, LOST, STOPPED, SUCCESS, a_board, claim
from tests.support.builders import task as row
from tests.support.flows import finish, results_of

LINE_2 = {"line": "2"}
STATIONS = (Station("p1", LINE_2), Station("p2", LINE_2), Station("saw", {"line": "9"}))
ON_LINE_2 = 'on: {workstation: {labels: {line: "2"}}}'
REPLACED = 'on: {workstation: {labels: {line: "2"}}, replace: true}'
FOUND = Outcome(ending=Ending.SUCCEEDED, exit_code=0, output='"found"')


def playing(*tasks: str, around: Around | None = None, **input: Any) -> Board:
    lines = [f"  - {{name: t{number}, {each}}}" for number, each in enumerate(tasks)]
    board = a_board("\n".join(["name: any", "tasks:", *lines, ""]), input=input)
    settle(board, around)
    return board


def settle(board: Board, around: Around | None = None) -> None:
    while board.asks():
        board.settle(results_of(board), None, None, around or Around(STATIONS))


def queues(board: Board) -> dict[str, str]:
    return {each.name: each.queue for each in board.tasks.values()}


def placement(board: Board, name: str = "t0") -> dict[str, Any]:
    found = row(board, name).placement
    assert found is not None
    return found


def lose(board: Board, name: str = "t0") -> Task:
    mine = row(board, name)
    if mine.state is not TaskState.IN_PROGRESS:
        claim(board, name)
    assert board.record(mine.id, mine.attempt, HOLDER, LOST)
    return mine


def told(board: Board) -> list[str]:
    return [event.kind for event in board.changes().events]


# Where.


def test_a_name_that_a_run_decides_is_the_queue_once_it_is_known() -> None:
    board = playing('run: x, on: {workstation: "press-${{ input.n }}"}', n=2)
    assert queues(board) == {"t0": "ws:press-2"}
    assert placement(board)["on"] == {"workstation": "press-2"}
    assert row(board, "t0").state is TaskState.READY


def test_a_name_that_no_workstation_can_have_fails_the_task_and_says_so() -> None:
    board = playing('run: x, on: {workstation: "${{ input.n }}"}', n="Press 2")
    assert row(board, "t0").state is TaskState.FAILED
    assert "no workstation's name" in (row(board, "t0").error or "")


def test_labels_may_come_from_the_input() -> None:
    board = playing('run: x, on: {workstation: {labels: {line: "${{ input.n }}"}}}', n="2")
    assert queues(board) == {"t0": "on:line=2"}


def test_a_process_that_is_placed_is_offered_and_not_begun_here() -> None:
    board = playing("process: b, on: {workstation: p1}", "process: b")
    assert row(board, "t0").state is TaskState.READY
    assert queues(board)["t0"] == "ws:p1"
    assert not [each for each in board.changes().orders if isinstance(each, StartChild)]
    finish(board, "t0")
    assert row(board, "t1").reason is Reason.CHILD


def test_what_goes_together_goes_to_the_workstation_that_took_the_first() -> None:
    around = Around(STATIONS, {"on:line=2": "p2"})
    sticky = ON_LINE_2.replace("}}}", "}}, sticky: true}")
    board = playing(
        f"run: x, {sticky}, when: '${{{{ true }}}}'",
        f"run: x, {ON_LINE_2}, when: '${{{{ true }}}}'",
        around=around,
    )
    assert queues(board)["t0"] == "ws:p2"
    finish(board, "t0")
    settle(board, around)
    assert queues(board)["t1"] == "on:line=2"


# On all.


def test_all_are_those_that_match_at_that_moment_each_by_its_name() -> None:
    board = playing('run: "x ${{ item.value }}", on: {workstation: {all: {labels: {line: "2"}}}}')
    assert queues(board) == {"t0": "default", "t0[p1]": "ws:p1", "t0[p2]": "ws:p2"}
    assert row(board, "t0[p1]").invocation["argv"] == ["x", "p1"]
    finish(board, "t0[p1]")
    finish(board, "t0[p2]")
    settle(board)
    assert board.run.state is RunState.COMPLETED


def test_each_begins_so_much_later_than_the_one_before() -> None:
    board = playing("run: x, on: {workstation: {all: any}, stagger: 5s}")
    names = ("t0[p1]", "t0[p2]", "t0[saw]")
    assert row(board, names[0]).state is TaskState.READY
    later = [row(board, name) for name in names[1:]]
    assert [each.reason for each in later] == [Reason.TIMER, Reason.TIMER]
    assert [each.due_at for each in later] == [
        board.now + timedelta(seconds=5), board.now + timedelta(seconds=10)
    ]  # fmt: skip
    board.now += timedelta(seconds=5)
    board.wake()
    assert [row(board, name).state for name in names] == [
        TaskState.READY, TaskState.READY, TaskState.WAITING,
    ]  # fmt: skip


def test_a_process_waits_its_turn_on_all_as_well() -> None:
    board = playing("process: b, on: {workstation: {all: any}, stagger: 5s}")
    board.now += timedelta(seconds=5)
    board.wake()
    assert row(board, "t0[p2]").state is TaskState.READY


def test_a_share_of_all_is_enough_where_that_is_said() -> None:
    board = playing("run: x, on: {workstation: {all: any}, min_success: 60%}")
    finish(board, "t0[p1]")
    finish(board, "t0[p2]", FAILURE)
    finish(board, "t0[saw]")
    settle(board)
    assert board.run.state is RunState.COMPLETED


def test_no_workstation_at_all_is_a_failure_that_says_what_is_missing() -> None:
    board = playing("run: x, on: {workstation: {all: {labels: {line: none}}}}")
    assert row(board, "t0").state is TaskState.FAILED
    assert "there is not a workstation with line: none now" in (row(board, "t0").error or "")


def test_who_can_do_without_any_workstation_succeeds_without() -> None:
    board = playing("run: x, on: {workstation: {all: {labels: {line: none}}}, min_success: 0}")
    assert row(board, "t0").state is TaskState.COMPLETED


def test_a_new_round_asks_again_which_workstations_there_are() -> None:
    board = playing('run: x, on: {workstation: {all: {labels: {line: "2"}}}}')
    finish(board, "t0[p1]")
    finish(board, "t0[p2]", FAILURE)
    settle(board)
    assert board.run.state is RunState.FAILED
    board.retry("ann")
    settle(board, Around((*STATIONS[1:], Station("p3", LINE_2))))
    states = {each.name: str(each.state) for each in board.of_role("item")}
    assert states == {"t0[p1]": "COMPLETED", "t0[p2]": "READY", "t0[p3]": "READY"}
    assert row(board, "t0[p1]").item is None  # it belongs to none any more


# Undoing.


def test_what_a_workstation_did_is_undone_there() -> None:
    board = playing(f"run: x, {ON_LINE_2}, undo: {{run: y}}", "run: z")
    claim(board, "t0")
    mine = row(board, "t0")
    mine.placement = {**placement(board), "taken": "p2"}
    finish(board, "t0")
    finish(board, "t1", FAILURE)
    settle(board)
    assert board.run.state is RunState.COMPENSATING
    assert queues(board)["undo:t0"] == "ws:p2"
    assert row(board, "undo:t0").on_lost == "wait"


def test_an_undo_may_say_that_it_is_the_servers() -> None:
    board = playing("run: x, on: {workstation: p1}, undo: {run: y, on: server}", "run: z")
    finish(board, "t0")
    finish(board, "t1", FAILURE)
    settle(board)
    assert queues(board)["undo:t0"] == "default"
    assert row(board, "undo:t0").placement is None


# Too late.


def test_what_nobody_has_begun_in_time_has_expired() -> None:
    board = playing("run: x, on: {workstation: p1, start_before: 10m}")
    assert placement(board)["start_before"] == "2024-05-17T12:10:00.000+00:00"
    board.now += timedelta(minutes=9, seconds=59)
    board.too_late()
    assert row(board, "t0").state is TaskState.READY
    board.now += timedelta(seconds=1)
    board.too_late()
    assert row(board, "t0").state is TaskState.FAILED
    assert row(board, "t0").error == (
        "expired: it was to begin before 2024-05-17 12:10:00 UTC, on the workstation p1"
    )
    assert board.run.state is RunState.FAILED
    assert [each.task for each in board.changes().letters] == ["t0"]


def test_what_is_in_a_workstations_hands_is_the_workstations_to_judge() -> None:
    board = playing("run: x, on: {workstation: p1, start_before: 10m}")
    claim(board, "t0")
    board.now += timedelta(minutes=10)
    board.too_late()
    assert row(board, "t0").state is TaskState.IN_PROGRESS


def test_each_attempt_has_its_own_time_and_what_is_given_back_has_not() -> None:
    board = playing("run: x, on: {workstation: p1, start_before: 10m}, retries: 1")
    claim(board, "t0")
    board.now += timedelta(minutes=5)
    mine = row(board, "t0")
    assert board.hand_back(mine.id, 1, HOLDER)
    assert placement(board)["start_before"] == "2024-05-17T12:10:00.000+00:00"
    finish(board, "t0", FAILURE)
    board.now += timedelta(seconds=1)
    board.wake()
    assert placement(board)["start_before"] == "2024-05-17T12:15:01.001+00:00"


# Refused.


def refuse(board: Board, station: str, why: str = "no shells here") -> None:
    mine = claim(board, "t0")
    assert board.refuse(mine.id, mine.attempt, HOLDER, station=station, why=why, others=STATIONS)


def test_what_the_only_possible_workstation_refuses_has_failed_with_its_owners_reason() -> None:
    board = playing("run: x, on: {workstation: p1}, retries: 5")
    refuse(board, "p1")
    assert row(board, "t0").state is TaskState.FAILED
    assert row(board, "t0").error == "p1 refuses it: no shells here"
    assert told(board)[:2] == ["task.refused", "task.failed"]


def test_what_one_refuses_another_may_do_and_none_is_asked_twice() -> None:
    board = playing(f"run: x, {ON_LINE_2}")
    refuse(board, "p1")
    assert (row(board, "t0").state, queues(board)["t0"]) == (TaskState.READY, "ws:p2")
    refuse(board, "p2", "not at night")
    assert row(board, "t0").error == "p1 refuses it: no shells here; p2 refuses it: not at night"


def test_a_refusal_of_what_is_not_its_own_any_more_changes_nothing() -> None:
    board = playing("run: x, on: {workstation: p1}")
    mine = claim(board, "t0")
    for attempt, holder in ((2, HOLDER), (1, HOLDER + 1)):
        assert not board.refuse(mine.id, attempt, holder, station="p1", why="", others=STATIONS)
    assert mine.state is TaskState.IN_PROGRESS


def test_what_was_refused_is_offered_to_all_again_in_a_new_round() -> None:
    board = playing(f"run: x, {ON_LINE_2}")
    refuse(board, "p1")
    refuse(board, "p2")
    board.retry("ann")
    assert queues(board)["t0"] == "on:line=2"
    assert "refused" not in placement(board)


def test_what_is_refused_while_its_run_is_stopped_ends_with_it() -> None:
    board = playing("run: x, on: {workstation: p1}")
    mine = claim(board, "t0")
    board.stop("ann")
    assert board.refuse(mine.id, 1, HOLDER, station="p1", why="no", others=STATIONS)
    assert board.run.state is RunState.STOPPED


# Lost.


def test_what_is_lost_on_a_workstation_is_not_done_again_by_itself() -> None:
    board = playing("run: x, on: {workstation: p1}, retries: 5")
    lose(board)
    assert (row(board, "t0").state, board.run.state) == (TaskState.FAILED, RunState.FAILED)
    assert [each.task for each in board.changes().letters] == ["t0"]


def test_it_waits_for_the_same_place_again_where_that_is_said() -> None:
    board = playing("run: x, on: {workstation: p1}, on_lost: retry")
    lose(board)
    assert (row(board, "t0").state, queues(board)["t0"]) == (TaskState.READY, "ws:p1")


def test_another_workstation_takes_what_was_lost_where_that_is_said() -> None:
    board = playing(f"run: x, {REPLACED[:-1]}, sticky: true}}")
    row(board, "t0").queue = "ws:p1"
    lose(board)
    assert (row(board, "t0").state, queues(board)["t0"]) == (TaskState.READY, "on:line=2")
    assert board.changes().orders == [LeavePlace(run_id=board.run.id, selector="on:line=2")]
    assert placement(board)["lost"] == [1]


def test_a_replacement_has_a_time_of_its_own() -> None:
    board = playing(f"run: x, {REPLACED[:-1]}, start_before: 10m}}")
    claim(board, "t0")
    board.now += timedelta(hours=24)
    lose(board)
    assert placement(board)["start_before"] == "2024-05-18T12:10:00.000+00:00"


def test_it_is_replaced_three_times_and_no_more() -> None:
    board = playing(f"run: x, {REPLACED}")
    for _ in range(4):
        lose(board)
    assert row(board, "t0").state is TaskState.FAILED
    assert "lost 4 times" in (row(board, "t0").error or "")


def with_policy(policy: str, *, replaced: bool = True) -> Board:
    on = REPLACED if replaced else ON_LINE_2
    board = playing(f"run: x, {on[:-1]}, reconcile: {policy}}}", "run: z")
    lose(board)
    return board


def late(board: Board, outcome: Outcome = FOUND, attempt: int = 1) -> None:
    board.late(row(board, "t0").id, attempt, outcome, station="p1")
    settle(board)


def test_a_run_that_ended_by_a_loss_goes_on_when_the_work_turns_out_to_be_done() -> None:
    board = with_policy("keep_original", replaced=False)
    assert board.run.state is RunState.FAILED
    late(board)
    assert row(board, "t0").state is TaskState.COMPLETED
    assert row(board, "t1").state is TaskState.READY
    assert (board.run.state, board.run.round) == (RunState.IN_PROGRESS, 2)
    assert board.changes().outputs[row(board, "t0").id] == '"found"'
    assert board.changes().redriven == [board.run.id]


@pytest.mark.parametrize("policy", ["keep_replacement", "ask"])
def test_else_it_is_kept_in_the_history_for_who_decides_on_the_dead_letter(policy: str) -> None:
    board = with_policy(policy, replaced=False)
    late(board)
    assert board.run.state is RunState.FAILED
    [event] = [each for each in board.changes().events if each.kind == "task.late_result"]
    assert event.data == {
        "workstation": "p1", "ending": "SUCCEEDED", "exit_code": 0, "output": '"found"',
    }  # fmt: skip
    assert len(board.changes().letters) == 1


def test_a_late_failure_is_evidence_and_no_more() -> None:
    board = with_policy("keep_original", replaced=False)
    late(board, FAILURE)
    assert board.run.state is RunState.FAILED


def test_a_result_of_an_attempt_that_was_not_lost_is_evidence_and_no_more() -> None:
    board = with_policy("keep_original", replaced=False)
    late(board, attempt=7)
    assert board.run.state is RunState.FAILED


def test_what_somebody_has_taken_up_again_meanwhile_is_theirs() -> None:
    board = with_policy("keep_original", replaced=False)
    board.retry("ann")
    claim(board, "t0")
    late(board)
    assert row(board, "t0").state is TaskState.IN_PROGRESS
    assert row(board, "t0").wanted is None


def test_an_original_counts_before_its_replacement_has_begun() -> None:
    board = with_policy("keep_original")
    late(board)
    assert row(board, "t0").state is TaskState.COMPLETED
    assert board.changes().outputs[row(board, "t0").id] == '"found"'
    assert row(board, "t1").state is TaskState.READY


@pytest.mark.parametrize("ending", [STOPPED, SUCCESS, FAILURE, LOST])
def test_a_replacement_under_way_is_stopped_and_the_original_counts(ending: Outcome) -> None:
    board = with_policy("keep_original")
    mine = claim(board, "t0")
    late(board)
    assert (mine.state, mine.wanted) == (TaskState.IN_PROGRESS, "stop")
    assert board.record(mine.id, 2, HOLDER, ending)
    assert (mine.state, mine.exit_code, mine.error) == (TaskState.COMPLETED, 0, None)
    assert board.changes().outputs[mine.id] == '"found"'
    assert row(board, "t1").state is TaskState.READY
    assert "original" not in placement(board)


def test_a_run_that_is_stopped_ends_whatever_the_original_came_to() -> None:
    board = with_policy("keep_original")
    mine = claim(board, "t0")
    late(board)
    board.stop("ann")
    assert board.record(mine.id, 2, HOLDER, STOPPED)
    assert board.run.state is RunState.STOPPED


def test_the_replacement_counts_where_that_is_said() -> None:
    board = with_policy("keep_replacement")
    mine = claim(board, "t0")
    late(board)
    assert mine.wanted is None
    replacement = replace(SUCCESS, output='"replaced"')
    assert board.record(mine.id, 2, HOLDER, replacement)
    assert board.changes().outputs[mine.id] == '"replaced"'


def test_of_two_results_somebody_is_asked_which_counts() -> None:
    board = with_policy("ask")
    mine = claim(board, "t0")
    late(board)
    assert mine.wanted is None
    assert board.record(mine.id, 2, HOLDER, SUCCESS)
    assert mine.state is TaskState.FAILED
    [letter] = board.changes().letters
    assert letter.error.startswith(
        "attempt 1, which was lost, has succeeded after all, and its replacement, attempt 2, "
        "succeeded too: say what counts"
    )


def test_nothing_is_begun_that_somebody_has_to_be_asked_about_first() -> None:
    board = with_policy("ask")
    late(board)
    assert row(board, "t0").state is TaskState.FAILED
    assert "before its replacement began" in board.changes().letters[0].error


def test_a_replacement_that_has_succeeded_stays_and_a_dead_letter_asks() -> None:
    board = with_policy("ask")
    finish(board, "t0")
    late(board)
    late(board)
    assert row(board, "t0").state is TaskState.COMPLETED
    assert board.run.state is RunState.IN_PROGRESS
    assert len(board.changes().letters) == 1
