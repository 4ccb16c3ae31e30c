"""Which workstations can be called, and what lets us in there: heard from the server while it can
be reached, and kept for when it cannot.

A grant is of use to nobody but us: whoever shows it has to prove our key.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from edge.agent.peering import allows
from edge.agent.store import DiskBook, NoRoom
from edge.agent.tokens import Tokens
from edge.agent.web import Unanswered, Web
from edge.doors import Address, read_address
from edge.identity import BadProof, read_signed

log = logging.getLogger(__name__)

FACT = "directory"
FRESH = 600.0  # seconds until the server is asked again
SOON = 20.0  # seconds that lie between two questions at least
RENEW = 0.5  # of its life, after which a grant is fetched anew
MOST = 1_000


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    address: str
    key: str
    types: tuple[str, ...] = ()  # that we may start there


@dataclass(frozen=True, slots=True)
class Held:
    """A grant that was fetched."""

    token: str
    types: tuple[str, ...]
    since: float
    until: float

    @property
    def due(self) -> float:
        return self.since + (self.until - self.since) * RENEW

    def is_due(self, clock: float) -> bool:
        return clock > self.due


@dataclass(frozen=True, slots=True)
class Known:
    peers: Mapping[str, Peer] = field(default_factory=dict)
    grants: Mapping[str, Held] = field(default_factory=dict)
    at: float = 0.0


class NoWay(Exception):
    """There is no way to this peer for now, or none at all: says why, and what to do."""

    def __init__(self, why: str, remedy: str = "") -> None:
        self.why, self.remedy = why, remedy
        super().__init__(f"{why}: {remedy}" if remedy else why)


class Server(Protocol):
    """Who is asked, with our own token."""

    async def peers(self) -> Sequence[Mapping[str, Any]]: ...
    async def grant(self, peer: str, types: Sequence[str]) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class OverWeb:
    web: Web
    tokens: Tokens

    @property
    def path(self) -> str:
        return f"/api/v1/workstations/{self.tokens.name}"

    async def peers(self) -> Sequence[Mapping[str, Any]]:
        answer = await self.web.ask("GET", f"{self.path}/peers", token=await self.tokens.get())
        found: Sequence[Mapping[str, Any]] = answer.json()["items"]
        return found

    async def grant(self, peer: str, types: Sequence[str]) -> Mapping[str, Any]:
        told = {"peer": peer, "types": list(types)}
        token = await self.tokens.get()
        answer = await self.web.tell(f"{self.path}/grants", told, token=token)
        found: Mapping[str, Any] = answer.json()
        return found


class Directory:
    def __init__(
        self,
        book: DiskBook,
        server: Server,
        server_key: Callable[[], str],
        heard: Callable[[], None] = lambda: None,
        key: Callable[[], str] | None = None,
    ) -> None:
        self.book, self.server, self.server_key = book, server, server_key
        self.heard = heard  # whoever wants to know
        self.key = key  # ours, which every grant names
        self.known = read(book)
        self.wanted = asyncio.Event()
        self.why = ""  # the server was not heard the last time

    # What is known.

    def find(self, name: str) -> Peer:
        peer = self.known.peers.get(name)
        if peer is None:
            self.wanted.set()
            there = ", ".join(sorted(self.known.peers)[:10]) or "none"
            raise NoWay(
                f"no workstation {name[:80]!r} is known that can be called; there are: {there}",
                "give it an address on the server, which this workstation has to reach once",
            )
        return peer

    def address(self, peer: Peer) -> Address:
        try:
            return read_address(peer.address)
        except ValueError as error:
            raise NoWay(f"the address of {peer.name!r}: {error}", "correct it there") from None

    def token(self, name: str) -> str:
        """What is shown at a peer, though it may have expired: what it has begun, it tells all the
        same."""
        held = self.known.grants.get(name)
        if held is None or time.time() > held.until:
            self.wanted.set()
        if held is None:
            raise NoWay(
                f"nothing lets this workstation start anything at {name!r}",
                "an admin can allow it on the server, which this workstation has to reach once",
            )
        return held.token

    def has_other(self, name: str, token: str) -> bool:
        """A newer one, or none any more."""
        held = self.known.grants.get(name)
        return held is None or held.token != token

    def check_type(self, name: str, type: str) -> None:
        """Said at once, and not when the peer is reached."""
        peer = self.find(name)
        if not allows(peer.types, type):
            self.wanted.set()
            may = ", ".join(peer.types) or "nothing"
            raise NoWay(
                f"this workstation may start {may} at {name!r}, and not {type[:80]!r}",
                f"an admin can allow it: `procession workstation allow OURS {name} --type {type}`",
            )

    # What is asked.

    async def work(self) -> None:
        while True:
            self.wanted.clear()
            try:
                await self.refresh()
                self.why = ""
            except (Unanswered, LookupError, TypeError, ValueError, NoRoom) as error:
                self.why = str(error)
                log.debug("the directory was not renewed", extra={"why": self.why})
            await asyncio.sleep(SOON)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.patience()):
                    await self.wanted.wait()

    def patience(self) -> float:
        """Until the server is asked again: before any grant is too old."""
        if self.why:
            return SOON
        clock, peers = time.time(), self.known.peers
        let_in = [each for name, each in self.known.grants.items() if peers[name].types]
        return max(SOON, min([FRESH, *(each.due - clock for each in let_in)]))

    def shut_out(self) -> None:
        """This workstation was revoked: it has nothing to say to others any more."""
        if self.known.grants:
            log.error("this workstation was revoked: its grants are gone")
            try:
                self.keep(replace(self.known, grants={}))
            except NoRoom:
                self.known = replace(self.known, grants={})

    async def refresh(self) -> None:
        told = (await self.server.peers())[:MOST]
        peers = {each.name: each for each in map(read_peer, told)}
        grants = {name: held for name, held in self.known.grants.items() if name in peers}
        for peer in peers.values():
            held, clock = grants.get(peer.name), time.time()
            # Of one where nothing may be started any more the old one is kept: it still tells us
            # there what has become of our orders.
            if peer.types and self.is_wanting(held, peer, clock):
                grants[peer.name] = await self.fetch(peer, clock)
        self.keep(Known(peers, grants, time.time()))

    def is_wanting(self, held: Held | None, peer: Peer, clock: float) -> bool:
        """A grant that is not there, not for this, soon over, or of a key that we had before."""
        if held is None or held.types != peer.types or held.is_due(clock):
            return True
        if self.key is None:
            return False
        try:
            return read_signed(self.server_key(), held.token).key != self.key()
        except BadProof:
            return True

    async def fetch(self, peer: Peer, clock: float) -> Held:
        told = await self.server.grant(peer.name, peer.types)
        token = str(told["token"])
        try:
            grant = read_signed(self.server_key(), token)
        except BadProof as error:
            raise Unanswered(f"the grant for {peer.name!r} is not the server's: {error}") from None
        return Held(token, grant.types, clock, grant.until)

    def keep(self, known: Known) -> None:
        if known != self.known:
            self.book.put(FACT, json.dumps(asdict(known)))
            self.book.commit()
            self.known = known
            self.heard()


def read(book: DiskBook) -> Known:
    found = book.db.execute("select value from facts where name = ?", (FACT,)).fetchone()
    if found is None:
        return Known()
    told = json.loads(found[0])
    peers = {name: read_peer(each) for name, each in told["peers"].items()}
    grants = {
        name: Held(each["token"], tuple(each["types"]), each["since"], each["until"])
        for name, each in told["grants"].items()
    }
    return Known(peers, grants, told["at"])


def read_peer(told: Mapping[str, Any]) -> Peer:
    key = told["key"] if "key" in told else told["public_key"]
    types = tuple(str(each) for each in told.get("types") or ())
    return Peer(str(told["name"]), str(told["address"]), str(key), types)
