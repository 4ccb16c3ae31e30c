"""The runner's client: what a worker or an agent uses to have commands run.

The runner outlives the link. Starts are idempotent by key, exits are told again and again until
acknowledged, output is sent from where the client says it stands.
"""

import asyncio
import fcntl
import logging
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor import spool, wire
from executor.base import Ending, Invocation, Left, Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds for the runner's hello
HOLD_EVERY = 0.05

ROOT = Path(__file__).resolve().parent.parent

# Isolated: no site packages, no variables of ours, nothing from the working folder.
BOOT = "import sys; sys.path.append(sys.argv.pop(1)); from executor.runner import main; "
STARTER = (sys.executable, "-I", "-S", "-X", "utf8", "-c", BOOT + "sys.exit(main())", str(ROOT))


# All that a runner may know of its worker's environment, which may hold secrets.
LOADER = ("LD_LIBRARY_PATH",)


class RunnerAway(Exception):
    """No runner answers; says why."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of output. Offsets count masked bytes of both streams, in order of arrival."""

    key: str
    stream: str  # "out" or "err"
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """An exit record. `chunks` is what was not sent before; `size` counts dropped bytes as well."""

    key: str
    outcome: Outcome
    chunks: tuple[Chunk, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Piece:
    """What lies at an offset of an attempt's output, and behind it; of a flood not all is kept.
    `size` is the whole output's once that is known."""

    key: str
    offset: int
    chunks: tuple[Chunk, ...]
    size: int | None
    known: bool  # to the runner


@dataclass(frozen=True, slots=True)
class Began:
    key: str
    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class Live:
    """A command found running: `received` is the offset that the runner was last told."""

    pid: int
    size: int
    received: int


@dataclass(frozen=True, slots=True)
class Hello:
    """What the runner had in hand when it was met."""

    incarnation: str
    boot_id: str
    pid: int
    slots: int
    live: Mapping[str, Live] = field(default_factory=dict)
    waiting: Sequence[str] = ()
    ended: Mapping[str, int] = field(default_factory=dict)  # key -> received
    undead: Sequence[int] = ()  # processes that SIGKILL did not end

    @property
    def keys(self) -> frozenset[str]:
        """Every attempt the runner knows: none of these needs to be started."""
        return frozenset((*self.live, *self.waiting, *self.ended))


Offsets = Callable[[Hello], Awaitable[Mapping[str, int]]]
Progress = Mapping[str, Any]  # what a command last said about itself


def unheard(key: str, progress: Progress) -> None:
    """For a client that does not want to know."""


def unasked(piece: Piece) -> None:
    """For a client that reads nothing."""


class RunnerLink(asyncio.Protocol):
    hello: Hello

    def __init__(
        self,
        path: Path,
        on_ended: Callable[[Ended], None],
        on_output: Callable[[Chunk], None],
        on_progress: Callable[[str, Progress], None],
        on_piece: Callable[[Piece], None] = unasked,
        on_began: Callable[[Began], None] | None = None,
    ) -> None:
        self.path = path
        self.on_piece = on_piece
        self.on_began = on_began
        self.on_ended = on_ended
        self.on_output = on_output
        self.on_progress = on_progress
        self.loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[Hello] = self.loop.create_future()
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self.lines = wire.Lines()
        self.orders: list[bytes] = []
        self.acknowledged: list[str] = []
        self.is_scheduled = False
        self.transport: asyncio.Transport | None = None

    @classmethod
    async def connect(
        cls,
        path: Path,
        *,
        on_ended: Callable[[Ended], None],
        on_output: Callable[[Chunk], None],
        on_progress: Callable[[str, Progress], None] = unheard,
        on_piece: Callable[[Piece], None] = unasked,
        on_began: Callable[[Began], None] | None = None,
        offsets: Offsets | None = None,
    ) -> "RunnerLink":
        """Meet the runner. Nothing of what it had in hand is delivered before `offsets` says
        up to where each attempt's output is stored; without it, the runner goes on behind what
        was last received."""
        peer = open_socket(path)
        loop = asyncio.get_running_loop()
        _, link = await loop.create_unix_connection(
            lambda: cls(path, on_ended, on_output, on_progress, on_piece, on_began), sock=peer
        )
        try:
            async with asyncio.timeout(PATIENCE):
                link.hello = await asyncio.shield(link.greeted)
            for key, offset in (await offsets(link.hello) if offsets else {}).items():
                link.resume(key, offset)
        except TimeoutError as error:
            await link.close()
            raise RunnerAway(f"{path}: the runner does not answer") from error
        except BaseException:
            await link.close()
            raise
        if on_began is not None:
            link.order({"do": "tell_starts"})
        link.order({"do": "go"})
        return link

    # Orders

    def start(self, key: str, invocation: Invocation) -> None:
        """Idempotent by key. More starts than slots wait in order of arrival."""
        self.order({"do": "start", "key": key, "invocation": wire.pack_invocation(invocation)})

    def stop(self, key: str) -> None:
        """TERM to all of it, KILL when its grace is over."""
        self.order({"do": "stop", "key": key})

    def kill(self, key: str) -> None:
        self.order({"do": "kill", "key": key})

    def freeze(self, key: str) -> None:
        """All of it stands still, its timeout too."""
        self.order({"do": "freeze", "key": key})

    def thaw(self, key: str) -> None:
        self.order({"do": "thaw", "key": key})

    def lease(self, deadline: float, *, grace: float = 2.0) -> None:
        """When CLOCK_BOOTTIME reaches `deadline`, commands end as LOST, unless theirs is
        `on_lost: wait`; KILL follows `grace` seconds later at most."""
        self.order({"do": "lease", "deadline": deadline, "grace": grace})

    def received(self, key: str, offset: int) -> None:
        """Output up to here is stored. The runner sends no more than a window beyond it."""
        self.order({"do": "received", "key": key, "offset": offset})

    def resume(self, key: str, offset: int) -> None:
        """Send this attempt's output from here, whatever was sent before."""
        self.order({"do": "resume", "key": key, "offset": offset})

    def read(self, key: str, offset: int, size: int) -> None:
        """A piece of so many bytes at most is answered, of what is kept from there on."""
        self.order({"do": "read", "key": key, "offset": offset, "size": size})

    def acknowledge(self, keys: Sequence[str]) -> None:
        """These exits are recorded; the runner forgets them."""
        self.acknowledged.extend(keys)
        self.schedule()

    def bye(self, *, stop_commands: bool) -> None:
        """The runner ends itself as soon as nothing lives and every exit is acknowledged."""
        self.order({"do": "bye", "stop_commands": stop_commands})

    def order(self, order: wire.Order) -> None:
        self.orders.append(wire.encode(order))
        self.schedule()

    def schedule(self) -> None:
        if not self.is_scheduled:
            self.is_scheduled = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """One write for all orders of this turn of the loop."""
        self.is_scheduled = False
        if self.acknowledged:
            self.orders.append(wire.encode({"do": "acknowledge", "keys": self.acknowledged}))
            self.acknowledged = []
        if self.orders and self.transport is not None and not self.transport.is_closing():
            self.transport.write(b"".join(self.orders))
        self.orders.clear()

    # What the runner says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            messages = [wire.decode(line) for line in self.lines.feed(data)]
        except wire.Garbled as error:
            self.hang_up(f"the runner talks nonsense: {error}")
            return
        for message in messages:
            self.hear(message)

    def hang_up(self, why: str) -> None:
        log.error("link to the runner given up", extra={"reason": why})
        if self.transport is not None:
            self.transport.abort()

    def hear(self, message: Mapping[str, Any]) -> None:
        match message["say"]:
            case "ended":
                self.on_ended(read_ended(message, self.path))
            case "output":
                for chunk in read_chunks(message["key"], message["chunks"]):
                    self.on_output(chunk)
            case "progress":
                self.on_progress(message["key"], message["progress"])
            case "piece":
                self.on_piece(read_piece(message))
            case "began" if self.on_began is not None:
                self.on_began(Began(message["key"], message["pid"], message["at"]))
            case "hello":
                self.greeted.set_result(read_hello(message))
            case "refused":
                self.hang_up(f"the runner refused an order: {message['error']}")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.greeted.done():
            self.greeted.set_exception(RunnerAway("the runner closed the connection"))
            self.greeted.exception()  # seen, should nobody be waiting any more
        if not self.closed.done():
            self.closed.set_result(None)

    async def wait_closed(self) -> None:
        await asyncio.shield(self.closed)

    async def close(self) -> None:
        """Send what was ordered and leave; commands go on."""
        self.flush()
        if self.transport is not None:
            self.transport.close()
            await self.wait_closed()


def open_socket(path: Path) -> socket.socket:
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RunnerAway(f"{path}: {error.strerror}") from error
    try:
        peer = spool.connect(folder)
    except OSError as error:
        raise RunnerAway(f"{path}: no runner listens here ({error.strerror})") from error
    finally:
        os.close(folder)
    if not spool.is_ours(peer):
        peer.close()
        raise RunnerAway(f"{path}: the socket belongs to another user")
    peer.setblocking(False)
    return peer


def read_hello(message: Mapping[str, Any]) -> Hello:
    return Hello(
        incarnation=message["incarnation"],
        boot_id=message["boot_id"],
        pid=message["pid"],
        slots=message["slots"],
        live={key: Live(**facts) for key, facts in message["live"].items()},
        waiting=message["waiting"],
        ended=message["ended"],
        undead=message["undead"],
    )


def read_chunks(key: str, packed: Iterable[Any]) -> list[Chunk]:
    return [
        Chunk(key, wire.STREAMS[stream], offset, data)
        for offset, stream, data in wire.unpack(packed)
    ]


def read_piece(message: Mapping[str, Any]) -> Piece:
    key = message["key"]
    chunks = tuple(read_chunks(key, message["chunks"]))
    return Piece(key, message["offset"], chunks, message.get("size"), message["known"])


def read_ended(message: Mapping[str, Any], path: Path) -> Ended:
    key = message["key"]
    outcome = Outcome(
        ending=Ending(message["ending"]),
        counted=message.get("counted", True),
        exit_code=message.get("code"),
        error=message.get("error"),
        retryable=message.get("retryable", True),
        output=message.get("output"),
        detail=read_detail(message["detail"]),
        files=tuple(read_left(facts, path) for facts in message.get("files", ())),
    )
    chunks = message.get("chunks")
    return Ended(key, outcome, tuple(read_chunks(key, chunks)) if chunks else (), message["size"])


def read_left(facts: Mapping[str, Any], path: Path) -> Left:
    return Left(
        name=facts["name"],
        type=facts.get("type"),
        size=facts["size"],
        digest=facts["digest"],
        path=str(path / "out" / facts["place"]),
    )


def read_detail(detail: dict[str, Any]) -> dict[str, Any]:
    """Instants in words: they are for people, durations were measured elsewhere."""
    for name in ("started_at", "ended_at"):
        if name in detail:
            detail[name] = datetime.fromtimestamp(detail[name], UTC).isoformat()
    return detail


async def ensure_runner(
    path: Path,
    *,
    slots: int = 8,
    idle_exit: float | None = 60.0,
    quota: int = spool.QUOTA,
) -> None:
    """Start a runner of this folder in a session of its own, if none is there.

    Safe when several ask at once: one of them gets the runner's lock, the others find it.
    """
    arguments = ["--detach", "--slots", str(slots), "--quota", str(quota)]
    if idle_exit is not None:
        arguments += ["--idle-exit", str(idle_exit)]
    starter = await asyncio.create_subprocess_exec(
        *STARTER,
        *arguments,
        "--",
        str(path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env={name: os.environ[name] for name in LOADER if name in os.environ},
    )
    _, said = await starter.communicate()
    if starter.returncode != 0:
        raise RunnerAway(said.decode(errors="replace").strip() or f"{path}: no runner came up")


@asynccontextmanager
async def hold_spool(path: Path) -> "AsyncIterator[None]":
    """One worker at a time: wait until a former incarnation is gone. The lock ends with its
    holder, and neither runner nor commands inherit it."""
    folder = spool.prepare(path)
    try:
        lock = os.open("worker.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        while not is_locked(lock):  # noqa: ASYNC110 - the other holder is a process, not a task
            await asyncio.sleep(HOLD_EVERY)
        yield
    finally:
        os.close(lock)


def is_locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
