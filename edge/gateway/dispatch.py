"""Tasks are claimed for workstations and offered to them; what people want of them is passed on.

A claim is committed before its offer is spoken: an offer that nobody hears is taken back by time
(`watch`), and one that is heard twice is one attempt.
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from edge.desk import Recorded
from edge.gateway import offers, recording
from edge.gateway.frames import as_command
from edge.gateway.offers import Refused
from edge.gateway.recording import Closing
from edge.gateway.streams import Stream, Streams
from edge.messages import Command, Ended, Offer
from scheduler.domain import places, secrets
from scheduler.domain.wakes import ANY, Wake
from scheduler.loops.pulse import Pulse
from scheduler.services import instructions
from scheduler.services.catalog import Catalog
from scheduler.services.keyring import Keys
from scheduler.store import placements, workstations
from scheduler.store.rows import Row

log = logging.getLogger(__name__)
Conn = AsyncConnection[Any]

LOOK_EVERY = 5.0  # seconds: a word that was lost costs so much
MOST_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Claims:
    """What claims need beside a connection."""

    catalog: Catalog
    keys: Callable[[], Keys]

    async def claim(
        self,
        conn: Conn,
        workstation: int,
        session: int,
        queues: Sequence[str],
        *,
        limit: int,
        wake: Wake,
    ) -> list[Offer]:
        """Offers that are written down and have to be spoken now, in this session."""
        claimed: list[Row] = []
        for queue in queues:
            room = min(limit, MOST_AT_ONCE) - len(claimed)
            if room <= 0:
                break
            claimed += await claim_from(conn, workstation, session, queue, room, wake)
        return await self.offers(conn, workstation, claimed, wake) if claimed else []

    async def offers(
        self, conn: Conn, workstation: int, claimed: Sequence[Row], wake: Wake
    ) -> list[Offer]:
        sealing_key = None
        if any(secrets.wants(each["invocation"]) for each in claimed):
            sealing_key = await workstations.sealing_key(conn, workstation)
        claimed = [{**each, "text": await self.instruction(conn, each)} for each in claimed]
        made, refused = await offers.make(conn, self.keys(), claimed, sealing_key)
        if refused:
            await self.fail(conn, workstation, refused, wake)
        wake.add(runs=[each["run_id"] for each in claimed])
        return made

    async def instruction(self, conn: Conn, task: Row) -> str:
        """For whoever stands there, whether or not the server is in reach by then."""
        which = (task["type"], task["type_version"], task["name"])
        return await instructions.of_task(conn, self.catalog, *which, task["input"])

    async def fail(
        self, conn: Conn, workstation: int, refused: Sequence[Refused], wake: Wake
    ) -> None:
        """What cannot be offered has failed, and trying again by itself would change nothing."""
        async with conn.transaction():
            row = await workstations.lock(conn, workstation)
            if row is None:
                return
            keys = [(each.task["id"], each.task["attempt"]) for each in refused]
            over = [(key, None, each.why) for key, each in zip(keys, refused, strict=True)]
            await workstations.close(conn, row["id"], over)
            closings = [
                Closing(each.task["run_id"], key, Recorded(failure(each)))
                for key, each in zip(keys, refused, strict=True)
            ]
            wake.merge(
                await recording.record(conn, self.catalog, row["holder"], row["name"], closings)
            )


async def claim_from(
    conn: Conn, workstation: int, session: int, queue: str, room: int, wake: Wake
) -> list[Row]:
    """What goes together in a run, and another has taken the first of, goes to that other."""
    if not queue.startswith(places.LABELLED):
        return await workstations.claim(conn, workstation, queue, session=session, limit=room)
    async with conn.transaction():
        found = await workstations.claim(conn, workstation, queue, session=session, limit=room)
        taken = await placements.note_taken(conn, [each["id"] for each in found], workstation)
    wake.add(queues=taken.queues)
    return [each for each in found if each["id"] not in taken.given_back]


def failure(refused: Refused) -> Ended:
    return Ended(
        offers.key_of(refused.task),
        "FAILED",
        time.time(),
        error=refused.why,
        counted=False,
        retryable=False,
    )


async def unheard(conn: Conn, workstation: int) -> tuple[list[Command], int]:
    """Commands that were never said, and how many there are whose fate is not known."""
    rows = await workstations.commands(conn, workstation)
    fresh = [row for row in rows if row["delivered_at"] is None]
    if fresh:
        await workstations.delivered(conn, [row["id"] for row in fresh])
    return [as_command(row) for row in fresh], len(rows)


async def queues_of(conn: Conn, name: str, labels: dict[str, str]) -> list[str]:
    """From which a workstation may claim: its own first."""
    ready = await placements.ready_queues(conn)
    return [f"ws:{name}", *places.queues_for(name, labels, ready)]


class Dispatcher:
    """Serves the workstations whose streams are here."""

    def __init__(self, claims: Claims, streams: Streams, say: Any) -> None:
        self._claims, self._streams, self._say = claims, streams, say
        self._pulse = Pulse()
        self._named: set[str] = set()  # workstations for which there may be something
        self._all = self._labelled = self._wanted = True

    def heard(self, wake: Wake) -> None:
        names = {queue[3:] for queue in wake.queues if queue.startswith(places.NAMED)}
        is_any = ANY in wake.queues
        labelled = any(queue.startswith(places.LABELLED) for queue in wake.queues)
        if names or is_any or labelled or wake.wanted:
            self._named |= names
            self._all |= is_any
            self._labelled |= labelled or is_any
            self._wanted |= wake.wanted
            self._pulse.poke()

    def has_room(self, stream: Stream) -> None:
        """Something that it had in hand is over, or it has come."""
        self._named.add(stream.name)
        self._labelled = True
        self._pulse.poke()

    async def work(self, conn: Conn) -> None:
        self._all = self._labelled = self._wanted = True
        while True:
            await self.tick(conn)
            if not (self._named or self._all or self._labelled or self._wanted):
                await self._pulse.wait(LOOK_EVERY * random.uniform(0.8, 1.2))
                if not self._named and not self._labelled and not self._wanted:
                    self._all = self._labelled = self._wanted = True

    async def tick(self, conn: Conn) -> int:
        """One look; how many tasks were offered."""
        named, self._named = self._named, set()
        is_all, self._all = self._all, False
        labelled, self._labelled = self._labelled, False
        wanted, self._wanted = self._wanted, False
        if is_all:
            mine = list(self._streams)
        else:
            mine = [each for name in named if (each := self._streams.get(name))]
        if wanted or is_all:
            await self._ask(conn)
        with_work = await self._with_work(conn, mine) if is_all else mine
        offered = [await self._offer(conn, each, [f"ws:{each.name}"]) for each in with_work]
        for stream in await self._with_words(conn, mine):
            await self._tell(conn, stream)
        return sum(offered) + (await self._share(conn) if labelled or is_all else 0)

    # Commands.

    async def _ask(self, conn: Conn) -> None:
        ids = [each.id for each in self._streams]
        if ids and (asked := await workstations.ask_wanted(conn, ids)):
            for stream in self._streams:
                if stream.id in asked:
                    await self._tell(conn, stream)

    async def _with_words(self, conn: Conn, mine: Sequence[Stream]) -> list[Stream]:
        ids = await workstations.with_words(conn, [each.id for each in mine]) if mine else []
        return [each for each in mine if each.id in ids]

    async def _tell(self, conn: Conn, stream: Stream) -> None:
        fresh, stream.commands = await unheard(conn, stream.id)
        stream.say(stream.session, fresh)

    # Offers.

    async def _with_work(self, conn: Conn, mine: Sequence[Stream]) -> list[Stream]:
        ids = [each.id for each in mine if each.room > 0]
        found = await workstations.ready_names(conn, ids) if ids else []
        return [each for each in mine if each.id in found]

    async def _offer(
        self, conn: Conn, stream: Stream, queues: Sequence[str], limit: int | None = None
    ) -> int:
        room = stream.room if limit is None else min(stream.room, limit)
        if room <= 0 or stream.draining or stream.is_behind:
            return 0
        session, wake = stream.session, Wake()
        found = await self._claims.claim(conn, stream.id, session, queues, limit=room, wake=wake)
        stream.room -= len(found)
        stream.say(session, found)
        self._say(wake)
        if limit is None and len(found) == MOST_AT_ONCE:
            self._named.add(stream.name)  # there may be more, when others have had their turn
        return len(found)

    async def _share(self, conn: Conn) -> int:
        """What any of several may do goes to whoever has most room, one at a time."""
        offered = 0
        for queue in await placements.ready_queues(conn) if len(self._streams) else []:
            offered += await self._share_one(conn, queue)
        return offered

    async def _share_one(self, conn: Conn, queue: str) -> int:
        offered = 0
        fitting = [
            each
            for each in self._streams
            if each.room > 0 and places.queues_for(each.name, each.labels, [queue])
        ]
        while fitting:
            stream = min(fitting, key=lambda each: (each.load, each.name))
            if await self._offer(conn, stream, [queue], 1):
                offered += 1
            elif queue in await placements.ready_queues(conn):
                fitting.remove(stream)  # it may not, or will not
            else:
                break
            fitting = [each for each in fitting if each.room > 0]
        return offered
