"""Processes that lost their parent and became the runner's children: whose are they?"""

import os
import signal
from collections.abc import Container, Mapping

from executor import kin
from executor.attempt import Attempt, Phase


class Strays:
    """A stray belongs to the attempt that marks its environment, whose session it is in, or
    below whose process it was seen. Where nothing tells, it may live as long as one of the
    attempts that were live when it was found."""

    def __init__(self, live: Mapping[str, Attempt]):
        self.live = live
        self.owners: dict[int, str | set[str]] = {}
        self.children = os.open(
            f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC
        )

    def find(self, known: Container[int]) -> None:
        """Look at every child that is not the first process of a command."""
        for pid in map(int, os.pread(self.children, 1 << 16, 0).split()):
            if pid not in known:
                self.attribute(pid)

    def forget(self, pid: int) -> None:
        """It was reaped."""
        owner = self.owners.pop(pid, None)
        if isinstance(owner, str) and owner in self.live:
            self.live[owner].strays.discard(pid)

    def attribute(self, pid: int) -> None:
        owner = self.owners.get(pid)
        if not isinstance(owner, str):
            owner = self.owners[pid] = self.find_owner(pid) or self.suspect(owner)
        if isinstance(owner, str):
            self.hand_over(pid, owner)
        elif not owner:
            kin.signal_child(pid, signal.SIGKILL)

    def hand_over(self, pid: int, owner: str) -> None:
        attempt = self.live.get(owner)
        if attempt is not None:
            attempt.strays.add(pid)
        if attempt is None or attempt.phase == Phase.KILLED:
            kin.signal_child(pid, signal.SIGKILL)

    def find_owner(self, pid: int) -> str | None:
        return kin.mark(pid) or self.find_relative(pid)

    def find_relative(self, pid: int) -> str | None:
        stat = kin.read_stat(pid)
        if stat is None:
            return None
        for attempt in self.live.values():
            if stat.session == attempt.pid or kin.Identity(pid, stat.started) in attempt.seen:
                return attempt.key
        return None

    def suspect(self, known: set[str] | None) -> str | set[str]:
        left = set(self.live) if known is None else known & self.live.keys()
        return left.pop() if len(left) == 1 else left
