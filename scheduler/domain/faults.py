"""What is wrong with a value, and where in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.domain.errors import Invalid


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where: the names and numbers that lead there from the whole."""

    path: tuple[str | int, ...]
    text: str


class Unfit(Invalid):
    """A value that its schema does not allow; the message names all faults."""

    def __init__(self, message: str, *, field: str, faults: Sequence[Fault]):
        super().__init__(message, field=field)
        self.faults = tuple(faults)
