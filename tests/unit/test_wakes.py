from uuid import UUID

import pytest

from scheduler.domain.board import Changes
from scheduler.domain.ids import new_id
from scheduler.domain.process_types import parse
from scheduler.domain.states import RunState
from scheduler.domain.wakes import ANY, MOST_IDS, MOST_QUEUES, Wake, decode
from scheduler.services import judging
from tests.support.builders import a_run


def a_wake(runs: int = 0, queues: int = 0) -> Wake:
    wake = Wake()
    wake.add(
        runs=[new_id() for _ in range(runs)], queues=[f"{'q' * 180}{n}" for n in range(queues)]
    )
    return wake


def test_a_wake_is_heard_as_it_was_said() -> None:
    wake = a_wake(3, 2)
    wake.add(due=True, wanted=True)
    assert decode(wake.encode()) == wake


def test_a_wake_with_nothing_to_say_is_not_sent() -> None:
    assert not Wake()
    assert a_wake(1)


def test_more_than_fifty_runs_are_all_runs() -> None:
    assert decode(a_wake(MOST_IDS).encode()).runs != {ANY}
    many = decode(a_wake(MOST_IDS + 1).encode())
    assert many.runs == {ANY}
    assert many.concerns(new_id())


def test_a_wake_always_fits_into_a_notification() -> None:
    assert len(a_wake(MOST_IDS, MOST_QUEUES).encode().encode()) < 8000
    assert len(a_wake(10_000, 10_000).encode().encode()) < 8000


def test_what_is_not_ours_wakes_everybody() -> None:
    for payload in ("", "{}", "[]", "null", '{"r": 1}', "proof:1"):
        wake = decode(payload)
        assert wake.due
        assert wake.wanted
        assert wake.serves(["any"])
        assert wake.concerns(new_id())


def test_a_wake_serves_those_who_serve_one_of_its_queues() -> None:
    wake = Wake()
    wake.add(queues=["a"])
    assert wake.serves(["b", "a"])
    assert not wake.serves(["b"])


def test_what_is_said_together_is_heard_together() -> None:
    one, other = a_wake(2, 1), a_wake(1, 3)
    other.add(due=True)
    runs = one.runs | other.runs
    one.merge(other)
    assert (one.runs, len(one.queues), one.due, one.wanted) == (runs, 3, True, False)


@pytest.mark.parametrize(
    ("parent", "state", "due"),
    [
        (None, RunState.COMPLETED, False),
        (new_id(), RunState.COMPLETED, True),
        (new_id(), RunState.FAILED, True),
        (new_id(), RunState.IN_PROGRESS, False),
    ],
)
def test_the_end_of_a_child_is_due_to_its_parent_at_once(
    parent: UUID | None, state: RunState, due: bool
) -> None:
    """An errand tells it, and whoever runs errands would look some seconds later."""
    [one] = parse("name: one\ntasks: [{name: only, noop: true}]\n")
    wake = Wake()
    judging.tell(Changes(runs=[a_run(one, state=state, parent_run=parent)]), wake)
    assert wake.due is due
