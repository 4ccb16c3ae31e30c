"""The pipes of all live commands: read when there is something, floods at a steady pace."""

import time
from collections.abc import Callable
from math import inf

from executor.attempt import Attempt
from executor.poller import Poller

LIVE_EVERY = 0.1  # how long output of a running command waits to be sent together
FLOOD_EVERY = 0.002  # with one read of half a MiB at most in each: 250 MB/s


class Pipes:
    def __init__(self, poller: Poller, on_end: Callable[[Attempt], None]):
        self.poller = poller
        self.on_end = on_end  # told when the last pipe of an attempt has ended
        self.readers: dict[int, Attempt] = {}
        self.paused: set[int] = set()  # pipes of floods, until their next turn
        self.unpause_at = inf
        self.live_at = inf  # when what was read is to be sent

    def add(self, attempt: Attempt) -> None:
        for fd in attempt.pipes:
            self.readers[fd] = attempt
            self.poller.add(fd, self.read)

    def forget(self, fd: int) -> None:
        del self.readers[fd]
        if fd in self.paused:
            self.paused.remove(fd)
        else:
            self.poller.forget(fd)

    def read(self, fd: int) -> None:
        attempt = self.readers[fd]
        if not attempt.read(fd):
            attempt.close(fd)
            if not attempt.pipes:
                self.on_end(attempt)
            return
        if attempt.is_flooding:
            self.pause(fd)
        if self.live_at == inf:
            self.live_at = time.monotonic() + LIVE_EVERY

    def pause(self, fd: int) -> None:
        """A flood waits for its next turn, so that it leaves the machine to others."""
        self.poller.forget(fd)
        self.paused.add(fd)
        if self.unpause_at == inf:
            self.unpause_at = time.monotonic() + FLOOD_EVERY

    def unpause(self) -> None:
        self.unpause_at = inf
        for fd in self.paused:
            self.poller.add(fd, self.read)
        self.paused.clear()
