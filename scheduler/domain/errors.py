"""Everything we refuse to do, in four families.

Code that talks to people (the API, the dashboard, the CLI) knows only the families;
code that decides catches the leaf it means.

* NotFound      there is no such thing
* Conflict      there is, but not in a state that allows this
* Invalid       the request itself makes no sense
* Unavailable   ask again later
"""

from collections.abc import Sequence


class Refusal(Exception):
    """The message is for the person who asked, so it says what to do about it."""

    def __init__(self, message: str, *, field: str | None = None, remedy: str | None = None):
        super().__init__(message)
        self.field = field
        self.remedy = remedy


class NotFound(Refusal): ...


class Conflict(Refusal): ...


class Invalid(Refusal): ...


class Unavailable(Refusal): ...


class TooMany(Unavailable):
    """Asked too often; the next time may be in so many seconds."""

    def __init__(self, message: str, *, seconds: int):
        super().__init__(message, remedy=f"ask again in {seconds} s")
        self.seconds = seconds


class Forbidden(Refusal):
    """Who asks is known and may not do this."""


class Unauthenticated(Refusal):
    """Nobody knows who asks."""


class InvalidDefinition(Invalid):
    """Each fault stands on a line of its own: `file:line:column: path: what and what to do`."""

    def __init__(self, faults: Sequence[str]):
        super().__init__("\n".join(faults))
        self.faults = list(faults)
