"""Orders between this workstation and others, over sockets of their own.

`asking` and `taking` decide; here is what they decide about: sockets, and the engine that carries
runs out. Decisions are taken in the agent's own turns, so that they are written down with all that
belongs to them, and carried out then.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from edge import doors
from edge.agent import asking, taking
from edge.agent.asking import Asker
from edge.agent.backoff import Windows
from edge.agent.directory import Directory, NoWay
from edge.agent.peer_ledger import PeerLedger
from edge.agent.peering import REFUSED, WORDS, Order, Over, Said, Wait
from edge.agent.taking import Taker
from edge.doors import PEERS, Unreached
from edge.knocking import Caller, Refused, Self, Visitor
from edge.messages import Json, Verb
from edge.wire import BadFrame
from scheduler.domain.errors import Refusal

log = logging.getLogger(__name__)

LOOK = 0.25  # seconds between two looks at who has to be called
LINGER = 30.0  # seconds that a line is kept for what may be ordered next
LASTING = 10.0  # seconds: a call that ended sooner has come to nothing
FASTEST = 100.0  # messages a second that are taken of one peer; the rest waits on its way
WAITING = 1_000  # messages for one peer: who takes none of so many is cut off
PRUNE = 3600.0
SEEN = 7 * 86_400.0  # seconds that results of what people here ordered are kept for them

Effects: TypeAlias = list[Any]
Happening: TypeAlias = Callable[[float, float], Effects]


class Turns(Protocol):
    """Where decisions are taken: what is decided is written down, and carried out then."""

    def happened(self, happens: Happening, *, is_ours: bool = True) -> None: ...
    async def decided(self, happens: Happening) -> None: ...


class Engine(Protocol):
    """What carries runs out here, and gives orders. Each call decides within a turn, and answers
    the effects of what it has decided."""

    def start_run(self, order: Order, station: str, clock: float) -> Effects:
        """Once for each run, however often it is asked. Raises a Refusal if it cannot be."""

    def look_at_run(self, order: Order, clock: float) -> Over | None:
        """What has become of one that was begun: None while it goes on."""

    def steer_run(self, run: str, verb: Verb, by: str, clock: float) -> Effects: ...
    def peer_ended(self, order: Order, result: Over, clock: float) -> Effects:
        """The result of an order that a run here has given. May come more than once."""


@dataclass(eq=False)
class Line:
    """One socket. What is said waits for its turn, and never for the other end."""

    socket: Connection
    waiting: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    def say(self, message: Said) -> None:
        if self.waiting.qsize() >= WAITING:
            self.socket.transport.abort()
            return
        self.waiting.put_nowait(WORDS.write(message))

    async def speak(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                await self.socket.send(await self.waiting.get())

    async def listen(self, take: Callable[[Said], None]) -> None:
        free_at = time.monotonic()
        async for text in self.socket:
            message = WORDS.read(text)
            if message is not None:
                take(message)
            free_at = max(time.monotonic() - 1.0, free_at) + 1 / FASTEST
            await asyncio.sleep(max(0.0, free_at - time.monotonic()))

    async def carry(self, take: Callable[[Said], None]) -> None:
        """Until it ends; whoever says what cannot be understood is hung up on."""
        speaking = asyncio.create_task(self.speak())
        try:
            await self.listen(take)
        except BadFrame as error:
            log.warning("a peer is not understood", extra={"why": str(error)})
            await self.socket.close(1007, doors.short(str(error)))
        except ConnectionClosed:
            pass
        finally:
            speaking.cancel()
            with suppress(asyncio.CancelledError):
                await speaking


class Peers:
    def __init__(
        self,
        me: Self,
        ledger: PeerLedger,
        engine: Engine,
        directory: Directory,
        turns: Turns,
        object_to: Callable[[str, Order], taking.No | None] = taking.objects_to_nothing,
    ) -> None:
        self.me, self.ledger, self.engine = me, ledger, engine
        self.directory, self.turns = directory, turns
        self.asker = Asker(ledger)
        self.taker = Taker(ledger, object_to=object_to)
        self.out: dict[str, Line] = {}
        self.inward: dict[int, Line] = {}
        self.number = 0
        self.calls: dict[str, asyncio.Task[None]] = {}
        self.why: dict[str, str] = {}  # a peer is not reached
        self.news: dict[str, Json] = {}  # of orders, for people
        self.poked = asyncio.Event()
        self.changed = asyncio.Event()  # for whoever waits for a result
        self.prune_at = 0.0

    async def work(self) -> None:
        """Calls whom something is wanted of. Nothing is done while nothing is wanted."""
        self.turns.happened(lambda now, clock: [*self.asker.awake(), *self.taker.awake()])
        async with asyncio.TaskGroup() as group:
            while True:
                for peer in self.asker.awaited():
                    if peer not in self.calls:
                        self.calls[peer] = group.create_task(self.call(peer), name=f"peer {peer}")
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK if self.asker.awaited() else None):
                        await self.poked.wait()
                self.poked.clear()

    # Whoever gives orders here.

    def order(self, peer: str, order: Order, now: float) -> Effects:
        """Within a turn. Raises NoWay where it could never be."""
        if order.run not in self.ledger.asked:
            self.directory.check_type(peer, order.type)
        return [*self.asker.order(peer, order, now)]

    def wish(self, run: str, verb: Verb, now: float, clock: float) -> Effects:
        return [*self.asker.wish(run, verb, now, clock)]

    def ordered_by(self, attempt: str) -> Order | None:
        """What an attempt of a run here has ordered."""
        for asked in self.ledger.asked.values():
            if asked.order.parent.get("attempt") == attempt:
                return asked.order
        return None

    async def result(self, run: str) -> Over:
        """Of an order that was given here; waits for it."""
        while True:
            asked = self.ledger.asked.get(run)
            if asked is None:
                raise LookupError(f"no order {run[:80]!r} is known here")
            if asked.result is not None:
                return asked.result
            self.changed.clear()
            await self.changed.wait()

    # The engine.

    def told(self, run: str, news: Json) -> None:
        """Within a turn: it is said at the end of it."""
        self.taker.news(run, news)

    def ended(self, over: Over, now: float) -> Effects:
        """Within a turn. Of a run that no peer has ordered it is no news."""
        return [*self.taker.ended(over, now)]

    # In each turn, and after it.

    def tick(self, now: float, clock: float) -> Effects:
        if now >= self.prune_at:
            self.prune_at = now + PRUNE
            self.prune(clock)
        return [*self.asker.tick(now, clock), *self.taker.tick(now)]

    def prune(self, clock: float) -> None:
        self.taker.prune(clock)
        for asked in list(self.ledger.asked.values()):
            result = asked.result
            if result is not None and not asked.order.parent and result.at < clock - SEEN:
                self.asker.settled(asked.run)

    def carry_out(self, effect: asking.Effect | taking.Effect) -> None:
        """What is written down."""
        match effect:
            case asking.Say(peer, message):
                if peer in self.out:
                    self.out[peer].say(message)
            case asking.Call():
                self.poked.set()
            case asking.Tell(run, news):
                self.tell(run, news)
            case asking.Deliver(run, result):
                self.deliver(run, result)
            case taking.Say(line, message):
                if line in self.inward:
                    self.inward[line].say(message)
            case taking.Begin(order, station):
                self.turns.happened(lambda now, clock: self.begin(order, station, now, clock))
            case taking.Look(order):
                self.turns.happened(lambda now, clock: self.look_at(order, now, clock))
            case taking.Steer(run, verb):
                self.turns.happened(lambda now, clock: self.steer(run, verb, clock))
            case taking.Cut(line, why):
                self.cut(line, why)

    def tell(self, run: str, news: Json) -> None:
        if news.get("waiting") == Wait.GRANT.value:
            self.directory.wanted.set()
        self.news[run] = news
        self.changed.set()

    def deliver(self, run: str, result: Over) -> None:
        """A run that ordered it takes it at once; for people it is kept until they have seen it."""
        asked = self.ledger.asked.get(run)
        self.news.pop(run, None)
        self.changed.set()
        if asked is not None and asked.order.parent:
            self.turns.happened(lambda now, clock: self.hand_over(asked.order, result, clock))

    def hand_over(self, order: Order, result: Over, clock: float) -> Effects:
        effects = self.engine.peer_ended(order, result, clock)
        self.asker.settled(order.run)
        return effects

    def begin(self, order: Order, station: str, now: float, clock: float) -> Effects:
        try:
            effects = self.engine.start_run(order, station, clock)
        except (Refusal, ValueError, TypeError, KeyError) as error:  # it is a stranger's
            over = Over(order.run, REFUSED, clock, began=False, error=str(error))
            return [*self.taker.ended(over, now)]
        return [*effects, *self.taker.began(order.run)]

    def look_at(self, order: Order, now: float, clock: float) -> Effects:
        over = self.engine.look_at_run(order, clock)
        return [] if over is None else self.ended(over, now)

    def steer(self, run: str, verb: Verb, clock: float) -> Effects:
        given = self.ledger.given.get(run)
        if given is None or given.result is not None:
            return []
        return self.engine.steer_run(run, verb, f"workstation {given.station}", clock)

    def cut(self, line: int, why: str) -> None:
        if line in self.inward:
            log.info("a line of a peer is cut", extra={"why": why})
            self.inward.pop(line).socket.transport.abort()

    # Calling.

    async def call(self, peer: str) -> None:
        """While something is wanted of it, and a while longer."""
        windows = Windows()
        try:
            while peer in self.asker.awaited():
                began = time.monotonic()
                try:
                    await self.meet(peer)
                except (NoWay, Unreached, Refused) as error:
                    self.miss(peer, error)
                if time.monotonic() - began >= LASTING:
                    windows.succeeded(1.0)
                await asyncio.sleep(windows.next(time.monotonic()))
        finally:
            del self.calls[peer]

    def miss(self, peer: str, error: Exception) -> None:
        if isinstance(error, Refused):
            self.directory.wanted.set()  # its key, its address or our grant may be other ones now
        if self.why.get(peer) != str(error):
            log.warning("a peer is not reached", extra={"peer": peer, "why": str(error)})
        self.why[peer] = str(error)
        self.changed.set()

    async def meet(self, peer: str) -> None:
        found = self.directory.find(peer)
        token = self.directory.token(peer)

        def caller(nonce: str, binding: str) -> Caller:
            me = self.me
            return Caller(
                me.sign, me.name, token, name=peer, key=found.key, nonce=nonce, binding=binding
            )

        address = self.directory.address(found)
        socket, introduced = await doors.call(address, PEERS, caller)
        self.why.pop(peer, None)
        line = self.out[peer] = Line(socket)
        log.info("a peer is there", extra={"peer": peer})
        leaving = asyncio.create_task(self.leave(peer, line, token))
        try:
            self.turns.happened(
                lambda now, clock: self.connected(peer, line, introduced.lineage, now),
                is_ours=False,
            )
            await line.carry(lambda message: self.answered(peer, line, message))
        finally:
            leaving.cancel()
            del self.out[peer]
            self.asker.disconnect(peer)
            socket.transport.abort()
        if socket.close_code == doors.AWAY:
            raise Unreached(f"sent away: {socket.close_reason}")

    def connected(self, peer: str, line: Line, lineage: str, now: float) -> Effects:
        if self.out.get(peer) is not line:
            return []
        return [*self.asker.connect(peer, lineage, now)]

    async def leave(self, peer: str, line: Line, token: str) -> None:
        """Hangs up when nothing was wanted for a while, when there is no grant any more, or to come
        back with a newer one."""
        since = time.monotonic()
        while time.monotonic() - since < LINGER and not self.directory.has_other(peer, token):
            await asyncio.sleep(1.0)
            if peer in self.asker.awaited():
                since = time.monotonic()
        await line.socket.close()

    def answered(self, peer: str, line: Line, message: Said) -> None:
        def hear(now: float, clock: float) -> Effects:
            if self.out.get(peer) is not line:
                return []
            return [*self.asker.receive(peer, message, now)]

        self.turns.happened(hear, is_ours=False)

    # Being called.

    async def visit(self, socket: Connection, visitor: Visitor) -> None:
        grant = visitor.grant
        if self.taker.callers.is_shut_out(grant):
            await socket.close(doors.AWAY, f"{grant.station!r} was revoked")
            return
        self.number += 1
        number = self.number
        line = self.inward[number] = Line(socket)
        log.info("a peer has called", extra={"peer": grant.station})
        effects = self.taker.connect(number, grant, is_expired=visitor.is_expired)
        self.turns.happened(lambda now, clock: [*effects], is_ours=False)
        try:
            await line.carry(lambda message: self.asked(number, message))
        finally:
            self.inward.pop(number, None)
            self.taker.disconnect(number)

    def asked(self, number: int, message: Said) -> None:
        def hear(now: float, clock: float) -> Effects:
            return [*self.taker.receive(number, message, now, clock)]

        self.turns.happened(hear, is_ours=False)

    # For people.

    def status(self) -> Mapping[str, Any]:
        return {
            "orders": [self.shown(run) for run in self.ledger.asked],
            "given": [
                {
                    "run": each.run,
                    "type": each.order.type,
                    "from": each.station,
                    "ending": each.result.ending if each.result else None,
                }
                for each in self.ledger.given.values()
            ],
            "peers": self.shown_peers(),
        }

    def shown(self, run: str) -> Mapping[str, Any]:
        asked = self.ledger.asked[run]
        result = asked.result
        return {
            "run": run,
            "type": asked.order.type,
            "peer": asked.peer,
            "taken": asked.taken,
            "wanted": asked.wanted.value if asked.wanted else None,
            "news": self.news.get(run),
            "why": None if asked.peer in self.out else self.why.get(asked.peer),
            "ending": result.ending if result else None,
            "error": result.error if result else None,
            "output": result.output if result else None,
        }

    def shown_peers(self) -> Sequence[Mapping[str, Any]]:
        known = self.directory.known
        return [
            {
                "name": peer.name,
                "address": peer.address,
                "types": list(peer.types),
                "granted_until": known.grants[name].until if name in known.grants else None,
                "is_connected": name in self.out,
                "why": self.why.get(name),
            }
            for name, peer in sorted(known.peers.items())
        ]
