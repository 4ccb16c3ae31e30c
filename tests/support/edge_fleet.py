"""Many agents in one process: pure cores on the real carriers, each with a connection of its own.

What they are given they carry out at once, and only in their heads.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from edge import identity, sealing
from edge.agent import packing
from edge.agent.backoff import Windows
from edge.agent.book import MemoryBook
from edge.agent.carriers import Line
from edge.agent.carriers.baton import Baton
from edge.agent.core import Agent, Cut, Effect, Profile, Say, Spawn
from edge.agent.home import Carrier, Home
from edge.agent.keys import KeyRing
from edge.agent.tokens import Tokens
from edge.agent.web import Web
from edge.messages import Ended, Frame, Message

TICK = 1.0  # seconds between two looks at one agent
AT_ONCE = 16  # that join at the same time


@dataclass(frozen=True, slots=True)
class Joined:
    """What an agent knows of itself and its server."""

    name: str
    server: str
    server_key: str
    home: Home


class Noting(Windows):
    """Remembers when each try was to be. The same agent is as lucky each time."""

    def __init__(self, name: str) -> None:
        super().__init__(random.Random(name))
        self.tries: list[float] = []

    def next(self, now: float) -> float:
        wait = super().next(now)
        self.tries.append(now + wait)
        return wait


class Simulated:
    """One agent. To its carriers it is what a whole program is."""

    def __init__(self, joined: Joined, carrier: Carrier = "stream") -> None:
        self.name = joined.name
        self.core = Agent(MemoryBook(f"book of {joined.name}"), Profile(slots=1))
        self.web = Web(joined.server)
        tokens = Tokens(self.web, joined.name, KeyRing(joined.home), joined.server_key)
        self.baton = Baton(carrier, self.web, tokens, self)
        self.windows = self.baton.windows = Noting(joined.name)
        self.line: Line | None = None
        self.opened_at: list[float] = []
        self.begun: list[tuple[str, float]] = []  # and when

    @property
    def is_connected(self) -> bool:
        return self.core.link is not None and self.core.link.session > 0

    def opened(self, line: Line) -> None:
        self.line = line
        self.opened_at.append(time.monotonic())
        self.carry_out(self.core.connect(time.monotonic(), time.time()))

    def heard(self, line: Line, frame: Frame) -> None:
        if self.line is not line:
            return
        self.baton.heard(frame)
        self.carry_out(self.core.receive(frame, time.monotonic(), time.time()))

    def lost(self, line: Line, why: str) -> None:
        if self.line is line:
            self.line = None
            self.core.disconnect()

    def nothing(self) -> str:
        return packing.frame(self.core.link.session if self.core.link else 0, [])

    def tick(self) -> None:
        self.carry_out(self.core.tick(time.monotonic(), time.time()))

    def carry_out(self, effects: Sequence[Effect]) -> None:
        said: list[Message] = []
        for effect in effects:
            match effect:
                case Say(message):
                    said.append(message)
                case Spawn(offer):
                    self.begun.append((offer.attempt, time.time()))
                    self.core.began(offer.attempt, 1, time.time())
                    self.core.ended(Ended(offer.attempt, "SUCCEEDED", time.time(), exit_code=0))
                case Cut(why, fenced):
                    self.cut(why, fenced=fenced)
        if said and self.line is not None:
            session = self.core.link.session if self.core.link else 0
            self.line.say(packing.texts(session, said))

    def cut(self, why: str, *, fenced: bool) -> None:
        if fenced:
            self.baton.fence()
        if self.line is not None:
            self.line.cut(why)


@dataclass
class Fleet:
    group: asyncio.TaskGroup
    carrier: Carrier = "stream"
    agents: list[Simulated] = field(default_factory=list)
    working: list[asyncio.Task[None]] = field(default_factory=list)

    def add(self, joined: Sequence[Joined]) -> None:
        for each in joined:
            self.agents.append(agent := Simulated(each, self.carrier))
            self.working.append(self.group.create_task(agent.baton.work()))

    def connected(self) -> int:
        return sum(each.is_connected for each in self.agents)

    def opened_since(self, moment: float) -> list[float]:
        return sorted(at for each in self.agents for at in each.opened_at if at >= moment)

    def tries_since(self, moment: float) -> list[float]:
        now = time.monotonic()
        return sorted(at for each in self.agents for at in each.windows.tries if moment <= at < now)

    async def tick(self) -> None:
        """Each once in a while, and never all at one moment."""
        while True:
            for number, agent in enumerate(list(self.agents)):
                agent.tick()
                if number % 50 == 0:
                    await asyncio.sleep(TICK * 50 / max(50, len(self.agents)))


def most_in_a_second(moments: Sequence[float]) -> int:
    """Of moments in their order: the most that lie within one second."""
    first = most = 0
    for number, moment in enumerate(moments):
        while moment - moments[first] >= 1.0:
            first += 1
        most = max(most, number - first + 1)
    return most


async def join(
    server: str, token: str, count: int, folder: Path, *, first: int = 0
) -> list[Joined]:
    """Over HTTP, as agents do. `token` is an admin's."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=f"{server}/api/v1", headers=headers, timeout=60, trust_env=False
    ) as api:
        answer = await api.post("/workstations", json={"count": count})
        answer.raise_for_status()
        word, gate = answer.json()["token"], asyncio.Semaphore(AT_ONCE)
        key = sealing.public(sealing.make_key(folder / f"sealing-{first}.pem"))

        async def one(number: int) -> Joined:
            async with gate:
                return await enrolled(api, server, word, f"sim-{number}", key, folder)

        numbers = range(first, first + count)
        return list(await asyncio.gather(*(one(number) for number in numbers)))


async def enrolled(
    api: httpx.AsyncClient, server: str, word: str, name: str, seal: str, folder: Path
) -> Joined:
    home = Home(folder / name)
    home.prepare()
    key = identity.make_key(home.key)
    told = {
        "token": word,
        "name": name,
        "public_key": identity.public(key),
        "sealing_key": seal,
        "hostname": name,
        "machine_id": "",
        "facts": {},
    }
    answer = await api.post("/workstations/enrol", json=told)
    assert answer.is_success, answer.text
    return Joined(name, server, str(answer.json()["server_key"]), home)


@asynccontextmanager
async def a_fleet(joined: Sequence[Joined], carrier: Carrier = "stream") -> AsyncIterator[Fleet]:
    async with asyncio.TaskGroup() as group:
        fleet = Fleet(group, carrier)
        try:
            fleet.add(joined)
            fleet.working.append(group.create_task(fleet.tick()))
            yield fleet
            for each in fleet.working:
                each.cancel()
        finally:
            for agent in fleet.agents:
                agent.web.close()
