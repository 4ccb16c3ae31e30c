"""Threads for handlers that block, as many as there are slots, begun when they are needed.

A thread cannot be ended from outside: one whose attempt is given up goes on until its handler
returns, and another takes its place meanwhile.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue

Work = Callable[[], None]


class Threads:
    """Called in one thread only; `work` runs in others."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.queue: SimpleQueue[Work | None] = SimpleQueue()
        self.count = 0  # of threads that take work
        self.busy = 0  # works that were given and are not over

    def give(self, work: Work) -> None:
        self.busy += 1
        if self.count < min(self.busy, self.most):
            self.begin()
        self.queue.put(work)

    def begin(self) -> None:
        self.count += 1
        threading.Thread(target=self.serve, name="procession-handler", daemon=True).start()

    def serve(self) -> None:
        while (work := self.queue.get()) is not None:
            work()

    def over(self) -> None:
        self.busy -= 1

    def replace(self) -> None:
        """One is held by a work that nobody waits for: another serves instead of it."""
        self.most += 1

    def returned(self) -> None:
        """A work that nobody waited for is over after all: one thread less."""
        self.over()
        self.most -= 1
        if self.count > self.most:
            self.count -= 1
            self.queue.put(None)

    def close(self) -> None:
        for _ in range(self.count):
            self.queue.put(None)
