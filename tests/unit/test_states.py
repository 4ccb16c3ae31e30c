from itertools import product
from pathlib import Path

import pytest

from executor.base import Ending
from scheduler.domain.states import (
    FINAL_RUNS,
    FINAL_TASKS,
    LIVING_RUNS,
    RUN_ARROWS,
    TASK_ARROWS,
    AttemptState,
    RunState,
    TaskState,
    sources,
)
from tests.support.charts import page

ROOT = Path(__file__).parents[2]


def test_every_state_has_its_arrows() -> None:
    assert set(RUN_ARROWS) == set(RunState)
    assert set(TASK_ARROWS) == set(TaskState)
    assert set(RunState) == FINAL_RUNS | LIVING_RUNS


@pytest.mark.parametrize(("left", "entered"), [*product(RunState, RunState)])
def test_the_guard_of_a_move_lets_pass_exactly_the_arrows(
    left: RunState, entered: RunState
) -> None:
    assert (left in sources(entered)) == (entered in RUN_ARROWS[left])


def test_only_a_new_round_and_undoing_lead_out_of_an_end_and_nothing_out_of_completed() -> None:
    assert {state: set(RUN_ARROWS[state]) for state in FINAL_RUNS} == {
        RunState.COMPLETED: set(),
        RunState.FAILED: {RunState.IN_PROGRESS, RunState.COMPENSATING},
        RunState.STOPPED: {RunState.IN_PROGRESS, RunState.COMPENSATING},
    }
    assert all(set(TASK_ARROWS[state]) == {TaskState.PENDING} for state in FINAL_TASKS)


def test_every_living_run_can_come_to_an_end() -> None:
    for state in LIVING_RUNS:
        assert FINAL_RUNS & reachable(state), state


def reachable(state: RunState) -> set[RunState]:
    found, todo = set(), [state]
    while todo:
        todo += [each for each in RUN_ARROWS[todo.pop()] if each not in found]
        found.update(todo)
    return found


def test_only_what_is_ready_can_be_claimed() -> None:
    claimable = {
        state for state, targets in TASK_ARROWS.items() if TaskState.IN_PROGRESS in targets
    }
    assert claimable == {TaskState.READY}


def test_an_attempt_ends_in_one_of_the_ways_that_an_outcome_names() -> None:
    assert {str(e) for e in Ending} == {str(s) for s in AttemptState} - {"STARTED"}


def test_the_charts_in_the_documents_are_those_of_the_code() -> None:
    assert (ROOT / "docs/states.md").read_text() == page(), (
        "draw them again: python -m tests.support.charts > docs/states.md"
    )
