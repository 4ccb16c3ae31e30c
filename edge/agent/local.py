"""What people and programs on the machine itself ask the agent: a socket, JSON lines both ways.

A question is `{"do": VERB, ...}`, its answer `{"ok": VALUE}` or `{"error": WHY, "remedy": WHAT}`.
Only the agent's own user and root get an answer.
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from executor import spool

log = logging.getLogger(__name__)

NAME = "control.sock"
LONGEST = 1 << 20
MOST = 32  # that ask at the same time
PATIENCE = 10.0

Given: TypeAlias = Mapping[str, Any]
Answer: TypeAlias = Callable[[Given], Any | Awaitable[Any]]


class Refused(Exception):
    """Says why, and what to do about it."""

    def __init__(self, why: str, remedy: str = "") -> None:
        self.why, self.remedy = why, remedy
        super().__init__(why)


class Away(Refused):
    """No agent answers there."""


class Verbs:
    """What may be asked. Each part of the agent adds its own."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}

    def add(self, verb: str, answer: Answer) -> None:
        if verb in self.answers:
            raise ValueError(f"{verb} is answered already")
        self.answers[verb] = answer

    async def ask(self, verb: str, given: Given) -> Any:
        answer = self.answers.get(verb)
        if answer is None:
            there = ", ".join(sorted(self.answers))
            raise Refused(f"{verb[:60]!r} is nothing that can be asked", f"there are {there}")
        found = answer(given)
        return await found if isinstance(found, Awaitable) else found


def text(given: Given, name: str, default: str | None = None) -> str:
    """A text among what was given, for whoever answers."""
    found = given.get(name, default)
    if not isinstance(found, str) or not found:
        raise Refused(f"{name}: a text is due")
    return found


# The agent's end.


class Local:
    def __init__(self, folder: Path, verbs: Verbs) -> None:
        self.folder, self.verbs = folder, verbs
        self.clients: set[asyncio.Task[None]] = set()
        self.server: asyncio.Server | None = None

    async def open(self) -> None:
        with entered(self.folder) as place:
            listener = listen(place)
        self.server = await asyncio.start_unix_server(self.meet, sock=listener, limit=LONGEST)

    async def close(self) -> None:
        if self.server is None:
            return
        self.server.close()
        for client in list(self.clients):
            client.cancel()
        with suppress(FileNotFoundError):
            (self.folder / NAME).unlink()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peer = writer.get_extra_info("socket")
        if len(self.clients) >= MOST or not is_ours(peer):
            writer.close()
            return
        self.clients.add(task)
        try:
            await self.converse(reader, writer)
        except (OSError, ValueError, asyncio.CancelledError):
            pass  # gone, or a line without end
        finally:
            self.clients.discard(task)
            writer.close()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(await self.answer(line))
            await writer.drain()

    async def answer(self, line: bytes) -> bytes:
        try:
            asked = read(line)
            return as_line({"ok": await self.verbs.ask(text(asked, "do"), asked)})
        except Refused as refused:
            return as_line({"error": refused.why, "remedy": refused.remedy})
        except Exception as error:  # the rim: whoever asks must not end the agent
            log.exception("a question could not be answered")
            why = f"{type(error).__name__}: {error}"
            return as_line({"error": why, "remedy": "look at the agent's log"})


def read(line: bytes) -> Given:
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Refused(f"not JSON: {error}") from None
    if not isinstance(asked, dict):
        raise Refused("an object is due")
    return asked


def as_line(value: Given) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def is_ours(peer: Any) -> bool:
    """`peer` is asyncio's view of the socket, which has all that is asked of it."""
    return spool.is_ours(peer)


@contextmanager
def entered(folder: Path) -> Iterator[int]:
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield place
    finally:
        os.close(place)


def address(place: int) -> str:
    """By way of a descriptor: folders may be deeper than paths of sockets."""
    return f"/proc/self/fd/{place}/{NAME}"


def listen(place: int) -> socket.socket:
    """What an agent that was killed left there is removed: the folder's lock is ours."""
    with suppress(FileNotFoundError):
        os.unlink(NAME, dir_fd=place)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(address(place))
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


# Whoever asks.


def ask(folder: Path, verb: str, *, patience: float = PATIENCE, **given: Any) -> Any:
    """One question and its answer, for the command line; it waits."""
    with closing(connect(folder)) as peer:
        peer.settimeout(patience)
        try:
            peer.sendall(as_line({"do": verb, **given}))
            with peer.makefile("rb") as answers:
                return heard(answers.readline())
        except OSError as error:
            raise Away(f"{folder}: the agent does not answer: {error}", "look at its log") from None


async def ask_soon(folder: Path, verb: str, **given: Any) -> Any:
    return await asyncio.to_thread(ask, folder, verb, **given)


def connect(folder: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with entered(folder) as place:
            peer.connect(address(place))
    except OSError as error:
        peer.close()
        remedy = "start it: `procession edge run`, or its unit"
        raise Away(f"{folder}: no agent runs here ({error.strerror})", remedy) from None
    return peer


def heard(line: bytes) -> Any:
    if not line:
        raise Away("the agent has hung up", "look at its log")
    answer = json.loads(line)
    if "ok" not in answer:
        raise Refused(answer.get("error", "refused"), answer.get("remedy", ""))
    return answer["ok"]
