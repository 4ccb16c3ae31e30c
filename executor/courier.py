"""The runner's end of the socket: one client at a time, output in a window, ends after output."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from executor import spool, wire
from executor.attempt import Attempt
from executor.poller import BOTH, READABLE, Poller
from executor.record import Record
from executor.stored import Outlet

if TYPE_CHECKING:
    import socket

FLUSH_EVERY = 0.010  # under load; at once when idle
WINDOW = 256 << 10  # sent output that was not yet received for good
BACKLOG = 8 << 20  # bytes for a client that does not read, before output waits where it lies


class Courier:
    def __init__(
        self,
        poller: Poller,
        live: Mapping[str, Attempt],
        ended: Mapping[str, Record],
        obey: Callable[[wire.Order], None],
    ):
        self.poller = poller
        self.live = live
        self.ended = ended
        self.obey = obey
        self.client: socket.socket | None = None
        self.lines = wire.Lines()
        self.held: set[str] = set()  # what a new client has not yet said how to go on with
        self.tells_starts = False
        self.out: deque[bytes] = deque()
        self.backlog = 0
        self.is_stuck = False  # the socket is full; epoll will say when it is not
        self.flushed_at = 0.0
        self.alone_since = time.monotonic()

    # The connection

    def welcome(self, peer: "socket.socket", hello: dict[str, Any]) -> None:
        """The newest client counts: a spool's lock sees to it that there is one worker."""
        if not spool.is_ours(peer):
            peer.close()
            return
        self.detach()
        peer.setblocking(False)
        self.client = peer
        self.lines = wire.Lines()
        self.tells_starts = False
        self.held = {*hello["waiting"], *self.live, *self.ended}
        for ended in self.ended.values():
            ended.is_told = False
        for key in filter(self.knows, self.held):
            self.outlet(key).rewind()
        self.poller.add(peer.fileno(), self.receive)
        self.send(hello)
        self.push()

    def detach(self) -> None:
        if self.client is not None:
            self.poller.forget(self.client.fileno())
            self.client.close()
            self.client = None
        self.out.clear()
        self.backlog = 0
        self.is_stuck = False
        self.alone_since = time.monotonic()

    def receive(self, _: int) -> None:
        if self.is_stuck:
            self.push()
        if self.client is None:
            return
        try:
            data = self.client.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.read_orders(data)
        else:
            self.detach()

    def read_orders(self, data: bytes) -> None:
        try:
            for line in self.lines.feed(data):
                self.obey(wire.read_order(line))
        except wire.Garbled as error:
            self.send({"say": "refused", "error": str(error)})
            self.push()
            self.detach()

    def send(self, message: Mapping[str, Any]) -> None:
        if self.client is not None:
            line = wire.encode(message)
            self.out.append(line)
            self.backlog += len(line)

    def flush(self, *, is_busy: bool) -> None:
        if not self.out or self.is_stuck:
            return
        now = time.monotonic()
        if not is_busy or now - self.flushed_at >= FLUSH_EVERY:
            self.flushed_at = now
            self.push()

    def next_flush(self) -> float | None:
        return self.flushed_at + FLUSH_EVERY if self.out and not self.is_stuck else None

    def push(self) -> None:
        if self.client is None:
            return
        data = b"".join(self.out)
        try:
            done = self.client.send(data)
        except BlockingIOError:
            done = 0
        except OSError:
            self.detach()
            return
        self.out.clear()
        self.backlog = len(data) - done
        if self.backlog:
            self.out.append(data[done:])
        self.watch(is_stuck=self.backlog > 0)

    def watch(self, *, is_stuck: bool) -> None:
        if is_stuck != self.is_stuck and self.client is not None:
            self.is_stuck = is_stuck
            self.poller.change(self.client.fileno(), BOTH if is_stuck else READABLE)

    # Output and ends

    def outlet(self, key: str) -> Outlet:
        return self.live[key].outlet if key in self.live else self.ended[key].outlet

    def knows(self, key: str) -> bool:
        return key in self.live or key in self.ended

    def advance(self, key: str, offset: int) -> None:
        if self.knows(key):
            outlet = self.outlet(key)
            outlet.received = max(outlet.received, min(offset, outlet.sent))
            self.pump(key)

    def resume(self, key: str, offset: int | None) -> None:
        self.held.discard(key)
        if self.knows(key):
            self.outlet(key).rewind(offset)
            self.pump(key)

    def resume_rest(self) -> None:
        for key in list(self.held):
            self.resume(key, None)

    def show(self, key: str, offset: int, size: int) -> None:
        """What is kept of the output there, whatever was sent or received before."""
        chunks = (
            self.outlet(key).stored.read(offset, min(size, wire.INLINE)) if self.knows(key) else []
        )
        told: dict[str, Any] = {"say": "piece", "key": key, "offset": offset}
        if key in self.ended:
            told["size"] = self.ended[key].facts["size"]
        self.send({**told, "known": self.knows(key), "chunks": wire.pack(chunks)})

    def tell_start(self, key: str, pid: int, at: float) -> None:
        if self.tells_starts:
            self.send({"say": "began", "key": key, "pid": pid, "at": at})

    def pump(self, key: str) -> None:
        if key in self.ended:
            self.tell(self.ended[key])
        else:
            self.stream(key, self.live[key].outlet)

    def tell(self, ended: Record) -> None:
        """The end itself, once so little output is left that it travels with it."""
        if self.client is None or ended.is_told or ended.key in self.held:
            return
        rest = ended.rest()
        while rest is None and self.stream_once(ended.key, ended.outlet):
            rest = ended.rest()
        if rest is not None:
            ended.is_told = True
            self.send(ended.message(rest))

    def tell_news(self, attempt: Attempt) -> bool:
        """False if nobody is there who would take it now."""
        if self.client is None or attempt.key in self.held or self.backlog >= BACKLOG:
            return False
        report = attempt.hearing.report
        self.send({"say": "progress", "key": attempt.key, "progress": attempt.shown_state()})
        report.has_news = False
        return True

    def stream(self, key: str, outlet: Outlet) -> None:
        while self.stream_once(key, outlet):
            pass

    def stream_once(self, key: str, outlet: Outlet) -> bool:
        """Send one piece, if there is one and the window allows it."""
        if self.client is None or key in self.held or self.backlog >= BACKLOG:
            return False
        if outlet.sent - outlet.received >= WINDOW:
            return False
        segments = outlet.take(wire.INLINE)
        if segments:
            self.send({"say": "output", "key": key, "chunks": wire.pack(segments)})
        return bool(segments)
