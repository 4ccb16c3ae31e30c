"""What carries out workflows, as a worker sees it, and what it is given to speak by.

`Worker.host(…)` takes a host. Offers with `workflow` go to it, each with a `Line` of its own;
everything is called in the worker's event loop, takes no time, and must not raise.
"""

from collections.abc import Sequence
from typing import Protocol

from procession.messages import (
    Command,
    Ended,
    FlowHeard,
    FlowSaid,
    Log,
    Offer,
    Progress,
    Published,
)


class Line(Protocol):
    """What an attempt says to its server. After its end, `Parked` or `lost` nothing is heard."""

    @property
    def attempt(self) -> str: ...
    @property
    def worker(self) -> str:
        """The worker's name."""

    def say(self, message: FlowSaid | Progress | Log) -> None:
        """Lost if there is no connection, but for logs and progress; `met` says when to say again
        what was not acknowledged. `Diverged` puts the attempt down."""

    def end(self, ended: Ended) -> None:
        """Said again until it is acknowledged. The attempt is not in hand any more."""

    def hand_back(self, why: str) -> None:
        """Nothing of it has begun."""


class Hosted(Protocol):
    """An attempt of a workflow that is in hand."""

    def heard(self, message: FlowHeard) -> None:
        """`Parked` is the last thing: the attempt is over here, and will be offered again."""

    def commanded(self, command: Command) -> None:
        """Once for each change of what is wanted."""

    def met(self) -> None:
        """There is a new connection: whatever was not acknowledged has to be said again."""

    def lost(self, why: str) -> None:
        """It is not this worker's any more: everything stops, and nothing is said of it."""

    def closing(self) -> None:
        """The worker is about to leave: park or come to an end where that is soon."""


class Host(Protocol):
    def published(self) -> Sequence[Published]:
        """The workflows that are served, for hello."""

    def begin(self, offer: Offer, line: Line) -> Hosted: ...
