"""A server in this process, and workstations that speak with it over real connections.

The workstation is the pure agent with a book in memory; what it would carry out, a test says.
"""

import asyncio
import json
import time
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from psycopg import AsyncConnection
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from edge import identity, sealing, wire
from edge.agent.book import MemoryBook
from edge.agent.carriers.stream import PROTOCOL
from edge.agent.core import Agent, Cut, Effect, Erase, Profile, Rules, Say, SendLog, Spawn, Steer
from edge.gateway.gateway import Gateway
from edge.gateway.watch import Watch
from edge.messages import Ended, Frame, Have, Log, Message, Offer, Refusal
from edge.remote.office import Office
from scheduler.serve import WebServer, bind, web_config
from scheduler.services import signing, station_tokens
from scheduler.services.access import Role, create_token
from scheduler.services.keyring import Keys
from scheduler.settings import RemoteSettings, ServerSettings, Settings, WorkstationSettings
from scheduler.store import connections, station_access, workstations
from scheduler.store.rows import Row
from tests.support.waiting import patience, until

Conn = AsyncConnection[Any]
RULES = Rules(resend=0.5)


@dataclass
class Served:
    """A server, with a client of an admin."""

    url: str
    dsn: str
    keys: Keys
    gateway: Gateway
    office: Office
    api: httpx.AsyncClient
    conn: Conn
    patience: timedelta

    @property
    def folder(self) -> Path:
        assert self.keys.data_dir is not None
        return self.keys.data_dir

    @cached_property
    def watcher(self) -> Watch:
        """It remembers what it saw."""
        return Watch(
            self.gateway.catalog, self.gateway.say, patience=self.patience, settled=timedelta()
        )

    async def watch(self) -> int:
        """One look of the loop that judges what nobody speaks of."""
        async with await connections.connect(self.dsn, name="test watch", engine=True) as conn:
            return await self.watcher.tick(conn)

    async def is_seen(self, query: str, *values: Any, within: float = 30.0) -> Any:
        """What the query answers, once the loop has looked after its time has come."""
        async with asyncio.timeout(patience(within)):
            while True:
                await self.watch()
                if found := await self.one(query, *values):
                    return found
                await asyncio.sleep(0.01)

    async def silent(self, machine: "Machine", since: str) -> None:
        """Nothing was heard of it for so long, and the database was up all the while."""
        query = "select 1 from workstations where server is null and name = %s"
        await self.becomes(query, machine.name)
        await self.conn.execute(
            "update workstations set heard_at = clock_timestamp() - %s::interval where name = %s",
            [since, machine.name],
        )

    async def away(self, run: UUID) -> list[Row]:
        return await workstations.away(self.conn, [run])

    async def rows(self, query: str, *values: Any) -> list[Any]:
        cursor = await self.conn.execute(query, values)
        return list(await cursor.fetchall())

    async def one(self, query: str, *values: Any) -> Any:
        rows = await self.rows(query, *values)
        return rows[0][0] if rows else None

    async def becomes(self, query: str, *values: Any, within: float = 30.0) -> Any:
        """What the query answers, once that is something."""
        async with asyncio.timeout(patience(within)):
            while True:
                if found := await self.one(query, *values):
                    return found
                await asyncio.sleep(0.01)


@asynccontextmanager
async def a_server(
    dsn: str, folder: Path, remote: RemoteSettings | None = None, **settings: Any
) -> AsyncIterator[Served]:
    """Several may stand on one database."""
    given = Settings(
        data_dir=folder,
        server=ServerSettings(
            port=0,
            workstations=WorkstationSettings(**settings),
            remote=remote or RemoteSettings(),
        ),
    )
    keys = Keys(data_dir=folder)
    if not keys.load().keys:
        keys.make()
    listening = bind("127.0.0.1", 0)
    web = WebServer(web_config(dsn, given, keys))
    serving = asyncio.create_task(web.serve(sockets=[listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        # Starting keeps this loop busy, in which a connection would be given up.
        await until(lambda: web.started or None)
        async with await connections.connect(dsn, name="test") as conn:
            token = await create_token(conn, f"admin of {url}", Role.ADMIN)
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(
                base_url=f"{url}/api/v1", headers=headers, timeout=30
            ) as api:
                app = web.config.app
                assert isinstance(app, FastAPI)
                accepts = given.server.workstations.accept_within
                gateway, office = app.state.gateway, app.state.office
                yield Served(url, dsn, keys, gateway, office, api, conn, accepts)
    finally:
        web.should_exit = True
        await serving


@dataclass
class Machine:
    """A workstation: its keys, its book, and what its runner has in hand."""

    name: str
    token: str
    key: Any
    sealing_key: Any
    slots: int = 2
    labels: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    lineage: str = ""
    objects: str = ""  # why its owner allows nothing
    ahead: float = 0.0  # seconds that its clock is wrong
    works: bytes | None = None  # each command prints this and succeeds at once

    def __post_init__(self) -> None:
        self.book = MemoryBook(self.lineage or f"book of {self.name}")
        self.agent = self.awake()
        self.begun: list[Offer] = []
        self.steered: list[tuple[str, str]] = []
        self.printed: dict[str, bytes] = {}
        self.unsaid: list[Message] = []  # until the next poll
        self.said: list[str] = []  # every frame as it went over the wire, both ways
        self.news = asyncio.Event()

    def awake(self) -> Agent:
        profile = Profile(slots=self.slots, labels=self.labels, facts=self.facts)
        return Agent(self.book, profile, RULES, self.object_to)

    def object_to(self, offer: Offer) -> tuple[Refusal, str] | None:
        return (Refusal.POLICY, self.objects) if self.objects else None

    @property
    def clock(self) -> float:
        return time.time() + self.ahead

    def restart(self) -> None:
        """It forgets what is not in its book; what runs goes on."""
        self.agent = self.awake()
        self.agent.awake([each.attempt for each in self.begun])

    # What its runner does.

    def carry_out(self, effects: Sequence[Effect]) -> list[Message]:
        said: list[Message] = []
        for each in effects:
            match each:
                case Say(message):
                    said.append(message)
                case Spawn(offer):
                    self.begun.append(offer)
                    said += self.carry_out(self.agent.began(offer.attempt, 7, self.clock))
                    if self.works is not None:
                        self.print(offer.attempt, self.works)
                        self.end(offer.attempt)
                case Steer(attempt, verb):
                    self.steered.append((attempt, verb.value))
                case SendLog(attempt, offset, size, last):
                    data = self.printed[attempt][offset : offset + size]
                    said.append(Log(attempt, offset, data, zlib.crc32(data), last))
                case Erase() | Cut():
                    pass
        return said

    def print(self, attempt: str, data: bytes) -> None:
        self.printed[attempt] = self.printed.get(attempt, b"") + data
        self.agent.printed(attempt, len(self.printed[attempt]))

    def end(
        self, attempt: str, ending: str = "SUCCEEDED", at: float | None = None, **more: Any
    ) -> None:
        printed = len(self.printed.get(attempt, b""))
        more.setdefault("exit_code", 0 if ending == "SUCCEEDED" else 1)
        self.carry_out(
            self.agent.ended(Ended(attempt, ending, at or self.clock, printed=printed, **more))
        )

    async def until(self, condition: Callable[[], Any], *, within: float = 30.0) -> Any:
        return await until(condition, within=within)

    async def has_session(self) -> int:
        session: int = await self.until(lambda: self.agent.link and self.agent.link.session)
        return session

    async def has_begun(self, count: int = 1) -> Offer:
        await self.until(lambda: len(self.begun) >= count)
        return self.begun[count - 1]


async def a_machine(served: Served, name: str, **more: Any) -> Machine:
    """Known to the server and accepted, with a token that is good for a while."""
    folder = served.folder / name
    key, sealing_key = identity.make_key(folder / "key"), sealing.make_key(folder / "sealing")
    await served.conn.execute(
        """
        insert into workstations (name, state, public_key, sealing_key, created_by)
        values (%s, 'ACCEPTED', %s, %s, 'test')
        """,
        [name, identity.public(key), sealing.public(sealing_key)],
    )
    machine = Machine(name, "", key, sealing_key, **more)
    machine.token = await a_token(served, name)
    return machine


async def a_token(served: Served, name: str) -> str:
    key = await signing.key(served.conn, served.keys)
    row = await station_access.admitted(served.conn, name)
    assert row is not None
    return station_tokens.issued(key, row).token


class Died(Exception):
    """The connection is cut before this is heard."""


class Line:
    """A connection of a machine: it carries frames both ways until it is cut."""

    def __init__(self, machine: Machine, socket: Connection) -> None:
        self.machine, self.socket = machine, socket
        self.got: list[Message] = []
        self.dies: Callable[[Message], bool] = lambda message: False
        self.closed: tuple[int, str] | None = None

    async def say(self, effects: Sequence[Effect]) -> None:
        messages = self.machine.carry_out(effects)
        if any(map(self.dies, messages)):
            raise Died
        if messages:
            link = self.machine.agent.link
            text = wire.encode(Frame(link.session if link else 0, tuple(messages)))
            self.machine.said.append(text)
            await self.socket.send(text)

    async def go_on(self) -> None:
        """Whatever comes is taken, and whatever follows is said; the clock runs as it does."""
        agent = self.machine.agent
        try:
            await self.say(agent.connect(time.monotonic(), self.machine.clock))
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await self.take(await self.socket.recv())
                await self.say(agent.tick(time.monotonic(), self.machine.clock))
        except Died:
            self.socket.transport.abort()
            self.closed = (1006, "")
        except ConnectionClosed as closed:
            received = closed.rcvd
            self.closed = (received.code, received.reason) if received else (1006, "")

    async def take(self, text: str | bytes) -> None:
        assert isinstance(text, str)
        self.machine.said.append(text)
        frame = wire.decode(text)
        if any(map(self.dies, frame.messages)):
            raise Died
        self.got += frame.messages
        await self.say(self.machine.agent.receive(frame, time.monotonic(), self.machine.clock))

    def haves(self) -> list[Have]:
        return [each for each in self.got if isinstance(each, Have)]


@asynccontextmanager
async def a_line(
    served: Served, machine: Machine, *, dies: Callable[[Message], bool] = lambda message: False
) -> AsyncIterator[Line]:
    async with connect(
        f"ws{served.url[4:]}/api/v1/workstations/{machine.name}/stream",
        additional_headers={"Authorization": f"Bearer {machine.token}"},
        subprotocols=[PROTOCOL],
        proxy=None,
        ping_interval=None,
    ) as socket:
        line = Line(machine, socket)
        line.dies = dies
        going = asyncio.create_task(line.go_on())
        try:
            yield line
        finally:
            machine.agent.disconnect()
            going.cancel()
            with suppress(asyncio.CancelledError):
                await going


async def poll(served: Served, machine: Machine, *, fresh: bool = False) -> list[Message]:
    """One call: all that waits is said, all that waits is taken."""
    agent, now = machine.agent, time.monotonic()
    if fresh or agent.link is None:
        machine.unsaid = []
        effects = agent.connect(now, time.time())
    else:
        effects = agent.tick(now, time.time())
    messages = [*machine.unsaid, *machine.carry_out(effects)]
    text = wire.encode(Frame(agent.link.session if agent.link else 0, tuple(messages)))
    answer = await served.api.post(
        f"/workstations/{machine.name}/sync",
        content=text,
        headers={"Authorization": f"Bearer {machine.token}", "Content-Type": "application/json"},
    )
    assert answer.status_code == 200, answer.text
    machine.said += [text, answer.text]
    frame = wire.decode(answer.text)
    machine.unsaid = machine.carry_out(agent.receive(frame, time.monotonic(), time.time()))
    return list(frame.messages)


def is_in_clear(machine: Machine, secret: str) -> bool:
    return any(secret in text or json.dumps(secret)[1:-1] in text for text in machine.said)
