"""What carries frames to the server and back: a stream, or polls where streams do not get through.

One of them at a time holds the baton. `Bearer` is the agent, as they see it.
"""

from typing import Protocol

from edge.messages import Frame


class Line(Protocol):
    """One connection, as the agent sees it: what it is given to say, it says in that order."""

    @property
    def carrier(self) -> str: ...
    def say(self, texts: list[str]) -> None: ...
    def cut(self, why: str) -> None:
        """It is of no use any more."""


class Bearer(Protocol):
    """Each is called at once, and takes no time."""

    def opened(self, line: Line) -> None:
        """This one holds the baton from now on; what came by another counts no more."""

    def heard(self, line: Line, frame: Frame) -> None: ...
    def lost(self, line: Line, why: str) -> None: ...
    def nothing(self) -> str:
        """A frame that says nothing, for whoever only asks."""
