"""Commands of this machine, by way of its runner, which outlives the agent.

The runner keeps what a command printed and how it ended until it is told that nobody needs that any
more, so nothing of it is kept here. It is given no lease: whether anybody hears of a command does
not matter to the command.
"""

import asyncio
import json
import logging
import os
import shutil
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edge import attempts
from edge.agent import orders
from edge.agent.book import Left
from edge.agent.core import SendFile, SendLog, Steer
from edge.agent.home import Home
from edge.messages import Ended, File, Log, Verb
from executor import link, spool
from executor.link import Chunk, Hello, Piece, Progress, RunnerAway, RunnerLink

log = logging.getLogger(__name__)

IDLE_EXIT = 600.0  # seconds that a runner of ours waits for an agent with nothing to do
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)
STREAMS = {"out": 1, "err": 2}
ORDERS: Mapping[Verb, Callable[[RunnerLink, str], None]] = {
    Verb.HOLD: RunnerLink.freeze,
    Verb.RESUME: RunnerLink.thaw,
    Verb.STOP: RunnerLink.stop,
    Verb.KILL: RunnerLink.kill,
}


@dataclass(frozen=True, slots=True)
class Met:
    """What the runner has in hand: attempt by attempt, and how much each is known to have said."""

    living: Mapping[str, int]  # and waiting
    pids: Mapping[str, int]
    ended: tuple[str, ...]

    @property
    def all(self) -> frozenset[str]:
        return frozenset((*self.living, *self.ended))


class News(Protocol):
    """Whoever is told. Each is called at once, and takes no time."""

    def met(self, met: Met) -> None: ...
    def began(self, attempt: str, pid: int, at: float) -> None: ...
    def printed(self, attempt: str, size: int) -> None: ...
    def progressed(self, attempt: str, told: Progress) -> None: ...
    def ended(self, ended: Ended, files: Sequence[Left]) -> None: ...
    def read(self, log: Log) -> None: ...


class Hands:
    def __init__(self, home: Home, slots: int, news: News, *, starts_runner: bool = True) -> None:
        self.home, self.slots, self.news = home, slots, news
        self.starts_runner = starts_runner
        self.away = "it has not been met yet"
        self.link: RunnerLink | None = None
        self.wanted: dict[tuple[str, int], SendLog] = {}  # parts of logs that are being read
        self.removing: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int | None:
        return self.link.hello.pid if self.link else None

    async def work(self) -> None:
        """Meets the runner, as often as there is a new one."""
        misses = 0
        while True:
            try:
                met = await self.meet()
            except (RunnerAway, spool.SpoolRefused, OSError) as error:
                self.miss(str(error))
                await asyncio.sleep(PAUSES[min(misses, len(PAUSES) - 1)])
                misses += 1
                continue
            misses, self.away = 0, ""
            await met.wait_closed()
            self.link = None
            self.miss("it is gone")

    def miss(self, why: str) -> None:
        if why != self.away:
            log.warning("no runner", extra={"reason": why})
        self.away = why

    async def meet(self) -> RunnerLink:
        if self.starts_runner:
            await link.ensure_runner(self.home.runner, slots=self.slots, idle_exit=IDLE_EXIT)
        self.wanted.clear()
        self.link = await RunnerLink.connect(
            self.home.runner,
            on_ended=self.on_ended,
            on_output=self.on_output,
            on_progress=self.on_progress,
            on_piece=self.on_piece,
            on_began=self.on_began,
            offsets=self.on_hello,
        )
        return self.link

    async def close(self) -> None:
        if self.link is not None:
            await self.link.close()
        for task in list(self.removing):
            await task

    # Orders

    def spawn(self, attempt: str, command: Mapping[str, Any]) -> None:
        key = attempts.key(attempt)
        folder = None if command.get("cwd") or command.get("user") else self.folder(key)
        invocation = orders.invocation(command, folder)
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.link is not None:  # else the server is asked anew, once a runner has been met
            self.link.start(key, invocation)

    def folder(self, key: str) -> Path:
        """Where a command works that was given no place of its own."""
        return self.home.work / key

    def steer(self, steer: Steer) -> None:
        if self.link is not None and (order := ORDERS.get(steer.verb)):
            order(self.link, attempts.key(steer.attempt))

    def kill(self, attempt: str) -> None:
        self.steer(Steer(attempt, Verb.KILL))

    def send_log(self, wanted: SendLog) -> None:
        """Its answer comes as `read`."""
        if self.link is not None:
            key = attempts.key(wanted.attempt)
            self.wanted[key, wanted.offset] = wanted
            self.link.read(key, wanted.offset, wanted.size)

    def erase(self, attempt: str) -> None:
        key = attempts.key(attempt)
        if self.link is not None:
            self.link.acknowledge([key])
        folder = self.folder(key)
        if folder.exists():
            remove = asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            task = asyncio.create_task(remove)
            self.removing.add(task)
            task.add_done_callback(self.removing.discard)

    # What the runner says

    async def on_hello(self, hello: Hello) -> Mapping[str, int]:
        living = {attempts.of_key(key): each.received for key, each in hello.live.items()}
        living |= {attempts.of_key(key): 0 for key in hello.waiting}
        ended = tuple(attempts.of_key(key) for key in hello.ended)
        log.info("runner met", extra={"runner": hello.pid, "living": len(living)})
        pids = {attempts.of_key(key): each.pid for key, each in hello.live.items()}
        self.news.met(Met(living, pids, ended))
        return {}

    def on_began(self, began: link.Began) -> None:
        self.news.began(attempts.of_key(began.key), began.pid, began.at)

    def on_output(self, chunk: Chunk) -> None:
        """Only how much there is: it is read where it lies when it is to be sent."""
        end = chunk.offset + len(chunk.data)
        if self.link is not None:
            self.link.received(chunk.key, end)
        self.news.printed(attempts.of_key(chunk.key), end)

    def on_progress(self, key: str, told: Progress) -> None:
        self.news.progressed(attempts.of_key(key), told)

    def on_ended(self, ended: link.Ended) -> None:
        self.news.ended(told(ended), left_by(ended))

    def on_piece(self, piece: Piece) -> None:
        wanted = self.wanted.pop((piece.key, piece.offset), None)
        if wanted is not None:
            for each in logs(piece, wanted):
                self.news.read(each)


def left_by(ended: link.Ended) -> tuple[Left, ...]:
    return tuple(
        Left(number, each.name, each.size, each.digest, each.path, each.type)
        for number, each in enumerate(ended.outcome.files)
    )


def part_of(wanted: SendFile) -> File | None:
    """None if it is not there any more."""
    file = wanted.file
    try:
        place = os.open(file.place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            data = os.pread(place, wanted.size, wanted.offset)
        finally:
            os.close(place)
    except OSError:
        return None
    if len(data) != wanted.size:
        return None
    about = (file.number, file.name, file.size, file.digest)
    return File(wanted.attempt, *about, wanted.offset, data, zlib.crc32(data), file.kind)


def told(ended: link.Ended) -> Ended:
    outcome = ended.outcome
    detail = dict(outcome.detail or {})
    if outcome.files:  # they come behind it
        detail["files"] = [{"name": each.name, "size": each.size} for each in outcome.files]
    return Ended(
        attempt=attempts.of_key(ended.key),
        ending=outcome.ending.value,
        at=time.time(),
        exit_code=outcome.exit_code,
        error=outcome.error,
        printed=ended.size,
        counted=outcome.counted,
        retryable=outcome.retryable,
        output=None if outcome.output is None else json.loads(outcome.output),
        detail=detail,
    )


def logs(piece: Piece, wanted: SendLog) -> list[Log]:
    """What was read, each stream by itself, with the gap where the middle of a flood was dropped.

    What the runner does not know any more counts as dropped, so that the log comes to its end.
    """
    at, found = piece.offset, list[Log]()
    for chunk in piece.chunks:
        if chunk.offset > at:
            found.append(gap(wanted.attempt, at, chunk.offset - at))
        stream = STREAMS[chunk.stream]
        crc = zlib.crc32(chunk.data)
        found.append(Log(wanted.attempt, chunk.offset, chunk.data, crc, stream=stream))
        at = chunk.offset + len(chunk.data)
    end = piece.size if piece.known else wanted.offset + wanted.size
    if not piece.chunks and end is not None and end > at:
        found.append(gap(wanted.attempt, at, end - at))
    return found


def gap(attempt: str, offset: int, size: int) -> Log:
    return Log(attempt, offset, b"", 0, gap=size)
