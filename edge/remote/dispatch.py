"""Tasks are claimed for workers and offered to them.

A claim is committed before its offer is spoken: an offer that nobody hears is handed back when the
worker's next words do not name it.
"""

import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection

from edge.reading import LONGEST, BadFrame
from edge.remote import wire
from edge.remote.desk import Hand, command
from edge.remote.links import NOBODY, Link, Links, kept_in_step
from edge.remote.messages import FromServer, History, Offer
from executor.base import Ending, Outcome
from scheduler.domain.floors import Floors
from scheduler.domain.wakes import ANY, Wake
from scheduler.loops.pulse import Pulse
from scheduler.store import remote
from scheduler.store.remote import Claimed

Conn = AsyncConnection[Any]

LOOK_EVERY = 5.0  # seconds: a word that was lost costs so much
MOST_AT_ONCE = 200  # for one worker, before the others have their turn
LARGEST_OFFER = 640 << 10  # bytes: there has to be room for something beside it
ACTION, WORKFLOW = "action:", "workflow:"
RESERVED = (ACTION, WORKFLOW)


@dataclass(slots=True)
class Offers:
    """What is to be said of claims, and what of them cannot be said."""

    said: list[tuple[Hand, Sequence[FromServer]]] = field(default_factory=list)
    refused: list[tuple[Claimed, Outcome]] = field(default_factory=list)


def is_cut(messages: Sequence[FromServer]) -> bool:
    """An offer whose history is longer than what is said of it for now."""
    [first, *rest] = messages
    calls = (first.workflow or {}).get("calls", 0) if isinstance(first, Offer) else 0
    return sum(len(each.calls) for each in rest if isinstance(each, History)) < calls


# For whoever sees to workflows: what is said of a holder's claims of theirs, by attempt.
OfWorkflows = Callable[
    [Conn, int, Sequence[Claimed]], Awaitable[Mapping[str, Sequence[FromServer]]]
]

# And for what was said of a long one, and no more.
Cut = Callable[[Conn, Sequence[FromServer]], Awaitable[None]]


def queues_of(actions: Sequence[str], workflows: Sequence[str]) -> list[str]:
    served = [f"{ACTION}{each}" for each in actions] + [f"{WORKFLOW}{each}" for each in workflows]
    return list(dict.fromkeys(served))


def offer_of(task: Claimed) -> Offer:
    invocation: Mapping[str, Any] = task.invocation or {}
    return Offer(
        attempt=task.key,
        action=task.queue.partition(":")[2],
        payload=invocation.get("payload"),
        run=str(task.run_id),
        task=task.name,
        type_name=task.type,
        number=task.number,
        key=f"{task.run_id}:{task.position}:{task.round}:{task.iteration}",
        timeout=invocation.get("timeout"),
        grace=invocation.get("grace"),
    )


def hand_of(task: Claimed) -> Hand:
    return Hand(task.key, task.run_id, time.monotonic(), task.kind, wanted=task.wanted)


class Claims:
    """What claims need beside a connection."""

    def __init__(self, of_workflows: OfWorkflows, cut: Cut) -> None:
        self.of_workflows, self.cut = of_workflows, cut
        self._floors: dict[str, Floors] = {}

    async def claim(self, conn: Conn, link: Link, queue: str, limit: int) -> list[Claimed]:
        now = time.monotonic()
        floors = self._floors.setdefault(queue, Floors(now))
        found = await remote.claim(
            conn, queue, holder=link.holder, floors=floors.at(now), limit=limit
        )
        floors.took(found)
        link.offered(map(hand_of, found))
        return found

    def forget(self, queues: set[str]) -> None:
        for queue in self._floors.keys() - queues:
            del self._floors[queue]

    async def offers(self, conn: Conn, link: Link, claimed: Sequence[Claimed]) -> Offers:
        workflows = [each for each in claimed if each.kind == "workflow"]
        said = await self.of_workflows(conn, link.holder, workflows) if workflows else {}
        offers = Offers()
        for task in claimed:
            messages = said.get(task.key) or (offer_of(task),)
            if why := objection(messages[0]):
                offers.refused.append((task, unsayable(why)))
            else:
                hand = hand_of(task)
                wish = (command(hand),) if hand.wanted else ()
                offers.said.append((hand, (*messages, *wish)))
        return offers


def objection(message: FromServer) -> str | None:
    """Why it cannot be said: no frame has room for it, or no worker would read it."""
    text = wire.said(message)
    if len(text) * 4 <= LONGEST:
        return None
    size = len(text.encode())
    if size > LARGEST_OFFER:
        return (
            f"what is to be carried out has {size} bytes as JSON, and {LARGEST_OFFER} can be "
            "offered to a worker: give it a name or a place to fetch what is large from"
        )
    try:
        wire.decode(wire.framed(NOBODY, [text]), wire.SERVERS)
    except BadFrame as error:
        return f"what is to be carried out cannot be offered to a worker: {error}"
    return None


def unsayable(why: str) -> Outcome:
    return Outcome(ending=Ending.FAILED, counted=False, retryable=False, error=why)


class Dispatcher:
    """Serves the workers whose streams are here. `refuse` sees to what cannot be offered."""

    def __init__(
        self,
        claims: Claims,
        links: Links,
        say: Callable[[Wake], None],
        refuse: Callable[[Link, Claimed, Outcome], None],
    ) -> None:
        self._claims, self._links, self._say, self._refuse = claims, links, say, refuse
        self._pulse = Pulse()
        self._ready: set[str] = set()  # queues that may have something
        self._all = True

    def heard(self, wake: Wake) -> None:
        served = [each for each in wake.queues if each.startswith(RESERVED)]
        if ANY in wake.queues:
            self._all = True
        elif served:
            self._ready.update(served)
        else:
            return
        self._pulse.poke()

    def has_room(self, link: Link, *, is_new: bool = False) -> None:
        """Something that it had in hand is over, or it has come."""
        if is_new:
            self._ready.update(link.queues)
        if self._ready:
            self._pulse.poke()

    async def work(self, conn: Conn) -> None:
        self._all = True
        while True:
            if not await self.tick(conn):
                await self._pulse.wait(self._pause())
                self._all = self._all or not self._ready

    def _pause(self) -> float:
        """Until somebody says so, or has rested."""
        rests = [each.rests_for + 0.01 for each in self._links if each.rests_for]
        return min([LOOK_EVERY * random.uniform(0.8, 1.2), *rests])

    async def tick(self, conn: Conn) -> int:
        """One turn for each worker that has room; how many tasks were offered."""
        queues = self._links.queues
        self._claims.forget(queues)
        if self._all:
            self._all = False
            self._ready |= set(await remote.ready(conn, queues)) if queues else set()
        self._ready &= queues
        return sum([await self._share(conn, queue) for queue in sorted(self._ready)])

    async def _share(self, conn: Conn, queue: str) -> int:
        """Those with the most room first. What is said of the queue while it is claimed from may be
        of what came after, so it is looked at again."""
        self._ready.discard(queue)
        offered = 0
        serving = [each for each in self._links if queue in each.queues and each.room > 0]
        for link in sorted(serving, key=lambda each: (each.load, each.holder)):
            limit = min(link.room, MOST_AT_ONCE)
            found = await self._offer(conn, link, queue, limit)
            offered += found
            if found < limit:
                return offered
        self._ready.add(queue)  # there may be more, when somebody has room again
        return offered

    async def _offer(self, conn: Conn, link: Link, queue: str, limit: int) -> int:
        if limit <= 0:
            return 0
        claimed = await self._claims.claim(conn, link, queue, limit)
        if claimed:
            offers = await self._claims.offers(conn, link, claimed)
            self.speak(link, offers)
            await self._cut(conn, link, offers)
            wake = Wake()
            wake.add(runs=[each.run_id for each in claimed])
            self._say(wake)
        return len(claimed)

    async def _cut(self, conn: Conn, link: Link, offers: Offers) -> None:
        """The rest of long histories is said when this was taken."""
        for messages in [each for _, each in offers.said if is_cut(each)]:
            with kept_in_step(link):
                await self._claims.cut(conn, messages)
            link.owes = True
            link.taken(link)

    def speak(self, link: Link, offers: Offers) -> None:
        link.say(each for _, messages in offers.said for each in messages)
        for task, outcome in offers.refused:
            self._refuse(link, task, outcome)
