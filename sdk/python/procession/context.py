"""What a handler may know and say of the attempt that it carries out."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from procession.messages import Log, Offer, Progress
from procession.telling import clean
from procession.values import Unfit, check_json

LOOK_EVERY = 0.1  # seconds
MOST_LOG = 64 << 10  # characters of one message
MOST_UNSAID = 4 << 20  # characters that wait to be said; what is more is left out
LEFT_OUT = "\n… left out: it was printed faster than it could be sent …\n"


class Cancelled(Exception):
    """Raised by `checkpoint` when the attempt is to stop. A handler lets it pass."""


class Context:
    """Given to handlers as their second argument. May be used from any thread."""

    def __init__(self, offer: Offer, worker: str, flush: Callable[["Context"], None]) -> None:
        self.offer = offer
        self.worker = worker
        self.cancelled = threading.Event()
        self.reason = ""
        self._may_go_on = threading.Event()
        self._may_go_on.set()
        self.deadline = None if offer.timeout is None else time.monotonic() + offer.timeout
        self._flush = flush
        self._lock = threading.Lock()
        self._texts: list[str] = []
        self._unsaid = 0
        self._offset = 0
        self._progress: Progress | None = None
        self._is_flushing = False

    @property
    def attempt(self) -> str:
        """This attempt, `TASK.NUMBER`: nothing else is ever called so."""
        return self.offer.attempt

    @property
    def action(self) -> str:
        return self.offer.action

    @property
    def run(self) -> str:
        return self.offer.run

    @property
    def task(self) -> str:
        """Its name in the definition."""
        return self.offer.task

    @property
    def type_name(self) -> str:
        return self.offer.type_name

    @property
    def number(self) -> int:
        """Which attempt of the task this is, from 1."""
        return self.offer.number

    @property
    def key(self) -> str:
        """The same for every attempt of the task: for effects that may happen only once."""
        return self.offer.key

    @property
    def is_cancelled(self) -> bool:
        return self.cancelled.is_set()

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    @property
    def is_held(self) -> bool:
        return not self._may_go_on.is_set()

    def checkpoint(self) -> None:
        """Raises `Cancelled` if the attempt is to stop; while it is held, waits. For handlers in
        threads; others have `acheckpoint`."""
        self._may_go_on.wait()
        if self.cancelled.is_set():
            raise Cancelled(self.reason)

    async def acheckpoint(self) -> None:
        """The same for handlers that are `async`, which are cancelled if they are to stop."""
        while self.is_held:  # noqa: ASYNC110 - what ends it is set in whatever thread
            await asyncio.sleep(LOOK_EVERY)
        self.checkpoint()

    def hold(self, wanted: bool) -> None:
        """By whoever carries it out."""
        if self.cancelled.is_set() or not wanted:
            self._may_go_on.set()
        else:
            self._may_go_on.clear()

    def cancel(self, reason: str) -> None:
        """By whoever carries it out."""
        self.reason = reason
        self.cancelled.set()
        self._may_go_on.set()

    def progress(
        self,
        percent: float | None = None,
        message: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """How far it is. Only the newest counts."""
        if percent is not None and not 0 <= percent <= 100:
            raise ValueError(f"percent: a number from 0 to 100 is due, not {percent}")
        if data is not None:
            checked(data)
        told = None if message is None else clean(str(message))[:2_000]
        with self._lock:
            self._progress = Progress(self.attempt, percent, told, data)
        self._wake()

    def log(self, text: str) -> None:
        """A line of the attempt's output."""
        self.write(f"{text}\n")

    def print(self, *values: object, sep: str = " ", end: str = "\n") -> None:
        """As the function, into the attempt's output."""
        self.write(sep.join(str(each) for each in values) + end)

    def write(self, text: str) -> None:
        """As the method of a file, so a handler of the standard library may log here."""
        told = clean(text)
        with self._lock:
            if self._unsaid > MOST_UNSAID:
                return
            self._unsaid += len(told)
            self._texts.append(told if self._unsaid <= MOST_UNSAID else LEFT_OUT)
        self._wake()

    def flush(self) -> None:
        """Files have this. What is written is on its way already."""

    def _wake(self) -> None:
        with self._lock:
            if self._is_flushing:
                return
            self._is_flushing = True
        self._flush(self)

    def take(self) -> list[Log | Progress]:
        """What is to be said of it now: for whoever carries it out."""
        with self._lock:
            text = "".join(self._texts)
            progress, self._progress = self._progress, None
            self._texts, self._unsaid, self._is_flushing = [], 0, False
        said: list[Log | Progress] = []
        for begin in range(0, len(text), MOST_LOG):
            said.append(self._log(text[begin : begin + MOST_LOG]))
        return said if progress is None else [*said, progress]

    def _log(self, text: str) -> Log:
        log = Log(self.attempt, self._offset, text)
        self._offset += len(text.encode())
        return log


def checked(data: Mapping[str, Any]) -> None:
    try:
        check_json(dict(data), "data", 8)
    except Unfit as error:
        raise ValueError(str(error)) from None
