"""How what became of an attempt is told: results as JSON, exceptions as errors. Pure."""

import json
import traceback
from dataclasses import replace
from typing import Any

from procession.messages import Ended, Error
from procession.values import Unfit, check_json
from procession.wire import MOST_MESSAGE

DEEPEST = 64  # as inputs and outputs of the API


class Failure(Exception):
    """Raised by a handler that knows why it cannot do what it was asked.

    `retryable=False` says that another attempt would fail too.
    """

    def __init__(self, message: str, *, retryable: bool = True, type: str = "Failure") -> None:
        super().__init__(message)
        self.message = message
        self.retryable = retryable
        self.type = type


def succeeded(attempt: str, result: Any) -> Ended:
    """Or failed, if nothing could carry the result."""
    if result is None or result is True or result is False:
        return Ended(attempt, "SUCCEEDED", result)
    try:
        check_json(result, "the result", DEEPEST)
    except Unfit as error:
        return unfit(
            attempt, "ResultNotJson", f"{error}. A handler returns a text, or what JSON has"
        )
    except RecursionError:
        return unfit(attempt, "ResultNotJson", "the result contains itself")
    size = size_of(result)
    if size > MOST_MESSAGE:
        return unfit(
            attempt,
            "ResultTooLarge",
            f"the result has {size} bytes, and {MOST_MESSAGE} can be told. "
            "Keep it somewhere, and return where",
        )
    return Ended(attempt, "SUCCEEDED", result)


def size_of(result: Any) -> int:
    if isinstance(result, (int, float)):
        return 0
    if isinstance(result, str) and len(result) < 1_000:
        return 0  # small enough, however it is written
    return len(json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode())


def unfit(attempt: str, kind: str, message: str) -> Ended:
    return failed(attempt, Error(kind, clipped(message, 2_000)), retryable=False)


def raised(attempt: str, error: BaseException) -> Ended:
    """Of a handler, with its type, message and trace."""
    if isinstance(error, Failure):
        return failed(attempt, described(error, error.type), retryable=error.retryable)
    return failed(attempt, described(error, name_of(type(error))))


def described(error: BaseException, kind: str) -> Error:
    trace = "".join(traceback.format_exception(error))
    return Error(clipped(kind, 200), clipped(worded(error), 2_000), clipped_front(trace, 16_000))


def worded(error: BaseException) -> str:
    """What it says, even if saying it fails."""
    try:
        return str(error)
    except Exception:
        return f"a {type(error).__name__} that cannot be written"


def name_of(kind: type[BaseException]) -> str:
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def failed(attempt: str, error: Error, *, retryable: bool = True) -> Ended:
    return Ended(attempt, "FAILED", error=error, retryable=retryable)


def timed_out(attempt: str, seconds: float) -> Ended:
    error = Error("TimedOut", f"it has not ended within {seconds:g} s")
    return Ended(attempt, "TIMED_OUT", error=error)


def stopped(attempt: str, reason: str) -> Ended:
    return Ended(attempt, "STOPPED", error=Error("Stopped", clipped(reason, 2_000)))


def lost(attempt: str, reason: str) -> Ended:
    """It has begun, and nobody will say how it ended."""
    return replace(stopped(attempt, reason), lost=True)


def untellable(attempt: str, why: str) -> Ended:
    return unfit(attempt, "EndNotReadable", f"it ended, and the server could not read how: {why}")


def clipped(told: str, most: int) -> str:
    return clean(told)[:most]


def clipped_front(told: str, most: int) -> str:
    """The end of a trace says more than its beginning."""
    return clean(told)[-most:]


def clean(told: str) -> str:
    """Without what no text of the protocol may have."""
    if told.isascii() and "\0" not in told:
        return told
    return told.replace("\0", "�").encode("utf-8", "replace").decode()
