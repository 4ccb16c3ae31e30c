"""Orders between workstations under everything that goes wrong, thousands of times over.

A seed says all of what happens: `World(seed).run(STORM, STEPS)` is a failure's whole report.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from edge.agent import asking, taking
from edge.agent.asking import Asker
from edge.agent.peering import Ask, Asked, MemoryPeerBook, Over
from edge.agent.taking import Taker
from tests.support import promises
from tests.support.peer_world import CALM, Chances, Station, World

LONG = bool(os.environ.get("PROCESSION_LONG"))
SEEDS = 100_000 if LONG else 1_000
PARTS = 2
STEPS = 60
STORM = Chances()


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.timeout(7200 if LONG else 180)
def test_whatever_goes_wrong_an_order_begins_once_and_its_result_comes_back_once(part: int) -> None:
    promises.keep(lambda seed: World(seed).run(STORM, STEPS), range(part, SEEDS, PARTS))


def test_a_seed_says_all_of_what_happens() -> None:
    def course(seed: int) -> tuple[Any, ...]:
        world = World(seed)
        world.run(STORM, STEPS)
        return world.now, world.truth, world.begun

    assert course(7) == course(7)
    assert course(7) != course(8)


def test_in_fair_weather_every_order_that_may_begin_succeeds_or_is_stopped() -> None:
    for seed in range(50):
        world = World(seed)
        world.run(CALM, 1)
        endings = {each.results[0].ending for each in world.wanted.values()}
        assert endings <= {"SUCCEEDED", "STOPPED", "EXPIRED", "REFUSED"}


# Faults that were put in: each breaks a promise, and is found.


class Early(Station):
    """Speaks and acts first, and writes down afterwards."""

    def take(self, effects: Iterable[taking.Effect]) -> None:
        for each in effects:
            self.carry_out(each)
            self.world.maybe_crash()
        super().take(())


class Forgiving(Taker):
    """Takes what was said to a book that is lost."""

    def why_lost(self, ask: Ask) -> str | None:
        return super().why_lost(replace(ask, lineage=self.book.lineage))


class Unlearned(Asker):
    """Asks whatever book there is."""

    def ask(self, asked: Asked, now: float) -> list[asking.Effect]:
        return super().ask(replace(asked, lineage=""), now)


class Generous(Taker):
    """Forgets a result as soon as it has been said."""

    def say_over(self, line: int, result: Over, now: float) -> list[taking.Effect]:
        said = super().say_over(line, result, now)
        self.book.drop_given(result.run)
        return said


class Polite(Asker):
    """Thanks for what it has not written down."""

    def over(self, asked: Asked, result: Over) -> list[asking.Effect]:
        return [asking.Deliver(asked.run, result)]


class Amnesiac(Taker):
    """Forgets that what is over was here."""

    def why_lost(self, ask: Ask) -> str | None:
        return None


class Idle(Taker):
    """Does not begin after a start what it has taken before."""

    def awake(self) -> list[taking.Effect]:
        return [each for each in super().awake() if not isinstance(each, taking.Begin)]


class Weak(Taker):
    """Says that it shall never begin, and does not write it down."""

    def say_over(self, line: int, result: Over, now: float) -> list[taking.Effect]:
        said = super().say_over(line, result, now)
        if not result.began:
            assert isinstance(self.book, MemoryPeerBook)
            self.book.drop_given(result.run)
            self.book.over.discard(result.run)
        return said


FAULTS: dict[str, dict[str, Any]] = {
    "acts before it writes": {"stations": Early},
    "takes what a lost book was asked": {"takers": Forgiving},
    "asks whatever book there is": {"askers": Unlearned},
    "forgets what it has said": {"takers": Generous},
    "thanks before it writes": {"askers": Polite},
    "forgets what is over": {"takers": Amnesiac},
    "does not begin what it has taken": {"takers": Idle},
    "does not write down what shall not begin": {"takers": Weak},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_is_put_in_is_found(fault: str) -> None:
    def play(seed: int) -> None:
        World(seed, **FAULTS[fault]).run(STORM, STEPS)

    assert promises.are_broken(play, range(SEEDS))
