"""The agent among others: where it listens, whom it orders from, and what it carries out for them.

Loaded with the agent, but for the listener and the engine, which come when they are needed.
"""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from edge import knocking
from edge.agent import callers, taking
from edge.agent.asking import OtherOrder
from edge.agent.callers import Callers
from edge.agent.core import Effect
from edge.agent.directory import Directory, NoWay, OverWeb
from edge.agent.home import Config
from edge.agent.local import Given, Refused, text
from edge.agent.peer_ledger import PeerLedger
from edge.agent.peering import LOST, STEERING, STOPPED, Order, Over, Wait, is_run
from edge.agent.peers import Effects, Peers, Turns
from edge.agent.store import DiskBook
from edge.messages import Ended, Stock, Verb
from scheduler.domain import ids

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from edge.agent.listener import Listener, Listening
    from edge.agent.micro.engine import Engine, Send
    from edge.agent.micro.engine import Over as RunOver
    from edge.agent.program import Program
    from edge.knocking import Visitor

CERTIFICATE = "certificate.pem"
CALLERS = "callers"
BUSY = 4409
HERE = "the workstation"  # who orders, where nobody says a name
NEWS = 0.5  # seconds between two looks at how far runs are that peers wait for


class Company:
    def __init__(self, program: "Program") -> None:
        self.program = program
        self.me = knocking.Self(
            program.config.name,
            program.book.lineage,
            program.ring.sign,
            lambda: program.config.server_key,
        )
        server = OverWeb(program.web, program.tokens)
        self.directory = Directory(
            program.book,
            server,
            self.me.server_key,
            self.heard,
            lambda: program.ring.public,
        )
        turns = cast("Turns", program)
        ledger = PeerLedger(program.book)
        self.peers = Peers(self.me, ledger, self, self.directory, turns, self.object_to)
        self.peers.taker.callers = known_callers(program.book)
        program.tokens.shut_out = self.directory.shut_out
        self.told_peers = ""  # of those that may be called, as of the latest stock
        self.pending: Effects = []
        self.news_at = 0.0
        self.told: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self.listener: Listener | None = None
        program.runs.sent, program.runs.over = self.sent, self.over
        program.core.on_stock = self.stocked
        self.heard()
        self.add_verbs()

    @property
    def engine(self) -> "Engine":
        return self.program.runs.engine

    def heard(self) -> None:
        """Whom a run may ask from here."""
        names = self.program.known_peers = frozenset(self.directory.known.peers)
        if self.program.runs.loaded is not None:
            self.engine.here = replace(self.engine.here, peers=names)

    def stocked(self, stock: Stock, clock: float) -> list[Effect]:
        """Within a turn: what the server says of others comes with what it says of our own."""
        text = callers.written(stock, self.peers.taker.callers)
        self.program.book.put(CALLERS, text)
        self.pending += self.peers.taker.told(callers.read(text))
        if stock.peers != self.told_peers:
            self.told_peers = stock.peers
            self.ask_anew()
        return self.program.runs.stocked(stock, clock)

    def ask_anew(self) -> None:
        """Each of all that were told the same at a moment of its own."""
        wait = random.random() * self.program.baton.windows.first
        asyncio.get_running_loop().call_later(wait, self.directory.wanted.set)

    # Where it listens.

    async def open(self) -> None:
        listening = listening_of(self.program.config, self.program.home.path)
        if listening is None:
            return
        from edge.agent.listener import Listener
        from edge.doors import PEERS, STREAM

        guests = {PEERS: self.peers.visit, STREAM: self.called}
        self.listener = Listener(listening, self.me, guests)
        await self.listener.open()

    async def close(self) -> None:
        if self.listener is not None:
            await self.listener.close()

    async def called(self, socket: "ServerConnection", visitor: "Visitor") -> None:
        """By the server: what is said is the same as when we call it, of which one is enough."""
        if self.program.line is not None and self.program.config.carrier != "called":
            await socket.close(BUSY, "this workstation has called by itself")
            return
        from edge.agent.carriers import stream

        await stream.carry(stream.Stream(socket, "stream"), self.program)

    # In each turn of the agent.

    def tick(self, now: float, clock: float) -> Effects:
        if now >= self.news_at and self.peers.inward:
            self.news_at = now + NEWS
            self.tell_news()
        pending, self.pending = self.pending, []
        return [*pending, *self.peers.tick(now, clock)]

    def forget(self) -> None:
        """What could not be written was not decided."""
        self.pending.clear()

    def tell_news(self) -> None:
        """How far runs are that peers wait for: said when it has changed, on each line anew."""
        told: dict[str, tuple[int, Mapping[str, Any]]] = {}
        for given in self.peers.ledger.given.values():
            line = self.peers.taker.line_of(given.station)
            if line is None or given.result is not None or not given.begun:
                continue
            told[given.run] = said = (line, self.news_of(given.run))
            if self.told.get(given.run) != said:
                self.peers.told(given.run, said[1])
        self.told = told

    def news_of(self, run: str) -> Mapping[str, Any]:
        case = self.engine.ledger.load(UUID(run))
        if case is None:
            return {}
        summary = self.engine.summary(case)
        return {name: summary[name] for name in ("state", "task", "text", "over", "total")}

    def carry_out(self, effect: Any) -> None:
        self.peers.carry_out(effect)

    # What runs here order of others.

    def sent(self, send: "Send") -> None:
        """Within a turn. The same attempt orders the same run, however often it is begun."""
        if self.peers.ordered_by(send.attempt) is not None:
            return
        call = send.call
        order = Order(
            str(ids.new_id()),
            str(call["type"]),
            call.get("input") or {},
            by=f"{self.me.name}, run {send.attempt.partition('/')[0]}",
            parent={"attempt": send.attempt, "station": self.me.name},
            start_before=send.start_before,
            version=call.get("version"),
            labels=call.get("labels") or {},
        )
        try:
            self.pending += self.peers.order(send.station, order, time.monotonic())
        except NoWay as error:
            over = Over(order.run, "REFUSED", time.time(), began=False, error=str(error))
            self.program.happened(lambda now, clock: self.peer_ended(order, over, clock))

    def steer(self, attempt: str, verb: Verb) -> bool:
        """False if the attempt has ordered nothing of a peer."""
        order = self.peers.ordered_by(attempt)
        if order is None:
            return False
        self.program.happened(lambda now, clock: self.peers.wish(order.run, verb, now, clock))
        return True

    def peer_ended(self, order: Order, result: Over, clock: float) -> Effects:
        ended = ended_of(order, result, clock)
        return [*self.program.runs.ended(ended, clock)]

    # What is carried out here for others.

    def object_to(self, station: str, order: Order) -> taking.No | None:
        shut = self.program.book.shut
        if shut.draining:
            return taking.No(shut.why or "it takes no new work", Wait.DRAINING)
        if unfit := self.program.core.unfit:
            return taking.No(unfit, Wait.DRAINING)
        if self.program.full:
            return taking.No(self.program.full, Wait.BUSY)
        return None

    def start_run(self, order: Order, station: str, clock: float) -> Effects:
        by = f"workstation {station}" + (f": {order.by}" if order.by else "")
        self.engine.start(
            order.type,
            order.input,
            at(clock),
            by=by,
            version=order.version,
            labels={name: str(value) for name, value in order.labels.items()},
            run=UUID(order.run),
        )
        return [*self.program.runs.do(self.engine.effects)]

    def look_at_run(self, order: Order, clock: float) -> Over | None:
        from edge.agent.micro import starting

        case = self.engine.ledger.load(UUID(order.run))
        if case is None:
            why = "the workstation does not know it any more"
            return Over(order.run, LOST, clock, error=why)
        if not case.run.state.is_final:
            return None
        return over_of(order.run, starting.ending(case), clock)

    def steer_run(self, run: str, verb: Verb, by: str, clock: float) -> Effects:
        return [*self.program.runs.do(self.engine.obey(UUID(run), verb, at(clock), by=by))]

    def over(self, over: "RunOver") -> None:
        """Within a turn."""
        result = over_of(str(over.run), over.outcome, time.time())
        self.pending += self.peers.ended(result, time.monotonic())

    # Whoever asks on the machine.

    def add_verbs(self) -> None:
        verbs = self.program.verbs
        verbs.add("order", self.order)
        verbs.add("orders", lambda given: self.peers.status())
        verbs.add("wait-order", self.wait)
        for verb in sorted(STEERING):
            verbs.add(f"{verb.value}-order", self.wishing(verb))

    async def order(self, given: Given) -> Mapping[str, Any]:
        peer, type = text(given, "on"), text(given, "type")
        run = text(given, "run", str(ids.new_id()))
        if not is_run(run):
            raise Refused(f"run: {run[:80]!r} is no UUID of version 7")
        input, version = given.get("input") or {}, given.get("version")
        if not isinstance(input, dict) or not isinstance(version, int | None):
            raise Refused("input: an object is due, and of version a number")
        order = Order(run, type, input, text(given, "by", HERE), version=version)

        def act(now: float, clock: float) -> Effects:
            if unfit := self.program.core.unfit:
                raise Refused(f"this workstation takes no new work: {unfit}")
            try:
                return self.peers.order(peer, order, now)
            except NoWay as error:
                raise Refused(error.why, error.remedy) from None
            except OtherOrder as error:
                raise Refused(str(error), "give another --run") from None

        await self.program.decided(act)
        return {"run": run}

    async def wait(self, given: Given) -> Mapping[str, Any]:
        try:
            await self.peers.result(text(given, "run"))
        except LookupError as error:
            raise Refused(str(error), "`procession edge orders` lists them") from None
        return self.peers.shown(text(given, "run"))

    def wishing(self, verb: Verb) -> Callable[[Given], Awaitable[None]]:
        async def wish(given: Given) -> None:
            run = text(given, "run")
            if run not in self.peers.ledger.asked:
                remedy = "`procession edge orders` lists them"
                raise Refused(f"no order {run[:80]!r} is known here", remedy)
            await self.program.decided(lambda now, clock: self.peers.wish(run, verb, now, clock))

        return wish

    def status(self) -> Mapping[str, Any]:
        told = self.peers.status()
        return {
            "listens": self.listener.place if self.listener else None,
            "peers": told["peers"],
            "ordered": len([each for each in told["orders"] if each["ending"] is None]),
            "ordered_here": len([each for each in told["given"] if each["ending"] is None]),
            "directory": self.directory.why or None,
        }


def known_callers(book: DiskBook) -> Callers:
    found = book.db.execute("select value from facts where name = ?", (CALLERS,)).fetchone()
    return callers.read(found[0]) if found else Callers()


def listening_of(config: Config, folder: Any) -> "Listening | None":
    if not config.listen:
        return None
    from edge.agent import certificate
    from edge.agent.listener import Listening, existing, read_listen

    host, port = read_listen(config.listen)
    if config.plain:
        return Listening(host, port)
    if config.certificate:
        return Listening(host, port, *existing(config.certificate, config.certificate_key))
    return Listening(host, port, certificate.made(folder / CERTIFICATE, config.name))


def ended_of(order: Order, result: Over, clock: float) -> Ended:
    """What an order came to, as the end of the attempt that had given it."""
    is_stopped = result.ending == STOPPED
    output = result.output if isinstance(result.output, Mapping) else {"run": order.run}
    return Ended(
        attempt=str(order.parent["attempt"]),
        ending=result.ending,
        at=clock,
        error=result.error,
        counted=result.began or not is_stopped,
        output=output,
        detail={"peer_run": order.run},
        retryable=result.began and not is_stopped and bool(result.detail.get("retryable", True)),
    )


def over_of(run: str, outcome: Any, clock: float) -> Over:
    output = None if outcome.output is None else json.loads(outcome.output)
    detail = {"retryable": outcome.retryable}
    return Over(run, outcome.ending.value, clock, output=output, error=outcome.error, detail=detail)


def at(clock: float) -> datetime:
    return datetime.fromtimestamp(clock, UTC)
