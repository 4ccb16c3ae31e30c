"""Workstations that call each other over real sockets, with books on a disk and no server."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge import identity, knocking
from edge.agent import certificate
from edge.agent.directory import Directory
from edge.agent.listener import Listener, Listening
from edge.agent.peer_ledger import PeerLedger
from edge.agent.peering import Order, Over
from edge.agent.peers import Effects, Happening, Peers
from edge.agent.store import DiskBook
from edge.agent.web import Unanswered
from edge.doors import PEERS
from edge.identity import Grant
from edge.knocking import Self
from edge.messages import Verb
from scheduler.domain.errors import Invalid


@dataclass
class Bench:
    """Carries runs out: they end when a test says so. It outlives the agent."""

    begun: dict[str, Order] = field(default_factory=dict)
    over: dict[str, Over] = field(default_factory=dict)
    steered: list[tuple[str, Verb]] = field(default_factory=list)
    results: list[tuple[Order, Over]] = field(default_factory=list)

    def start_run(self, order: Order, station: str, clock: float) -> Effects:
        if order.type == "unknown":
            raise Invalid("the process type unknown is not on this workstation")
        self.begun.setdefault(order.run, order)
        return []

    def look_at_run(self, order: Order, clock: float) -> Over | None:
        return self.over.get(order.run)

    def steer_run(self, run: str, verb: Verb, by: str, clock: float) -> Effects:
        self.steered.append((run, verb))
        return []

    def peer_ended(self, order: Order, result: Over, clock: float) -> Effects:
        self.results.append((order, result))
        return []


@dataclass
class Turns:
    """One decision after the other, as the agent takes them."""

    book: DiskBook
    peers: Peers | None = None
    waiting: list[Happening] = field(default_factory=list)
    poked: asyncio.Event = field(default_factory=asyncio.Event)

    def happened(self, happens: Happening, *, is_ours: bool = True) -> None:
        self.waiting.append(happens)
        self.poked.set()

    async def decided(self, happens: Happening) -> None:
        self.decide(happens)

    def decide(self, *happenings: Happening) -> None:
        assert self.peers is not None
        now, clock = time.monotonic(), time.time()
        effects = [each for happens in happenings for each in happens(now, clock)]
        self.book.commit()
        for each in effects:
            self.peers.carry_out(each)

    async def work(self) -> None:
        assert self.peers is not None
        while True:
            waiting, self.waiting = self.waiting, []
            self.decide(*waiting, self.peers.tick)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self.poked.wait()
            self.poked.clear()


@dataclass
class Hall:
    """Stands for the server before it went away: it signs grants, and names addresses."""

    signs: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    stations: dict[str, "Station"] = field(default_factory=dict)
    is_there: bool = True

    @property
    def key(self) -> str:
        return identity.public(self.signs)


@dataclass
class Away:
    """What the hall tells one of its stations."""

    hall: Hall
    station: "Station"

    async def peers(self) -> Sequence[Mapping[str, Any]]:
        if not self.hall.is_there:
            raise Unanswered("nobody answers")
        allowed = self.station.allowed
        return [
            {
                "name": name,
                "address": each.address,
                "public_key": identity.public(each.key),
                "types": list(allowed.get(name, ())),
            }
            for name, each in self.hall.stations.items()
            if name != self.station.name
        ]

    async def grant(self, peer: str, types: Sequence[str]) -> Mapping[str, Any]:
        until = time.time() + self.station.granted_for
        key = identity.public(self.station.key)
        grant = Grant(self.station.name, peer, until, types=tuple(types), key=key)
        return {"token": identity.issue(self.hall.signs, grant)}


class Station:
    def __init__(self, hall: Hall, name: str, folder: Path, *, is_secure: bool = True) -> None:
        self.hall, self.name, self.folder, self.is_secure = hall, name, folder, is_secure
        self.key = Ed25519PrivateKey.generate()
        self.bench = Bench()
        self.port = 0
        self.allowed: dict[str, tuple[str, ...]] = {}
        self.granted_for = 3600.0
        self.tasks: list[asyncio.Task[None]] = []
        hall.stations[name] = self

    @property
    def address(self) -> str:
        return f"{'wss' if self.is_secure else 'ws'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.book = DiskBook(self.folder / self.name / "book.db")
        self.turns = Turns(self.book)
        server_key = self.hall.key
        me = Self(self.name, self.book.lineage, knocking.signer(self.key), lambda: server_key)
        self.directory = Directory(self.book, Away(self.hall, self), lambda: server_key)
        ledger = PeerLedger(self.book)
        self.peers = Peers(me, ledger, self.bench, self.directory, self.turns)
        self.turns.peers = self.peers
        self.listener = Listener(self.listening(), me, {PEERS: self.peers.visit})
        self.port = await self.listener.open()
        works = (self.peers.work(), self.turns.work(), self.directory.work())
        self.tasks = [asyncio.create_task(each) for each in works]

    def listening(self) -> Listening:
        if not self.is_secure:
            return Listening("127.0.0.1", self.port)
        path = certificate.made(self.folder / self.name / "certificate.pem", self.name)
        return Listening("127.0.0.1", self.port, path)

    async def stop(self) -> None:
        """As a crash would: nothing is told to anybody."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.listener.close()
        self.book.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def hears(self) -> None:
        await self.directory.refresh()

    def order(self, peer: str, order: Order) -> None:
        self.turns.decide(lambda now, clock: self.peers.order(peer, order, now))

    def ends(self, run: str, *, output: Any = None) -> None:
        over = Over(run, "SUCCEEDED", time.time(), output=output)
        self.bench.over[run] = over
        self.turns.decide(lambda now, clock: self.peers.ended(over, now))

    def result(self, run: str) -> Over | None:
        asked = self.peers.ledger.asked.get(run)
        return asked.result if asked else None


@asynccontextmanager
async def two_stations(folder: Path, *, is_secure: bool = True) -> AsyncIterator[tuple[Any, Any]]:
    """The saw may start `press` at the press; the server that said so has gone."""
    hall = Hall()
    saw = Station(hall, "saw", folder, is_secure=is_secure)
    press = Station(hall, "press", folder, is_secure=is_secure)
    saw.allowed = {"press": ("press", "unknown")}
    await press.start()
    await saw.start()
    try:
        await saw.hears()
        hall.is_there = False
        yield saw, press
    finally:
        await saw.stop()
        await press.stop()
