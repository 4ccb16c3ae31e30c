"""A runner of one test's own, a client that remembers what it was told, and a look from outside."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from executor.base import Invocation
from executor.link import Chunk, Ended, Hello, Progress, RunnerLink, ensure_runner
from tests.support.waiting import patience, until

LONG = os.environ.get("PROCESSION_LONG") == "1"


class Client:
    """A worker in small: stores output by offset, acknowledges exits when it is told to."""

    link: RunnerLink

    def __init__(self, spool: Path):
        self.spool = spool
        self.ends: dict[str, Ended] = {}
        self.tellings: list[str] = []
        self.stored: dict[str, list[Chunk]] = {}
        self.progress: dict[str, list[Progress]] = {}
        self.news = asyncio.Event()

    async def connect(self, stored: Mapping[str, int] | None = None) -> "Client":
        async def offsets(hello: Hello) -> Mapping[str, int]:
            return {key: offset for key, offset in (stored or {}).items() if key in hello.keys}

        self.link = await RunnerLink.connect(
            self.spool,
            on_ended=self.hear_end,
            on_output=self.store,
            on_progress=self.hear_progress,
            offsets=offsets,
        )
        return self

    def store(self, chunk: Chunk) -> None:
        self.stored.setdefault(chunk.key, []).append(chunk)
        self.link.received(chunk.key, chunk.offset + len(chunk.data))
        self.news.set()

    def hear_progress(self, key: str, progress: Progress) -> None:
        self.progress.setdefault(key, []).append(progress)
        self.news.set()

    def hear_end(self, ended: Ended) -> None:
        self.ends[ended.key] = ended
        self.tellings.append(ended.key)
        self.stored.setdefault(ended.key, []).extend(ended.chunks)
        self.news.set()

    async def run(self, key: str, *argv: str, **options: Any) -> Ended:
        self.link.start(key, Invocation(argv=argv, **options))
        return await self.end(key)

    def script(self, key: str, script: str, **options: Any) -> None:
        invocation = Invocation(argv=("sh", "-c", script), **options)
        self.link.start(key, invocation)

    async def end(self, key: str, seconds: float = 30) -> Ended:
        async with asyncio.timeout(patience(seconds)):
            while key not in self.ends:
                self.news.clear()
                await self.news.wait()
        return self.ends[key]

    async def told(self, key: str, **progress: Any) -> None:
        """Waits until the command says this of itself."""
        async with asyncio.timeout(patience(10)):
            while progress not in self.progress.get(key, ()):
                self.news.clear()
                await self.news.wait()

    async def printed(self, key: str, text: bytes, seconds: float = 10) -> None:
        async with asyncio.timeout(patience(seconds)):
            while text not in self.output(key):
                self.news.clear()
                await self.news.wait()

    def output(self, key: str, stream: str | None = None) -> bytes:
        chunks = self.stored.get(key, [])
        return b"".join(c.data for c in chunks if stream in (None, c.stream))

    def has_no_gap(self, key: str) -> bool:
        place = 0
        for chunk in self.stored.get(key, []):
            if chunk.offset != place:
                return False
            place += len(chunk.data)
        return place == self.ends[key].size


@asynccontextmanager
async def a_runner(tmp_path: Path, slots: int = 8, **options: int) -> AsyncIterator[Client]:
    spool = tmp_path / "spool"
    await ensure_runner(spool, slots=slots, **options)
    client = await Client(spool).connect()
    try:
        yield client
    finally:
        await end_runner(client)


async def end_runner(client: Client) -> None:
    """Whatever the test left: the guard ends it with the runner."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(client.link.hello.pid, signal.SIGKILL)
    await client.link.close()


async def end_runner_of(pid: int) -> None:
    """Of somebody else's client; its guard ends what it had begun, and then itself."""
    guard = parent_of(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    await until(lambda: is_dead(guard))


def processes_of(*marks: str | Path) -> list[int]:
    """Live processes with all of these in their environment.

    Attempts have the same names in many tests, which run at the same time: a command is told apart
    by the folder of its test, where the file for its output is to be.
    """
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and not is_dead(int(entry)):
                environment = Path("/proc", entry, "environ").read_bytes()
                if all(str(mark).encode() in environment for mark in marks):
                    found.append(int(entry))
    return found


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_dead(pid: int) -> bool:
    try:
        stat = Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def parent_of(pid: int) -> int:
    return int(Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[1])


async def all_gone(*marks: str | Path) -> bool:
    """Within two seconds, which is what is promised of a runner's end."""
    try:
        await until(lambda: not processes_of(*marks), within=2.0)
    except TimeoutError:
        return False
    return True


def is_stopped(pid: int) -> bool:
    try:
        stat = Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in "Tt"
