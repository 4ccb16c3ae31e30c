"""The protocol of workstations under everything that goes wrong, thousands of times over.

A seed says all of what happens: `World(seed).run(STORM, STEPS)` is a failure's whole report.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from edge import desk
from edge.agent.core import Agent, Effect, Objection, Say, Steer
from edge.desk import Desk
from edge.messages import Accept, File, Frame, Hello, Item, Lane, Offer, file_name
from tests.support import promises
from tests.support.edge_world import CALM, Chances, Machine, Rows, Server, World
from tests.support.edge_worlds import Impatient, Restored

LONG = bool(os.environ.get("PROCESSION_LONG"))
SEEDS = 100_000 if LONG else 2_000  # of which all promises hold, whenever a change is tried
STEPS = 60
STORM = Chances()
SERVERS = (Server, Server, Impatient, Restored)  # a quarter of the seeds each


@pytest.mark.parametrize("part", range(len(SERVERS)))
@pytest.mark.timeout(7200 if LONG else 180)
def test_whatever_goes_wrong_each_attempt_runs_once_and_is_recorded_once(part: int) -> None:
    def play(seed: int) -> None:
        World(seed, servers=SERVERS[part]).run(STORM, STEPS)

    promises.keep(play, range(part, SEEDS, len(SERVERS)))


def test_a_seed_says_all_of_what_happens() -> None:
    def course(seed: int) -> tuple[Any, ...]:
        world = World(seed)
        world.run(STORM, STEPS)
        return world.now, world.truth, world.server.rows

    assert course(7) == course(7)
    assert course(7) != course(8)


# Faults that were put in: each breaks a promise, and is found.


class Hasty(Agent):
    """Begins what it has accepted without waiting for the server's word."""

    def offered(self, offer: Offer, now: float) -> list[Effect]:
        effects = super().offered(offer, now)
        accepted = [each for each in effects if isinstance(each, Say)]
        if accepted and isinstance(accepted[0].message, Accept):
            return effects + self.start(offer.attempt, now, now)
        return effects


class Careless(Agent):
    """Takes for delivered what it has sent."""

    def send(self, link: Any, lane: Lane, now: float) -> list[Effect]:
        effects = super().send(link, lane, now)
        self.book.put_have(lane, link.lanes[lane].sent)
        return effects


class Unasking(Agent):
    """After a start it does not ask the runner what has begun."""

    def awake(self, living: Iterable[str]) -> list[Effect]:
        return super().awake(())


class Open(Agent):
    """Takes what is offered to it while it shall take nothing new."""

    def objection(self, offer: Offer) -> Objection:
        return None if self.free() else super().objection(offer)


class Loose(Agent):
    """Begins what it was told to hold before it began, and forgets the hold."""

    def start(self, attempt: str, now: float, clock: float) -> list[Effect]:
        effects = super().start(attempt, now, clock)
        return [each for each in effects if not isinstance(each, Steer)]


class Tardy(Agent):
    """Goes by its own clock."""

    def start(self, attempt: str, now: float, clock: float) -> list[Effect]:
        return super().start(attempt, clock - (self.link.lead if self.link else 0.0), clock)


class Forgetful(Agent):
    """Keeps nothing of what the server has, which may have to ask for it again."""

    def heard(self, lane: Lane, seq: int, now: float) -> None:
        super().heard(lane, seq, now)
        self.book.forget(lane, seq)


class Proud(Agent):
    """Does not believe that the server has less of a log than it had."""

    def logged(self, attempt: str, offset: int, now: float) -> None:
        if offset > self.book.jobs[attempt].stored:
            super().logged(attempt, offset, now)


class Trusting(Desk):
    """Takes whatever number comes."""

    def item(self, item: Item) -> None:
        self.have[item.lane] = item.seq - 1
        super().item(item)


class Heaping(Desk):
    """Takes parts of files as they come."""

    def file(self, file: File) -> int:
        self.files[file_name(file.attempt, file.number)] = file.offset
        return super().file(file)


class Late(Desk):
    """Listens to sessions and greetings that are over."""

    def hear(
        self,
        frame: Frame,
        *,
        opened: float | None = None,
        beat: float = 15.0,
        poll: float = 5.0,
        unfit: str = "",
    ) -> int:
        first = frame.messages[0] if frame.messages else None
        if isinstance(first, Hello):
            self.station = replace(self.station, greeting=0)
        else:
            frame = replace(frame, session=self.station.session)
        return super().hear(frame, opened=opened, beat=beat, poll=poll, unfit=unfit)


class Believing(Desk):
    """Lets what is not its workstation's any more be recorded."""

    def is_over(self, attempt: str) -> bool:
        return attempt not in self.hands


class Early(Machine):
    """Speaks and acts first, and writes down afterwards."""

    def carry_out(self, effects: Iterable[Effect]) -> None:
        for each in effects:
            self.one(each)
            self.world.maybe_crash()
        super().carry_out(())


class Halving(Server):
    """Says what it has in one transaction, and does it in another."""

    def apply(self, rows: Rows, number: int, counter: Desk) -> None:
        for change in counter.changes:
            if isinstance(change, desk.Taken):
                self.change(self.rows, number, change)
        self.world.maybe_crash()
        super().apply(rows, number, counter)


FAULTS: dict[str, dict[str, Any]] = {
    "begins on its own word": {"agents": Hasty},
    "takes sending for delivery": {"agents": Careless},
    "does not ask the runner": {"agents": Unasking},
    "takes work when it is drained": {"agents": Open},
    "forgets a hold": {"agents": Loose},
    "goes by its own clock": {"agents": Tardy},
    "keeps nothing for a restored server": {"agents": Forgetful, "servers": Restored},
    "knows better what is stored": {"agents": Proud, "servers": Restored},
    "takes any number": {"desks": Trusting},
    "takes any part of a file": {"desks": Heaping},
    "listens to what is over": {"desks": Late},
    "records what was taken away": {"desks": Believing, "servers": Impatient},
    "acts before it writes": {"stations": Early},
    "acknowledges before it records": {"servers": Halving},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_is_put_in_is_found(fault: str) -> None:
    def play(seed: int) -> None:
        World(seed, **FAULTS[fault]).run(STORM, STEPS)

    assert promises.are_broken(play, range(SEEDS))


def test_the_world_has_no_fault_of_its_own_in_fair_weather() -> None:
    for seed in range(50):
        world = World(seed)
        world.run(CALM, 1)
        assert not world.server.rows.orphans
        assert all(message for message in world.truth)
