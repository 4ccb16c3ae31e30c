"""The bell that open pages listen to.

There is one for each server. It is rung for a topic, one run or everything, and all who listen to
that topic hear the same number at the same moment, so that one answer does for all of them
(ui/sharing.py). Nothing is rung for while nobody listens; whoever is the first hears at once.
"""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import UUID

from scheduler.api.live import Hub
from scheduler.loops.pulse import Pulse

OFTEN = {True: 0.25, False: 1.0}  # seconds between two words: of one run, of all
SAFETY = 15.0  # a notification that was lost costs this much; proxies close what is silent longer


class Topic:
    """What one bell is rung for, while somebody listens."""

    def __init__(self) -> None:
        self.number = 0
        self.ears: set[Pulse] = set()
        self.ringing: asyncio.Task[None] | None = None


class Bell:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._topics: dict[UUID | None, Topic] = {}
        self.life = secrets.token_hex(4)  # numbers of another server, or of before, say nothing
        self.number = 0

    def __len__(self) -> int:
        return len(self._topics)

    def spoken(self, number: int) -> str:
        return f"{self.life}-{number}"

    def heard(self, word: str | None) -> int:
        """The number that somebody heard, if it was of this bell."""
        life, _, number = (word or "").partition("-")
        is_ours = life == self.life and number.isascii() and number.isdecimal()
        return int(number[:18]) if is_ours else 0

    @contextmanager
    def listen(self, run: UUID | None, ear: Pulse) -> Iterator[Topic]:
        topic = self._topics.get(run)
        if topic is None:
            topic = self._topics[run] = Topic()
            # It ends with the last who listens.
            topic.ringing = asyncio.create_task(self._ring(topic, run), name="bell")
        topic.ears.add(ear)
        try:
            yield topic
        finally:
            topic.ears.discard(ear)
            if not topic.ears and topic.ringing is not None:
                topic.ringing.cancel()
                del self._topics[run]

    async def _ring(self, topic: Topic, run: UUID | None) -> None:
        with followed(self._hub, run) as pulse:
            while True:
                self.number += 1
                topic.number = self.number
                for ear in topic.ears:
                    ear.poke()
                await asyncio.sleep(OFTEN[run is not None])  # what comes meanwhile is told as one
                await pulse.wait(SAFETY)


def followed(hub: Hub, run: UUID | None) -> AbstractContextManager[Pulse]:
    return hub.follow_all() if run is None else hub.follow(run)
