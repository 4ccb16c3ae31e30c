"""Between what the engine means and what is said to a server."""

from typing import cast

from procession import messages
from procession.messages import Ending, Error
from procession.workflows import calls
from procession.workflows.calls import Fault, Known, Outcome


def known(call: messages.Known) -> Known:
    return Known(call.seq, call.kind, call.name, call.order, outcome(call))


def outcome(told: messages.Known | messages.Resolved) -> Outcome:
    if told.ok is not False:
        return Outcome(told.output)
    return Outcome(fault=fault(told.error))


def fault(error: Error | None) -> Fault:
    if error is None:
        return Fault("Failed", "it failed, and nobody said why")
    return Fault(error.type, error.message, error.trace)


def error_of(fault: Fault) -> Error:
    return Error(fault.type, fault.message, fault.trace)


def done(call: calls.Done) -> messages.Done:
    return messages.Done(
        seq=call.seq,
        kind=cast("messages.DoneKind", call.kind),
        name=call.name,
        ok=call.outcome.ok,
        output=call.outcome.output,
        error=None if call.outcome.fault is None else error_of(call.outcome.fault),
        input=call.input,
        tries=call.tries,
        began=call.began,
        over=call.over,
        effect=call.effect,
    )


def ended(attempt: str, end: calls.Ended) -> messages.Ended:
    error = None if end.fault is None else error_of(end.fault)
    return messages.Ended(attempt, cast("Ending", end.ending), end.output, error)
