"""Tells programs what is over of what their workflows have called, as soon as that is committed."""

import random
from typing import Any

from psycopg import AsyncConnection

from edge.remote import flows
from edge.remote.links import Link, Links, kept_in_step
from scheduler.domain.wakes import ANY, Wake
from scheduler.loops.pulse import Pulse
from scheduler.services.waking import CALLS
from scheduler.store import flows as store

Conn = AsyncConnection[Any]

LOOK_EVERY = 5.0  # seconds: a word that was lost costs so much
AT_ONCE = 500
LITTLE = 100_000  # characters of an answer that has room for any message


class News:
    def __init__(self, links: Links, workflows: flows.Flows) -> None:
        self._links, self._workflows = links, workflows
        self._pulse = Pulse()
        self._holders: set[int] = set()
        self._all = True

    def heard(self, wake: Wake) -> None:
        named = {int(each[len(CALLS) :]) for each in wake.queues if each.startswith(CALLS)}
        if named or ANY in wake.queues:
            self._holders |= named
            self._all |= ANY in wake.queues
            self._pulse.poke()

    def came(self, link: Link) -> None:
        self._holders.add(link.holder)
        self._pulse.poke()

    async def work(self, conn: Conn) -> None:
        self._all = True
        while True:
            await self.tick(conn)
            if not (self._holders or self._all):
                await self._pulse.wait(LOOK_EVERY * random.uniform(0.8, 1.2))
                self._all = self._all or not self._holders

    async def tick(self, conn: Conn) -> int:
        holders, self._holders = self._holders, set()
        is_all, self._all = self._all, False
        links = [each for each in self._links if is_all or each.holder in holders]
        for link in links:
            await self.go_on(conn, link)
        return sum([await tell(conn, each) for each in links if serves(each)])

    async def go_on(self, conn: Conn, link: Link) -> None:
        """With histories that were too long to be said at once."""
        if not link.owes or link.is_behind:
            return
        link.owes = False  # if another is offered meanwhile, that is said here
        with kept_in_step(link):
            is_all = await self._workflows.go_on(conn, link, flows.NEXT)
        if not is_all:
            link.owes = True
            self.came(link)  # it may have taken all of that already


def serves(link: Link) -> bool:
    return any(queue.startswith("workflow:") for queue in link.queues)


async def tell_some(conn: Conn, link: Link) -> None:
    """What an answer to a poll has room for: the next may be as large as the rest of it."""
    while link.size < LITTLE and (rows := await store.news(conn, link.holder, 1)):
        link.say(flows.resolve(f"{row['task_id']}.{row['attempt']}", row) for row in rows)


async def tell(conn: Conn, link: Link) -> int:
    """All that it has not been told."""
    told = 0
    while rows := await store.news(conn, link.holder, AT_ONCE):
        link.say(flows.resolve(f"{row['task_id']}.{row['attempt']}", row) for row in rows)
        told += len(rows)
        if len(rows) < AT_ONCE:
            break
    return told
