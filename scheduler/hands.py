"""What a worker carries commands out with: its runner, or nothing at all."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from executor.base import Outcome
from scheduler.domain.tasks import Claimed
from scheduler.store.output import Chunk

Ended = Callable[[str, Outcome, tuple[Chunk, ...]], None]
Printed = Callable[[Sequence[Chunk]], None]


class Hands(Protocol):
    @property
    def busy(self) -> int:
        """How many commands were begun and have not ended."""

    def attach(self, ended: Ended, printed: Printed) -> None: ...
    def known(self) -> Collection[str]:
        """The attempts that live here, or ended here and are not acknowledged."""

    def adopt(self, stored: Mapping[str, int]) -> None:
        """Go on with these, their output from where it is stored; end all others."""

    def start(self, task: Claimed) -> None: ...
    def want(self, key: str, what: str) -> None: ...
    def lease(self, deadline: float) -> None: ...
    def stored(self, chunks: Sequence[Chunk]) -> None: ...
    def acknowledge(self, keys: Sequence[str]) -> None: ...
    def stop_all(self) -> None: ...
    async def gone(self) -> None:
        """Waits until there is nothing to carry commands out with any more."""
