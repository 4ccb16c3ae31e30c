"""Tells those who follow a run that it has changed: one listening connection for each server."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from scheduler.domain.wakes import Wake
from scheduler.loops.pulse import Pulse

SAFETY = 2.0  # seconds: followers look by themselves, so a lost notification costs this much


def ignore(people: set[str]) -> None:
    """Nobody keeps anybody in mind."""


class Hub:
    """Carries no data: who is poked reads from the database what is new."""

    def __init__(self) -> None:
        self._followers: dict[UUID, set[Pulse]] = defaultdict(set)
        self._of_all: set[Pulse] = set()
        # Told of people who may no longer what they might; nobody is, while nothing is heard.
        self.of_people: Callable[[set[str]], None] = ignore
        self.is_hearing = False

    def __len__(self) -> int:
        """How many follow at the moment."""
        return len(self._of_all) + sum(len(pulses) for pulses in self._followers.values())

    def heard(self, wake: Wake) -> None:
        self.is_hearing = True
        if wake.people:
            self.of_people(wake.people)
        if not wake.is_of_work:
            return
        for pulse in self._of_all:
            pulse.poke()
        for run, pulses in self._followers.items():
            if wake.concerns(run):
                for pulse in pulses:
                    pulse.poke()

    def deaf(self) -> None:
        """What is said from now on is not heard, until something is."""
        self.is_hearing = False

    @contextmanager
    def follow(self, run: UUID) -> Iterator[Pulse]:
        """Follow before the first look: what happens between the two is not lost."""
        pulse = Pulse()
        self._followers[run].add(pulse)
        try:
            yield pulse
        finally:
            self._followers[run].discard(pulse)
            if not self._followers[run]:
                del self._followers[run]

    @contextmanager
    def follow_all(self) -> Iterator[Pulse]:
        """Follow whatever happens to any run."""
        pulse = Pulse()
        self._of_all.add(pulse)
        try:
            yield pulse
        finally:
            self._of_all.discard(pulse)
