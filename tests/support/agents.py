"""Workstations of a test: agents as processes, each in a folder of its own, and cables to pull."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.agent import local
from tests.support.runners import is_dead, parent_of
from tests.support.system import PROCESSION, Asking, System, arguments_of, clean_environment, pids
from tests.support.waiting import patience, until

Json = dict[str, Any]
SHELL = "/bin/sh"


@dataclass
class Station:
    system: System
    name: str
    server: str  # where it finds the server
    home: Path
    process: asyncio.subprocess.Process | None = None
    environment: Mapping[str, str] = field(default_factory=clean_environment)

    @property
    def program(self) -> tuple[str, ...]:
        return PROCESSION

    async def join(self, api: Asking, *more: str, **invitation: Any) -> None:
        invited = await api.post("/workstations", {"name": self.name, **invitation})
        done = await self.edge("join", self.server, "-", *more, stdin=invited["token"])
        assert done.returncode == 0, done.stderr
        self.invited = invited

    async def edge(self, *words: str, stdin: str = "", **environment: str) -> "Done":
        process = await asyncio.create_subprocess_exec(
            *self.program,
            "edge",
            *words,
            env={**self.environment, "PROCESSION_EDGE_HOME": str(self.home), **environment},
            cwd=self.system.folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(patience(60)):
            out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    # The agent

    @property
    def log(self) -> Path:
        return self.home.with_suffix(".log")

    async def start(self, **environment: str) -> None:
        told = {**self.environment, "PROCESSION_EDGE_HOME": str(self.home), **environment}
        with self.log.open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.program, "edge", "run", env=told, stderr=log, start_new_session=True
            )

    async def run(self, **environment: str) -> None:
        """Started, and known to the server."""
        await self.start(**environment)
        await self.connected()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def killed(self) -> None:
        await self.end(signal.SIGKILL)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)
            async with asyncio.timeout(patience(30)):
                await self.process.wait()

    async def ask(self, verb: str, **given: Any) -> Any:
        return await local.ask_soon(self.home, verb, **given)

    async def status(self) -> Json | None:
        with contextlib.suppress(local.Away):
            return dict(await self.ask("status"))
        return None

    async def answers(self, within: float = 30.0) -> Json:
        """Its status, once there is somebody to ask."""
        return await self.shows(within)

    async def shows(self, within: float = 30.0, **wanted: Any) -> Json:
        """Its status, once it says all of this."""
        async with asyncio.timeout(patience(within)):
            while True:
                told = await self.status()
                if told is not None and all(told[name] == each for name, each in wanted.items()):
                    return told
                await asyncio.sleep(0.02)

    async def connected(self) -> Json:
        return await self.shows(state="connected")

    async def delivered(self) -> Json:
        """Once the server has all that there is, and said so."""
        return await self.shows(attempts=[])

    # Its runner

    def runner(self) -> int:
        found = self.of_runner()
        return next(pid for pid in found if parent_of(pid) in found)

    def of_runner(self) -> list[int]:
        place = str(self.home / "runner")
        return [pid for pid in pids() if place in arguments_of(pid)]

    async def leave_nothing(self) -> None:
        await self.killed()
        for pid in self.of_runner():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await until(lambda: not self.of_runner())

    def copied(self, to: Path) -> "Station":
        """A disk that somebody has copied."""
        shutil.copytree(self.home, to, ignore=shutil.ignore_patterns("*.sock", "sock", "runner"))
        return Station(self.system, self.name, self.server, to)


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@asynccontextmanager
async def a_station(
    system: System, api: Asking, name: str, *more: str, server: str | None = None, **invitation: Any
) -> AsyncIterator[Station]:
    """One that has joined and may run a shell. It is not started."""
    station = Station(system, name, server or system.url, system.folder / f"{name}.home")
    try:
        await station.join(api, "--allow", SHELL, *more, **invitation)
        yield station
    finally:
        await station.leave_nothing()


async def script(api: Asking, station: str, type: str, text: str, **task: Any) -> str:
    """A run of one script on a workstation."""
    given = {"name": "it", "run": [SHELL, "-c", text], "on": {"workstation": station}, **task}
    await api.publish({"name": type, "tasks": [given]})
    return str((await api.post("/runs", {"type": type}))["id"])


REFUSED = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Cable:
    """Between a workstation and the server: it can be pulled out and put in again, and there may be
    somebody on the way who lets no streams through."""

    def __init__(self, url: str) -> None:
        self.to = int(url.rpartition(":")[2])
        self.port = 0
        self.lets_streams_through = True
        self.server: asyncio.Server | None = None
        self.ends: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def plug(self) -> None:
        self.server = await asyncio.start_server(self.carry, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def pull(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None
        for end in list(self.ends):
            end.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.ends.add(writer)
        try:
            first = await reader.read(65536)
            if b"/stream" in first.partition(b"\r\n")[0] and not self.lets_streams_through:
                writer.write(REFUSED)
                await writer.drain()
                return
            await self.pass_all(first, reader, writer)
        except OSError:
            pass  # pulled
        finally:
            writer.close()
            self.ends.discard(writer)

    async def pass_all(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there, away = await asyncio.open_connection("127.0.0.1", self.to)
        self.ends.add(away)
        away.write(first)
        ways = [
            asyncio.ensure_future(pass_on(reader, away)),
            asyncio.ensure_future(pass_on(there, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            away.transport.abort()
            writer.transport.abort()
            self.ends.discard(away)


async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()


@asynccontextmanager
async def a_cable(system: System) -> AsyncIterator[Cable]:
    cable = Cable(system.url)
    await cable.plug()
    try:
        yield cable
    finally:
        await cable.pull()


async def gone(pid: int) -> None:
    await until(lambda: is_dead(pid))
