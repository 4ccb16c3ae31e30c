"""Histories as documents: kept in files, and replayed by tests from then on."""

from collections.abc import Mapping
from typing import Any

from procession.testing.runs import Diverged, Run
from procession.workflows import calls
from procession.workflows.calls import Ended, Fault, Known, Outcome, Told
from procession.workflows.defining import Workflow
from procession.workflows.faults import raised_again
from procession.workflows.program import Program

Document = dict[str, Any]


def history_of(run: Run) -> Document:
    """A run as a document: what it was given, all that is known of it, and its end."""
    return {
        "workflow": run.workflow.name,
        "version": run.workflow.version,
        "run": run.id,
        "input": dict(run.input),
        "calls": [written(run.known[seq]) for seq in sorted(run.known)],
        "ending": run.status,
        "output": run.output,
        "error": None if run.fault is None else {**written_fault(run.fault), "trace": None},
    }


def written(call: Known) -> Document:
    document: Document = {"seq": call.seq, "kind": call.kind, "name": call.name}
    if call.order is None:
        return document
    document |= {"order": call.order, "ok": call.outcome.ok, "output": call.outcome.output}
    if call.outcome.fault is not None:
        document["error"] = written_fault(call.outcome.fault)
    return document


def written_fault(fault: Fault) -> Document:
    return {"type": fault.type, "message": fault.message}


def read(call: Mapping[str, Any]) -> Known:
    error = call.get("error")
    fault = None if error is None else Fault(error["type"], error["message"])
    outcome = Outcome(call.get("output"), fault)
    return Known(call["seq"], call["kind"], call["name"], call.get("order"), outcome)


def replay(workflow: Workflow[Any, Any], history: Mapping[str, Any]) -> Any:
    """What the workflow gives or raises with this history; nothing is done again.

    Raises Diverged where the code does not do what the history says that it did. A history that
    goes no further than a wait, or a step, gives None.
    """
    known = [read(call) for call in history["calls"]]
    told = Told(run=history.get("run", ""), key=history.get("run", ""))
    program = Program(lambda: workflow.body(history["input"]), told, known)
    program.begin()
    said = program.take()
    program.forget()
    match said[-1] if said else None:
        case calls.Diverged(seq, expected, found):
            raise Diverged(seq, expected, found)
        case Ended(output=output, fault=None):
            return workflow.read(output)
        case Ended(fault=Fault() as fault):
            raise raised_again(fault)
    return None
