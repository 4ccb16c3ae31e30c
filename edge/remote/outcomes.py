"""What a worker says of an attempt, in the words of an executor here."""

import json
from typing import Any

from edge.remote.messages import Ended, Ending, Error, Progress
from executor import base
from executor.base import Outcome

LEFT = "its worker left before it had ended: nobody knows how far it came"
LONGEST_ERROR = 2_000
MOST_DATA = 16 << 10  # bytes as JSON
UNSAID = {
    Ending.FAILED: "the handler failed, and its worker does not say why",
    Ending.TIMED_OUT: "the handler did not end within its time",
    Ending.STOPPED: "stopped on request",
}


def of(ended: Ended) -> Outcome:
    if ended.ending is Ending.STOPPED and ended.lost:
        return lost(words(ended.error) if ended.error else LEFT)
    ending = base.Ending(ended.ending.value)
    output = None if ended.output is None else json.dumps(ended.output, ensure_ascii=False)
    if ended.ending is Ending.SUCCEEDED:
        return Outcome(ending=ending, output=output)
    return Outcome(
        ending=ending,
        error=words(ended.error) if ended.error else UNSAID[ended.ending],
        error_type=ended.error.type if ended.error else None,
        retryable=ended.retryable is not False,
        output=output,
        detail=detail(ended.error) if ended.error else None,
    )


def words(error: Error) -> str:
    said = f"{error.type}: {error.message}" if error.message else error.type
    return said[:LONGEST_ERROR] or UNSAID[Ending.FAILED]


def detail(error: Error) -> dict[str, Any]:
    trace = {"trace": error.trace} if error.trace else {}
    return {"error": {"type": error.type, "message": error.message, **trace}}


def lost(why: str) -> Outcome:
    """Nobody knows how far it came: whether it is tried again is for its definition to say."""
    return Outcome(ending=base.Ending.LOST, counted=False, error=why)


def given_up(within: float) -> Outcome:
    due = f"within {within:g} s" if within else "at once"
    return Outcome(
        ending=base.Ending.STOPPED,
        error=f"it was to be over {due}, and its worker has not said that it is",
    )


def timed_out(seconds: float) -> Outcome:
    return Outcome(
        ending=base.Ending.TIMED_OUT,
        error=f"nothing was heard of its end within its timeout of {seconds:g} s",
        error_type="TimedOut",
    )


def progress(said: Progress) -> dict[str, Any]:
    """As attempts tell it of themselves; what is too large is left out."""
    told: dict[str, Any] = {}
    if said.percent is not None:
        told["progress"] = said.percent / 100
    if said.message is not None:
        told["text"] = said.message[:200]
    if said.data is not None and len(json.dumps(said.data)) <= MOST_DATA:
        told["data"] = dict(said.data)
    return told
