"""The protocol of remote workers under cuts, deaths and lost answers, thousands of times over.

A seed says all of what happens: `World(seed).run(STEPS)` is a failure's whole report.
"""

import os
from collections.abc import Iterable
from typing import Any

import pytest

from edge.remote.desk import Desk, HandedBack, Heard
from edge.remote.messages import Ended, Forget, Hello
from tests.support.remote_world import Broken, World

LONG = bool(os.environ.get("PROCESSION_LONG"))
SEEDS = 50_000 if LONG else 600
STEPS = 80


@pytest.mark.timeout(3600 if LONG else 120)
def test_whatever_goes_wrong_each_task_is_recorded_once_and_begun_by_one_at_a_time() -> None:
    for seed in range(SEEDS):
        try:
            World(seed).run(STEPS)
        except Broken as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def test_a_seed_says_all_of_what_happens() -> None:
    def course(seed: int) -> tuple[Any, ...]:
        world = World(seed)
        world.run(STEPS)
        return world.now, world.runs_of

    assert course(7) == course(7)
    assert course(7) != course(8)


# Faults that were put in: each breaks a promise, and is found.


class Hasty(Desk):
    """Takes back what a lease does not name, though it may be on its way."""

    def lease(self, running: Iterable[str], now: float, heard: Heard) -> None:
        for hand in self.hands.values():
            hand.missed_at = -1e9
        super().lease(tuple(running), now, heard)


class Deaf(Desk):
    """Does not say what is not a worker's own any more."""

    def hear(self, messages: Iterable[Any], now: float) -> Heard:
        heard = super().hear(messages, now)
        heard.answers = [each for each in heard.answers if not isinstance(each, Forget)]
        return heard

    def greet(self, hello: Hello) -> tuple[list[HandedBack], list[str]]:
        return super().greet(hello)[0], []


class Doubtless(Desk):
    """Never asks the rows what it holds."""

    def compare(self, rows: Any, looked_at: float) -> Heard:
        return Heard()


class Untidy(Desk):
    """Keeps a slot taken by what is over."""

    def closed(self, attempt: str) -> None:
        pass


class Forgetful(Desk):
    """Takes an end for said, and records nothing."""

    def ended(self, ended: Ended, heard: Heard) -> None:
        self.hands.pop(ended.attempt, None)


@pytest.mark.parametrize("fault", [Hasty, Deaf, Doubtless, Untidy, Forgetful])
def test_a_fault_is_found(fault: type[Desk]) -> None:
    def is_found(seed: int) -> bool:
        try:
            World(seed, fault).run(STEPS)
        except Broken:
            return True
        return False

    assert any(is_found(seed) for seed in range(300))
