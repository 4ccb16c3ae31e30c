"""The runner's loop: owns commands, and outlives the worker it runs them for.

One thread, one epoll, no database. In each turn the journal is written before anything it speaks
of is done or told.
"""

import contextlib
import os
import signal
import time
import uuid
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from executor import kept, record, spool, wire
from executor.attempt import Attempt
from executor.base import Ending, Invocation
from executor.courier import Courier
from executor.evidence import MemoryWatch
from executor.guard import GUARD_DIED
from executor.journal import Journal
from executor.masks import Shared, mask_of
from executor.pipes import Pipes
from executor.poller import Poller
from executor.record import Record
from executor.recovery import recover
from executor.reports import Reports
from executor.secret_files import SecretFiles
from executor.spawn import SpawnFailed, spawn
from executor.stored import Outlet, Shelf, Stored
from executor.strays import Strays

RESCAN = 0.2  # after the last exit: what lost its parent in that very moment
PATIENCE = 60.0
NEWS_EVERY = 1.0


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
        self.needles = Shared()
        self.secret_files = SecretFiles(folder)
        self.reports = Reports(folder, self.shelf)
        self.null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

        self.waiting: dict[str, Invocation] = {}
        self.live: dict[str, Attempt] = {}
        self.ended = recover(self.journal, self.shelf, self.boot)
        self.leaders: dict[int, Attempt] = {}  # unreaped first processes
        self.undead: dict[int, str] = {}

        self.lease: float | None = None  # on CLOCK_BOOTTIME
        self.lease_grace = 0.0
        self.is_closing = False
        self.must_close = False
        self.is_orphan = False
        self.rescan_at = inf
        self.tell_at = inf  # when somebody's news is due

        self.poller = Poller()
        self.pipes = Pipes(self.poller, self.end_of_output)
        self.strays = Strays(self.live)
        self.courier = Courier(self.poller, self.live, self.ended, self.obey)
        self.compact()
        self.wake = self.listen_to_signals()
        self.listener = spool.listen(folder)
        self.poller.add(self.listener.fileno(), self.accept)

    def compact(self) -> None:
        entries: list[dict[str, Any]] = [{"boot": self.boot}]
        entries += [{"start": key} for key in self.live]
        entries += [ended.entry() for ended in self.ended.values()]
        self.journal.rewrite(entries)

    # Signals: their handlers leave a word, the loop is woken by the same signal

    def listen_to_signals(self) -> int:
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.ask_to_close())
        signal.signal(signal.SIGINT, lambda *_: self.ask_to_close())
        signal.signal(GUARD_DIED, lambda *_: self.lose_guard())
        self.poller.add(read, self.woken)
        return read

    def ask_to_close(self) -> None:
        self.must_close = True

    def lose_guard(self) -> None:
        self.is_orphan = True

    def woken(self, fd: int) -> None:
        """Emptied before the look: a signal that comes after it wakes us again."""
        with contextlib.suppress(BlockingIOError):
            os.read(fd, 4096)
        self.reap()

    # The loop

    def run(self) -> None:
        while not self.is_finished():
            self.turn(self.poller.wait(self.patience()))
        self.journal.write()
        self.courier.push()
        self.secret_files.close()

    def turn(self, fds: list[int]) -> None:
        if self.wake in fds:  # first: it spares the reads at the end of a command's pipes
            fds.remove(self.wake)
            self.woken(self.wake)
        self.poller.dispatch(fds)
        self.keep_time()
        self.fill_slots()
        self.journal.write()
        self.courier.flush(is_busy=bool(self.waiting))

    def patience(self) -> float:
        now = time.monotonic()
        pipes = self.pipes
        until = min(pipes.live_at, pipes.unpause_at, self.rescan_at, self.next_idle_exit())
        until = min(until, self.tell_at, now + PATIENCE)
        for attempt in self.live.values():
            until = min(until, attempt.deadline)
        if self.lease is not None and self.lease > boottime():
            until = min(until, now + self.lease - boottime())
        flush_at = self.courier.next_flush()
        if flush_at is not None:
            until = min(until, flush_at)
        return max(0.0, until - now)

    def keep_time(self) -> None:
        now = time.monotonic()
        if self.must_close:
            self.must_close = False
            self.close(stop_commands=True)
        for attempt in list(self.live.values()):
            if attempt.deadline <= now and attempt.key in self.live:
                self.reach_deadline(attempt, now)
        if self.lease is not None and boottime() >= self.lease:
            self.end_lease(now)
        if self.rescan_at <= now:
            self.rescan_at = inf
            self.settle(now)
        if self.pipes.unpause_at <= now:
            self.pipes.unpause()
        if self.pipes.live_at <= now:
            self.pipes.live_at = inf
            self.send_live()
        if self.tell_at <= now:
            self.tell_news(now)

    def reach_deadline(self, attempt: Attempt, now: float) -> None:
        if attempt.is_unkillable(now):
            self.give_up(attempt)
        else:
            attempt.on_deadline(now)
            self.settle(now)

    def give_up(self, attempt: Attempt) -> None:
        """It does not die. Its slot is free again, and it is named to whoever asks."""
        if attempt.status is None:
            self.undead[attempt.pid] = attempt.key
            del self.leaders[attempt.pid]
        self.finish(attempt)

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
            if attempt is None:
                self.undead.pop(pid, None)
                self.strays.forget(pid)
            else:
                attempt.on_exit(status, usage)
        self.settle(now)
        self.rescan_at = now + RESCAN

    def settle(self, now: float) -> None:
        """Find what lost its parent, and finish what has nothing left."""
        self.strays.find(known={*self.leaders, *self.undead})
        for attempt in [a for a in self.live.values() if a.status is not None]:
            if attempt.is_over():
                self.finish(attempt)
            else:
                attempt.linger(now)

    def finish(self, attempt: Attempt) -> None:
        attempt.release()
        attempt.finish_output()
        self.secret_files.remove(attempt.key)
        evidence = self.memory.look() if record.may_be_out_of_memory(attempt) else None
        ended_at = time.time()
        said = self.reports.conclude(attempt, lambda: mask_of(attempt.needles))
        del self.live[attempt.key]
        self.conclude(record.of_exit(attempt, ended_at, evidence, said), attempt.outlet)

    def end_of_output(self, attempt: Attempt) -> None:
        if attempt.is_over():
            self.finish(attempt)

    def conclude(self, facts: dict[str, Any], outlet: Outlet | None = None) -> None:
        key = facts["key"]
        ended = Record(facts, outlet or Outlet(Stored(self.shelf, key)))
        self.ended[key] = ended
        self.journal.note(ended.entry())
        self.courier.tell(ended)

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
        needles = self.needles.of(invocation.hidden)
        try:
            self.journal.demand_room()
            ours = self.reports.prepare(key, invocation.user)
            spawned = spawn(key, self.with_secrets(key, invocation), self.null, ours)
        except SpawnFailed as failure:
            self.secret_files.remove(key)
            self.reports.forget(key)
            self.conclude(record.of_failure(key, failure, needles))
            return
        outlet = Outlet(Stored(self.shelf, key))
        attempt = Attempt(key, invocation, spawned, outlet, needles, self.pipes.forget)
        attempt.begin(time.monotonic())
        self.live[key] = self.leaders[attempt.pid] = attempt
        self.pipes.add(attempt)
        self.courier.tell_start(key, attempt.pid, attempt.started_at)

    def with_secrets(self, key: str, invocation: Invocation) -> Invocation:
        paths = self.secret_files.lay_out(key, invocation.secret_files, invocation.user)
        if not paths and not invocation.secrets:
            return invocation
        return replace(invocation, env={**invocation.env, **invocation.secrets, **paths})

    def send_live(self) -> None:
        for key, attempt in self.live.items():
            self.courier.stream(key, attempt.outlet)
            if attempt.hearing.report.has_news:
                self.tell_at = min(self.tell_at, attempt.told_at + NEWS_EVERY)

    def tell_news(self, now: float) -> None:
        """What commands say about themselves: of each not more often than every second."""
        self.tell_at = inf
        if self.courier.client is None:
            return
        for attempt in self.live.values():
            if not attempt.hearing.report.has_news:
                continue
            if attempt.told_at + NEWS_EVERY > now or not self.courier.tell_news(attempt):
                self.tell_at = min(self.tell_at, max(attempt.told_at, now) + NEWS_EVERY)
            else:
                attempt.told_at = now

    # What the client orders

    def accept(self, _: int) -> None:
        with contextlib.suppress(OSError):
            peer, _address = self.listener.accept()
            self.courier.welcome(peer, self.hello())
            for attempt in self.live.values():
                attempt.hearing.report.has_news = bool(attempt.hearing.report.state())
            self.tell_at = time.monotonic()

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

    def obey(self, order: wire.Order) -> None:
        match order["do"]:
            case "start":
                self.enqueue(order["key"], order["invocation"])
            case "acknowledge":
                self.acknowledge(order["keys"])
            case "received":
                self.courier.advance(order["key"], order["offset"])
            case "resume":
                self.courier.resume(order["key"], order["offset"])
            case "read":
                self.courier.show(order["key"], order["offset"], order["size"])
            case "tell_starts":
                self.courier.tells_starts = True
            case "go":
                self.courier.resume_rest()
            case "lease":
                self.lease, self.lease_grace = order["deadline"], order["grace"]
            case "bye":
                self.close(stop_commands=order["stop_commands"])
            case act:
                self.act_on(order["key"], act)

    def act_on(self, key: str, act: str) -> None:
        now = time.monotonic()
        attempt = self.live.get(key)
        if attempt is None:
            if act in ("stop", "kill"):
                self.withdraw(key, Ending.STOPPED)
        elif act == "stop":
            attempt.stop(Ending.STOPPED, now, attempt.invocation.grace)
        elif act == "kill":
            attempt.kill(now, Ending.STOPPED)
        elif act == "freeze":
            attempt.freeze(now)
        else:
            attempt.thaw(now)

    def enqueue(self, key: str, packed: dict[str, Any]) -> None:
        if key in self.waiting or self.courier.knows(key):
            return
        try:
            invocation = wire.unpack_invocation(packed)
        except wire.Garbled as error:
            self.conclude(record.of_failure(key, SpawnFailed(str(error), retryable=False)))
            return
        self.waiting[key] = invocation
        if self.is_closing:
            self.withdraw(key, Ending.STOPPED)

    def withdraw(self, key: str, ending: Ending) -> None:
        if self.waiting.pop(key, None) is not None:
            self.conclude(record.of_unbegun(key, ending))

    def end_lease(self, now: float) -> None:
        """Another holder may begin the same tasks soon: end what may not go on beside it.

        The lease stays over until a new one comes, for starts that arrive meanwhile.
        """
        for key, invocation in list(self.waiting.items()):
            if invocation.on_lost != "wait":
                self.withdraw(key, Ending.LOST)
        for attempt in self.live.values():
            if attempt.invocation.on_lost != "wait":
                grace = min(self.lease_grace, attempt.invocation.grace)
                attempt.stop(Ending.LOST, now, grace)

    def acknowledge(self, keys: list[str]) -> None:
        known = [key for key in keys if key in self.ended]
        for key in known:
            forgotten = self.ended.pop(key)
            forgotten.outlet.stored.discard()
            kept.discard(forgotten.files, self.shelf)
        if self.journal.size > self.journal.compact_at:
            self.compact()
        elif known:
            self.journal.note({"acknowledged": known})

    def close(self, *, stop_commands: bool) -> None:
        self.is_closing = True
        if stop_commands:
            for key in [*self.waiting, *self.live]:
                self.act_on(key, "stop")

    # Whether to go on

    def is_idle(self) -> bool:
        return self.courier.client is None and not self.live and not self.waiting

    def next_idle_exit(self) -> float:
        if self.idle_exit is None or not self.is_idle():
            return inf
        return self.courier.alone_since + self.idle_exit

    def is_finished(self) -> bool:
        if self.is_orphan:
            return True
        if self.live or self.waiting:
            return False
        if self.is_closing:
            return not self.ended or self.courier.client is None
        return time.monotonic() >= self.next_idle_exit()
