"""Errors as data, and data as errors: what is raised again is of the type that was raised."""

import sys
import traceback
from collections.abc import Iterator
from typing import Any

from procession.telling import clipped, clipped_front, worded
from procession.workflows.calls import Fault
from procession.workflows.errors import StepFailed, Stopped, TimedOut

LONGEST_TYPE, LONGEST_MESSAGE, LONGEST_TRACE = 200, 2_000, 16_000


def fault_of(error: BaseException) -> Fault:
    if isinstance(error, (Stopped, TimedOut)):
        return Fault(type(error).__name__, clipped(str(error), LONGEST_MESSAGE))
    if isinstance(error, StepFailed):
        return Fault(clipped(error.kind, LONGEST_TYPE), error.message, error.trace)
    trace = "".join(traceback.format_exception(error))
    return Fault(
        type=clipped(type_name(type(error)), LONGEST_TYPE),
        message=clipped(worded(error), LONGEST_MESSAGE),
        trace=clipped_front(trace, LONGEST_TRACE),
    )


def type_name(kind: type) -> str:
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def raised_again(fault: Fault) -> BaseException:
    """The error that the code sees, the first time and each time it is replayed."""
    if fault.type == "Stopped":
        return Stopped(fault.message)
    if fault.type == "TimedOut":
        return TimedOut(fault.message)
    kind = find(fault.type)
    error = None if kind is None else made(kind, fault.message)
    if error is None:
        return StepFailed(fault.type, fault.message, fault.trace)
    if fault.trace:
        error.add_note(f"as it was first raised:\n{fault.trace}")
    return error


def find(name: str) -> type[Exception] | None:
    """A type of errors by its name, in what is imported already: a name never imports anything."""
    for module, path in halves(name):
        found: Any = sys.modules.get(module)
        for part in path:
            found = getattr(found, part, None)
        if isinstance(found, type) and issubclass(found, Exception):
            return found
    return None


def halves(name: str) -> Iterator[tuple[str, list[str]]]:
    parts = name.split(".")
    for at in range(len(parts) - 1, 0, -1):
        yield ".".join(parts[:at]), parts[at:]
    yield "builtins", parts


def made(kind: type[Exception], message: str) -> Exception | None:
    try:
        error = kind(message)
        if str(error) == message:
            return error
        return bare(kind, message)
    except Exception:
        return bare(kind, message)


def bare(kind: type[Exception], message: str) -> Exception | None:
    """One that is caught as `kind` and says `message`, where its own constructor wants more."""
    says = {
        "__str__": lambda self: message,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
    }
    try:
        again: type[Exception] = type(kind.__name__, (kind,), says)
        error = again.__new__(again, message)
    except Exception:
        return None
    error.args = (message,)
    return error
