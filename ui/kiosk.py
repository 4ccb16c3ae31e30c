"""What stands on the page of one station, for whoever stands before it.

The same page is drawn by the server, over its database, and by the workstation itself, from its own
book, when the server is away. Both gather a `Station`, and the template knows nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ui.schema_forms import Field

HOLD, RESUME, STOP, RESET = "hold", "resume", "stop", "reset"
OFTEN = 10


@dataclass(frozen=True, slots=True)
class Button:
    verb: str
    text: str
    obstacle: str | None = None  # why it is grey


@dataclass(frozen=True, slots=True)
class Work:
    """A run, or a single task, that concerns whoever stands there."""

    id: str  # sent with whatever is pressed
    title: str
    state: str
    record: str | None = None
    task: str | None = None
    text: str = ""  # what to do: the description of the task
    said: str = ""  # by the command, of itself
    progress: float | None = None  # share
    since: datetime | None = None
    over: int = 0
    total: int = 0
    error: str = ""
    condition: str = ""  # a word as of a state, and no failure
    href: str | None = None
    buttons: Sequence[Button] = ()


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    message: str
    about: str
    fields: Sequence[Field] = ()
    asked_at: datetime | None = None
    due_at: datetime | None = None
    note: str = ""  # as it was typed
    fault: str = ""
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class Coming:
    title: str
    task: str = ""
    record: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """A process that may be started by whoever stands there."""

    name: str
    text: str = ""
    fields: Sequence[Field] = ()
    fault: str = ""
    key: str = ""  # a form that is sent twice starts one


@dataclass(frozen=True, slots=True)
class Notice:
    text: str
    tone: str = "hold"


@dataclass(frozen=True, slots=True)
class Station:
    name: str
    state: str
    home: str  # where its forms go: `home/hold`
    notices: Sequence[Notice] = ()
    work: Sequence[Work] = ()
    questions: Sequence[Question] = ()
    coming: Sequence[Coming] = ()
    begins: Sequence[Begin] = ()
    more: int = 0  # that is in hand and not shown
    draining: bool = False
    drain: Button | None = None


def refresh(station: Station, begin: str = "") -> int | None:
    """Seconds until a page without a script loads itself anew: not while somebody writes on it."""
    return None if begin or station.questions else OFTEN
