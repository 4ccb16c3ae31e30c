"""One command's life in the runner: from its spawn to the moment nothing of it is left.

No step waits here: the runner's loop says what happened and what time it is.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable
from enum import IntEnum
from math import inf
from resource import struct_rusage
from typing import Any

from executor import kin
from executor.base import Ending, Invocation
from executor.hearing import Hearing
from executor.masks import Needles, mask_of
from executor.output import Capture
from executor.spawn import Spawned
from executor.stored import Outlet
from executor.wire import Segment

LINGER = 1.0  # seconds that background processes may outlive the command
UNKILLABLE = 3.0  # seconds after KILL until we say that it cannot be killed

READ = 64 << 10
FLOOD_READ = 512 << 10
FLOOD_PIPE = 1 << 20
F_SETPIPE_SZ = 1031
DRAIN = 1 << 20  # read at once from a pipe whose command has ended


class Phase(IntEnum):
    RUNNING = 0
    STOPPING = 1  # TERM was sent
    LINGERING = 2  # the command has ended, something of it has not
    KILLED = 3


class Attempt:
    def __init__(
        self,
        key: str,
        invocation: Invocation,
        spawned: Spawned,
        outlet: Outlet,
        needles: Needles | None,
        unread: Callable[[int], None],
    ):
        self.key = key
        self.invocation = invocation
        self.pid, self.pipes, self.tie = spawned
        self.capture = Capture(invocation.output_cap)
        self.outlet = outlet
        self.needles = needles
        # One for each stream: a secret may be split over two writes to the same one.
        self.masks = [mask_of(needles), mask_of(needles)]
        self.hearing = Hearing(invocation.output)
        self.told_at = -inf  # when the client last heard what it says about itself
        self.unread = unread  # told of each pipe before it is closed
        self.started_at = time.time()
        self.phase = Phase.RUNNING
        self.cause: Ending | None = None
        self.status: int | None = None
        self.usage: struct_rusage | None = None
        self.deadline = inf
        self.frozen_for: float | None = None
        self.strays: set[int] = set()  # the runner's children by adoption that are of this command
        self.seen: set[kin.Identity] = set()
        self.left_behind = 0
        self.is_flooding = False

    # What it prints

    def read(self, fd: int) -> bool:
        """One read; False at the end of the stream."""
        try:
            data = os.read(fd, FLOOD_READ if self.is_flooding else READ)
        except BlockingIOError:
            return True
        if data:
            self.take(self.pipes[fd], data)
        return bool(data)

    def drain(self, fd: int) -> bool:
        """What lies in the pipe of a command that has ended; False at the end of the stream."""
        for _ in range(DRAIN // READ):
            try:
                data = os.read(fd, READ)
            except BlockingIOError:
                return True
            if not data:
                return False
            self.take(self.pipes[fd], data)
        return True

    def take(self, stream: int, data: bytes) -> None:
        masked = self.masks[stream].feed(data)
        if masked:
            self.hearing.feed(stream, masked)
            self.keep(self.capture.feed(stream, masked))
        if self.capture.head_room == 0 and not self.is_flooding:
            self.begin_flood()

    def begin_flood(self) -> None:
        """Its head is full: from now on it is read in large gulps, at a steady pace."""
        self.is_flooding = True
        for fd in self.pipes:
            with contextlib.suppress(OSError):
                fcntl.fcntl(fd, F_SETPIPE_SZ, FLOOD_PIPE)

    def keep(self, segment: Segment | None) -> None:
        if segment is not None and not self.outlet.stored.add(segment):
            self.capture.refuse(segment)
            self.capture.close_head()

    def shown_state(self) -> dict[str, Any]:
        """What it says about itself: masked once more, now that it is read."""
        state = self.hearing.report.state()
        return state if self.needles is None else dict(self.needles.hide_in(state))

    def close(self, fd: int) -> None:
        self.unread(fd)
        del self.pipes[fd]
        os.close(fd)

    def finish_output(self) -> None:
        for stream, mask in enumerate(self.masks):
            rest = mask.flush()
            if rest:
                self.hearing.feed(stream, rest)
                self.keep(self.capture.feed(stream, rest))
        self.hearing.finish()
        for segment in self.capture.finish():
            if not self.outlet.stored.add(segment):
                self.capture.refuse(segment)

    # How it ends

    def begin(self, now: float) -> None:
        if self.invocation.timeout is not None:
            self.deadline = now + self.invocation.timeout

    def stop(self, cause: Ending, now: float, grace: float) -> None:
        """TERM, and CONT so that a stopped process can take it; KILL when the grace is over."""
        if self.phase != Phase.RUNNING:
            return
        self.cause = cause
        self.phase = Phase.STOPPING
        self.frozen_for = None
        self.deadline = now + grace
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

    def kill(self, now: float, cause: Ending | None = None) -> None:
        if self.cause is None and self.status is None:
            self.cause = cause
        if self.status is not None:
            self.left_behind = len(self.strays) + len(kin.descendants(list(self.strays)))
        self.phase = Phase.KILLED
        self.frozen_for = None
        self.deadline = now + UNKILLABLE
        self.remember(self.below())
        if self.status is None:
            kin.signal_group(self.pid, signal.SIGKILL)
        self.untie()
        self.kill_strays()

    def kill_strays(self) -> None:
        for pid in self.strays:
            kin.signal_child(pid, signal.SIGKILL)

    def untie(self) -> None:
        """The kernel kills the group as it was, whoever may bear its number by now."""
        if self.tie >= 0:
            os.close(self.tie)
            self.tie = -1

    def freeze(self, now: float) -> None:
        if self.phase == Phase.RUNNING and self.frozen_for is None:
            self.frozen_for = self.deadline - now
            self.deadline = inf
            self.signal(signal.SIGSTOP)

    def thaw(self, now: float) -> None:
        if self.frozen_for is not None:
            self.deadline = now + self.frozen_for
            self.frozen_for = None
            self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        """To the group, and to whatever left it."""
        if self.status is None:
            kin.signal_group(self.pid, number)
        for pid in self.strays:
            kin.signal_child(pid, number)
        below = self.below()
        self.remember(below)
        for identity in below:
            stat = kin.read_stat(identity.pid)
            if stat is not None and stat.group != self.pid:
                kin.signal_stranger(identity, number)

    def below(self) -> list[kin.Identity]:
        roots = [*self.strays] if self.status is not None else [self.pid, *self.strays]
        found = map(kin.identify, kin.descendants(roots))
        return [identity for identity in found if identity is not None]

    def remember(self, identities: list[kin.Identity]) -> None:
        self.seen.update(identities)

    def on_deadline(self, now: float) -> None:
        if self.phase == Phase.RUNNING:
            self.stop(Ending.TIMED_OUT, now, self.invocation.grace)
        elif self.phase != Phase.KILLED:
            self.kill(now)

    def on_exit(self, status: int, usage: struct_rusage) -> None:
        self.status = status
        self.usage = usage
        for fd in list(self.pipes):
            if not self.drain(fd):
                self.close(fd)

    def linger(self, now: float) -> None:
        """Something outlives the command: it gets a moment, or what is left of the grace."""
        if self.phase == Phase.RUNNING:
            self.phase = Phase.LINGERING
            self.deadline = now + LINGER

    def is_over(self) -> bool:
        if self.status is None or self.strays:
            return False
        return not self.pipes or self.phase == Phase.KILLED

    def is_unkillable(self, now: float) -> bool:
        return self.phase == Phase.KILLED and now >= self.deadline

    def release(self) -> None:
        for fd in list(self.pipes):
            self.drain(fd)
            self.close(fd)
        self.untie()
