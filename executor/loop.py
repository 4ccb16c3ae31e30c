"""The runner's loop: owns commands, and outlives the worker it runs them for.

One thread, one epoll, no database. In each turn the journal is written before anything it speaks
of is done or told.
"""

import contextlib
import os
import select
import signal
import time
import uuid
from collections import deque
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor import kin, record, spool, wire
from executor.attempt import Attempt, Phase
from executor.base import Ending, Invocation
from executor.evidence import MemoryWatch
from executor.guard import GUARD_DIED
from executor.journal import COMPACT_AT, Journal
from executor.output import Bare, Masker
from executor.record import Record
from executor.spawn import SpawnFailed, spawn
from executor.stored import Outlet, Shelf, Stored

if TYPE_CHECKING:
    import socket

FLUSH_EVERY = 0.004  # under load; at once when idle
LIVE_EVERY = 0.1  # how long output of a running command waits to be sent together
WINDOW = 256 << 10  # sent output that was not yet received for good
BACKLOG = 8 << 20  # bytes to a client that does not read, before output waits on disk
RESCAN = 0.2  # after the last exit: what lost its parent in that very moment
PATIENCE = 60.0

IN, OUT_READY = select.EPOLLIN, select.EPOLLIN | select.EPOLLOUT


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Runner:
    def __init__(self, folder: int, *, slots: int, idle_exit: float | None, quota: int):
        self.slots = slots
        self.idle_exit = idle_exit
        self.incarnation = uuid.uuid4().hex
        self.boot = boot_id()
        self.shelf = Shelf(folder, spool.Quota(quota))
        self.journal = Journal(folder)
        self.memory = MemoryWatch()
        self.null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self.kin = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)

        self.waiting: dict[str, Invocation] = {}
        self.live: dict[str, Attempt] = {}
        self.ended: dict[str, Record] = {}
        self.leaders: dict[int, Attempt] = {}
        self.undead: dict[int, str] = {}
        self.strays: dict[int, str | set[str]] = {}  # an attempt's key, or those it may be of

        self.deadline: float | None = None
        self.lease_grace = 0.0
        self.is_closing = False
        self.must_close = False
        self.is_orphan = False
        self.idle_since = time.monotonic()
        self.rescan_at = inf
        self.live_at = inf
        self.acknowledged: list[str] = []

        self.epoll = select.epoll()
        self.handlers: dict[int, Callable[[int], None]] = {}
        self.client: socket.socket | None = None
        self.lines = wire.Lines()
        self.held: set[str] = set()  # what a new client has not yet said how to go on with
        self.out: deque[bytes] = deque()
        self.backlog = 0
        self.flushed_at = 0.0

        self.recover()
        self.listener = spool.listen(folder)
        self.wake = self.listen_to_signals()
        self.add(self.listener.fileno(), lambda _: self.accept())

    # What a former runner left

    def recover(self) -> None:
        begun, exits, boot = self.journal.read()
        for key in begun:
            exits[key] = record.of_interrupted(key, boot == self.boot)
        for key, facts in exits.items():
            self.ended[key] = Record(facts, Outlet(self.recover_output(key, facts)))
        self.shelf.clear(keep=self.ended)
        self.compact()

    def recover_output(self, key: str, facts: dict[str, Any]) -> Stored:
        packed = facts.pop("chunks", None)
        if packed is None:
            with contextlib.suppress(FileNotFoundError):
                return Stored.recovered(self.shelf, key)
        stored = Stored(self.shelf, key)
        for segment in wire.unpack(packed or ()):
            stored.add(segment)
        return stored

    def compact(self) -> None:
        entries: list[dict[str, Any]] = [{"start": key} for key in self.live]
        entries += [ended.entry() for ended in self.ended.values()]
        self.journal.rewrite([{"boot": self.boot}, *entries])
        self.acknowledged.clear()

    # Signals

    def listen_to_signals(self) -> int:
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self.ask_to_close())
        signal.signal(signal.SIGINT, lambda *_: self.ask_to_close())
        signal.signal(GUARD_DIED, lambda *_: self.lose_guard())
        self.epoll.register(read, IN)
        return read

    def ask_to_close(self) -> None:
        """In a signal handler: only a word to the loop, which is woken by the same signal."""
        self.must_close = True

    def lose_guard(self) -> None:
        self.is_orphan = True

    def clear_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake, 4096)

    # The loop

    def add(self, fd: int, handler: Callable[[int], None]) -> None:
        self.handlers[fd] = handler
        self.epoll.register(fd, IN)

    def forget(self, fd: int) -> None:
        del self.handlers[fd]
        self.epoll.unregister(fd)

    def run(self) -> None:
        while not self.is_finished():
            self.turn(self.epoll.poll(self.patience()))
        self.journal.write()
        self.flush(force=True)

    def turn(self, events: list[tuple[int, int]]) -> None:
        if any(fd == self.wake for fd, _ in events):
            self.clear_wake()  # before the look: a signal after it wakes us again
            self.reap()
        for fd, _ in events:
            handler = self.handlers.get(fd)
            if handler is not None:
                handler(fd)
        self.keep_time()
        self.fill_slots()
        self.journal.write()
        self.flush()

    def patience(self) -> float:
        now = time.monotonic()
        until = min(self.live_at, self.rescan_at, now + PATIENCE)
        for attempt in self.live.values():
            until = min(until, attempt.deadline)
        if self.deadline is not None:
            until = min(until, now + self.deadline - boottime())
        if self.out and self.client is not None and not self.is_stuck():
            until = min(until, self.flushed_at + FLUSH_EVERY)
        if self.idle_exit is not None and self.is_idle():
            until = min(until, self.idle_since + self.idle_exit)
        return max(0.0, until - now)

    def keep_time(self) -> None:
        now = time.monotonic()
        if self.must_close:
            self.must_close = False
            self.close(stop_commands=True)
        for attempt in list(self.live.values()):
            if attempt.deadline <= now:
                self.reach(attempt, now)
        if self.deadline is not None and boottime() >= self.deadline:
            self.end_lease(now)
        if self.rescan_at <= now:
            self.rescan_at = inf
            self.settle(now)
        if self.live_at <= now:
            self.live_at = inf
            self.send_live()

    def reach(self, attempt: Attempt, now: float) -> None:
        if attempt.is_unkillable(now):
            if attempt.status is None:
                self.undead[attempt.pid] = attempt.key
                del self.leaders[attempt.pid]
            self.finish(attempt)
            return
        attempt.on_deadline(now)
        self.settle(now)

    # Ends

    def reap(self) -> None:
        now = time.monotonic()
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            attempt = self.leaders.pop(pid, None)
            if attempt is not None:
                for fd in list(attempt.pipes):
                    self.forget(fd)
                attempt.on_exit(status, usage, now)
                for fd in attempt.pipes:
                    self.add(fd, self.readable)
            else:
                self.forget_stray(pid)
        self.settle(now)
        self.rescan_at = now + RESCAN

    def forget_stray(self, pid: int) -> None:
        self.undead.pop(pid, None)
        owner = self.strays.pop(pid, None)
        if isinstance(owner, str) and owner in self.live:
            self.live[owner].strays.discard(pid)

    def settle(self, now: float) -> None:
        """Find what lost its parent, and finish what has nothing left."""
        self.find_strays(now)
        for attempt in [a for a in self.live.values() if a.status is not None]:
            if attempt.is_over():
                self.finish(attempt)
            else:
                attempt.linger(now)

    def find_strays(self, now: float) -> None:
        data = os.pread(self.kin, 1 << 16, 0)
        for pid in map(int, data.split()):
            if pid not in self.leaders and pid not in self.undead:
                self.attribute(pid)

    def attribute(self, pid: int) -> None:
        owner = self.strays.get(pid)
        if not isinstance(owner, str):
            found = self.find_owner(pid)
            owner = self.strays[pid] = found if found is not None else self.suspects(owner)
        if isinstance(owner, str):
            attempt = self.live.get(owner)
            if attempt is not None:
                attempt.strays.add(pid)
            if attempt is None or attempt.phase == Phase.KILLED:
                kin.signal_child(pid, signal.SIGKILL)
        elif not owner:
            kin.signal_child(pid, signal.SIGKILL)

    def find_owner(self, pid: int) -> str | None:
        key = kin.mark(pid)
        if key is not None:
            return key
        stat = kin.read_stat(pid)
        for attempt in self.live.values():
            if stat is not None and (
                stat.session == attempt.pid or kin.Identity(pid, stat.started) in attempt.seen
            ):
                return attempt.key
        return None

    def suspects(self, known: set[str] | None) -> set[str]:
        """Nothing says whose it is: it may live as long as one that was there at its birth."""
        return set(self.live) if known is None else known & self.live.keys()

    def finish(self, attempt: Attempt) -> None:
        for fd in attempt.pipes:
            self.forget(fd)
        attempt.release()
        attempt.finish_output()
        evidence = self.memory.look() if record.may_be_out_of_memory(attempt) else None
        del self.live[attempt.key]
        self.conclude(record.of_exit(attempt, time.time(), evidence), attempt.outlet)

    def conclude(self, facts: dict[str, Any], outlet: Outlet | None = None) -> None:
        key = facts["key"]
        ended = Record(facts, outlet or Outlet(Stored(self.shelf, key)))
        self.ended[key] = ended
        self.journal.note(ended.entry())
        self.tell(ended)

    # Starts

    def fill_slots(self) -> None:
        room = self.slots - len(self.live)
        if not self.waiting or room <= 0:
            return
        starts = [(key, self.waiting[key]) for key in list(self.waiting)[:room]]
        for key, _ in starts:
            self.journal.note_start(key)
        self.journal.write()
        for key, invocation in starts:
            del self.waiting[key]
            self.begin(key, invocation)

    def begin(self, key: str, invocation: Invocation) -> None:
        if self.journal.is_full:
            self.journal.reserve()
        try:
            if self.journal.is_full:
                raise SpawnFailed("the runner's disk is full; make room there", retryable=True)
            spawned = spawn(key, invocation, self.null)
        except SpawnFailed as failure:
            self.conclude(record.of_failure(key, failure))
            return
        outlet = Outlet(Stored(self.shelf, key))
        attempt = Attempt(key, invocation, spawned, outlet, self.masks(invocation))
        attempt.begin(time.monotonic())
        self.live[key] = self.leaders[attempt.pid] = attempt
        for fd in attempt.pipes:
            self.add(fd, self.readable)

    def masks(self, invocation: Invocation) -> list[Masker]:
        return [Bare(), Bare()]

    def readable(self, fd: int) -> None:
        attempt = next(a for a in self.live.values() if fd in a.pipes)
        if not attempt.read(fd):
            self.forget(fd)
            attempt.close(fd)
            if attempt.is_over():
                self.finish(attempt)
                return
        if self.live_at == inf:
            self.live_at = time.monotonic() + LIVE_EVERY

    # The client

    def accept(self) -> None:
        peer, _ = self.listener.accept()
        if not spool.is_ours(peer):
            peer.close()
            return
        self.detach()
        peer.setblocking(False)
        self.client = peer
        self.lines = wire.Lines()
        self.held = {*self.live, *self.ended}
        for outlet in self.outlets():
            outlet.rewind()
        for ended in self.ended.values():
            ended.is_told = False
        self.add(peer.fileno(), self.receive)
        self.send(self.hello())
        self.flush(force=True)

    def outlets(self) -> list[Outlet]:
        return [one.outlet for one in (*self.live.values(), *self.ended.values())]

    def hello(self) -> dict[str, Any]:
        return {
            "say": "hello",
            "incarnation": self.incarnation,
            "boot_id": self.boot,
            "pid": os.getpid(),
            "slots": self.slots,
            "waiting": list(self.waiting),
            "live": {
                key: {"pid": a.pid, "size": a.capture.size, "received": a.outlet.received}
                for key, a in self.live.items()
            },
            "ended": {key: ended.outlet.received for key, ended in self.ended.items()},
            "undead": list(self.undead),
        }

    def detach(self) -> None:
        if self.client is not None:
            self.forget(self.client.fileno())
            self.client.close()
            self.client = None
        self.out.clear()
        self.backlog = 0

    def receive(self, _: int) -> None:
        assert self.client is not None
        if self.is_stuck():
            self.push()
            if self.client is None:
                return
        try:
            data = self.client.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.detach()
            self.idle_since = time.monotonic()
            return
        self.obey(data)

    def obey(self, data: bytes) -> None:
        try:
            for line in self.lines.feed(data):
                order = wire.read_order(line)
                self.carry_out(order)
        except wire.Garbled as error:
            self.send({"say": "refused", "error": str(error)})
            self.flush(force=True)
            self.detach()

    def carry_out(self, order: wire.Order) -> None:
        match order["do"]:
            case "start":
                self.enqueue(order["key"], order["invocation"])
            case "stop":
                self.stop(order["key"])
            case "kill":
                self.kill(order["key"])
            case "freeze":
                if order["key"] in self.live:
                    self.live[order["key"]].freeze(time.monotonic())
            case "thaw":
                if order["key"] in self.live:
                    self.live[order["key"]].thaw(time.monotonic())
            case "lease":
                self.deadline, self.lease_grace = order["deadline"], order["grace"]
            case "received":
                self.advance(order["key"], order["offset"])
            case "resume":
                self.resume(order["key"], order["offset"])
            case "go":
                for key in list(self.held):
                    self.resume(key, None)
            case "acknowledge":
                self.acknowledge(order["keys"])
            case "bye":
                self.close(stop_commands=order["stop_commands"])

    def enqueue(self, key: str, packed: dict[str, Any]) -> None:
        if key in self.waiting or key in self.live or key in self.ended:
            return
        try:
            invocation = wire.unpack_invocation(packed)
        except wire.Garbled as error:
            self.conclude(record.of_failure(key, SpawnFailed(str(error), retryable=False)))
            return
        if self.has_lost_lease() and not record.is_kept_through_loss(invocation):
            self.conclude(record.of_unbegun(key, Ending.LOST))
        elif self.is_closing:
            self.conclude(record.of_unbegun(key, Ending.STOPPED))
        else:
            self.waiting[key] = invocation

    def stop(self, key: str) -> None:
        if self.waiting.pop(key, None) is not None:
            self.conclude(record.of_unbegun(key, Ending.STOPPED))
        elif key in self.live:
            attempt = self.live[key]
            attempt.stop(Ending.STOPPED, time.monotonic(), attempt.invocation.grace)

    def kill(self, key: str) -> None:
        if self.waiting.pop(key, None) is not None:
            self.conclude(record.of_unbegun(key, Ending.STOPPED))
        elif key in self.live:
            self.live[key].kill(time.monotonic(), Ending.STOPPED)

    def has_lost_lease(self) -> bool:
        return self.deadline is not None and boottime() >= self.deadline

    def end_lease(self, now: float) -> None:
        """Another holder may begin the same tasks soon: end what may not go on beside it."""
        self.deadline = None
        for key, invocation in list(self.waiting.items()):
            if not record.is_kept_through_loss(invocation):
                del self.waiting[key]
                self.conclude(record.of_unbegun(key, Ending.LOST))
        for attempt in list(self.live.values()):
            if not record.is_kept_through_loss(attempt.invocation):
                grace = min(self.lease_grace, attempt.invocation.grace)
                attempt.stop(Ending.LOST, now, grace)

    def acknowledge(self, keys: list[str]) -> None:
        for key in keys:
            ended = self.ended.pop(key, None)
            if ended is not None:
                ended.outlet.stored.discard()
                self.held.discard(key)
                self.acknowledged.append(key)
        if self.journal.size > COMPACT_AT:
            self.compact()
        elif self.acknowledged:
            self.journal.note({"acknowledged": self.acknowledged})
            self.acknowledged = []

    def close(self, *, stop_commands: bool) -> None:
        self.is_closing = True
        if stop_commands:
            for key in [*self.waiting, *self.live]:
                self.stop(key)

    def is_idle(self) -> bool:
        return self.client is None and not self.live and not self.waiting

    def is_finished(self) -> bool:
        if self.is_orphan:
            return True
        if self.live or self.waiting:
            return False
        if self.is_closing:
            return not self.ended or self.client is None
        waited = time.monotonic() - self.idle_since
        return self.idle_exit is not None and self.is_idle() and waited >= self.idle_exit

    # Output on its way

    def outlet(self, key: str) -> Outlet | None:
        if key in self.live:
            return self.live[key].outlet
        return self.ended[key].outlet if key in self.ended else None

    def advance(self, key: str, offset: int) -> None:
        outlet = self.outlet(key)
        if outlet is not None:
            outlet.received = max(outlet.received, min(offset, outlet.sent))
            self.pump(key)

    def resume(self, key: str, offset: int | None) -> None:
        outlet = self.outlet(key)
        self.held.discard(key)
        if outlet is not None:
            outlet.rewind(offset)
            self.pump(key)

    def send_live(self) -> None:
        for key in self.live:
            self.pump(key)

    def pump(self, key: str) -> None:
        ended = self.ended.get(key)
        if ended is not None:
            self.tell(ended)
        elif key in self.live:
            self.stream(key, self.live[key].outlet)

    def tell(self, ended: Record) -> None:
        """The end itself, once so little output is left that it travels with it."""
        if self.client is None or ended.is_told or ended.key in self.held:
            return
        rest = ended.rest()
        while rest is None and self.stream(ended.key, ended.outlet, once=True):
            rest = ended.rest()
        if rest is not None:
            ended.is_told = True
            self.send(ended.message(rest))

    def stream(self, key: str, outlet: Outlet, once: bool = False) -> bool:
        """Send what the window allows; says whether anything went out."""
        if self.client is None or key in self.held:
            return False
        sent = False
        while outlet.sent - outlet.received < WINDOW and self.backlog < BACKLOG:
            segments = outlet.take(wire.INLINE)
            if not segments:
                break
            self.send({"say": "output", "key": key, "chunks": wire.pack(segments)})
            sent = True
            if once:
                break
        return sent

    def send(self, message: dict[str, Any]) -> None:
        if self.client is not None:
            line = wire.encode(message)
            self.out.append(line)
            self.backlog += len(line)

    def is_stuck(self) -> bool:
        """Whether the client's socket is full and epoll will say when it is not."""
        return self.client is not None and self.flushed_at == inf

    def flush(self, force: bool = False) -> None:
        if not self.out or self.client is None or self.is_stuck():
            return
        now = time.monotonic()
        if force or now - self.flushed_at >= FLUSH_EVERY or not self.live:
            self.flushed_at = now
            self.push()

    def push(self) -> None:
        assert self.client is not None
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
        if done < len(data):
            self.out.append(data[done:])
            self.watch_client(OUT_READY)
            self.flushed_at = inf
        else:
            if self.flushed_at == inf:
                self.watch_client(IN)
                self.flushed_at = time.monotonic()

    def watch_client(self, events: int) -> None:
        assert self.client is not None
        self.epoll.modify(self.client.fileno(), events)
