"""Why a run does not go on: one sentence for each thing that keeps it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scheduler.domain import why_placed
from scheduler.domain.states import Reason

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What lies around a run: queues, limits and who serves them."""

    now: datetime
    paused: Mapping[str, str | None]  # queue: note
    served: frozenset[str]  # queues that a living holder serves
    limits: Mapping[str, tuple[int, int]]  # key: taken, size
    holders: Mapping[int, Facts]
    ahead: Mapping[str, int]  # queue: READY tasks in it
    stations: Sequence[Facts] = ()  # workstations, where one of the tasks waits for them
    # Of queues that nobody serves now: when somebody who does was last heard, if they know.
    last_served: Mapping[str, datetime | None] = field(default_factory=dict)


REMOTE = ("action", "workflow")


def explain(run: Facts, tasks: Sequence[Facts], around: Surroundings) -> list[str]:
    """What the run waits for, the nearest causes first; a finished run says how it ended."""
    state = run["state"]
    if state in ("COMPLETED", "FAILED", "STOPPED"):
        return [f"The run is {state}" + (f": {run['error']}" if run["error"] else ".")]
    lines = [RUN_LINES[state]] if state in RUN_LINES else []
    lines += [line for task in tasks if (line := of_task(task, around))]
    return lines or ["Nothing keeps it: its next task is about to become ready."]


RUN_LINES = {
    "HELD": "The run is held: `procession resume` lets it go on.",
    "HOLDING": "The run is being held: what is in hand goes on to its end, then it is HELD.",
    "STOPPING": "The run is being stopped: it ends when nothing is in hand any more.",
}


def of_task(task: Facts, around: Surroundings) -> str | None:
    name, state = task["name"], task["state"]
    if state == "WAITING":
        return f"{name} is WAITING: {waiting(task, around)}."
    if state == "READY":
        return f"{name} is READY: {ready(task, around)}{TO_HEAR if task['wanted'] else ''}."
    if state == "IN_PROGRESS":
        return f"{name} is IN_PROGRESS: {in_progress(task, around)}."
    return None


def waiting(task: Facts, around: Surroundings) -> str:
    match task["reason"]:
        case Reason.BACKOFF:
            tries = task["counted"]
            error = task["error"] or f"exit code {task['exit_code']}"
            return (
                f"it failed {tries} time{'s' * (tries != 1)} ({error}) "
                f"and is tried again {when(task, around)}"
            )
        case Reason.LIMIT:
            key = task["blocked_on"]
            taken, size = around.limits.get(key, (0, 0))
            return f"the limit {key} is full ({taken} of {size})" if key else "it needs a place"
        case Reason.HOLD:
            return "the run is held"
        case Reason.SETTLE:
            return "its expressions are being worked out"
        case Reason.TIMER:
            return f"it is due {when(task, around)}"
        case Reason.SIGNAL:
            what = AWAITED.get(task["kind"], "the event")
            return f"it waits for {what} {task['blocked_on']}{until(task, around)}"
        case Reason.APPROVAL:
            return f"somebody is to decide (`procession approvals`){until(task, around)}"
        case Reason.CHILD:
            return f"it waits for its child, a run of {task['blocked_on']}{until(task, around)}"
        case Reason.ITEMS:
            return f"{task['open']} of its items are not over yet"
        case Reason.CALLS:
            return "it waits for what it has called"
        case other:
            return f"it waits for {other}"


TO_HEAR = "; its code is to hear of the stop (`procession stop --kill` does not wait for that)"
AWAITED = {"recv": "a message of the topic", "get": "what is told by run", "result": "run"}


def until(task: Facts, around: Surroundings) -> str:
    return f", and gives up {when(task, around)}" if task["due_at"] else ""


def ready(task: Facts, around: Surroundings) -> str:
    queue = task["queue"]
    if queue in around.paused:
        note = around.paused[queue]
        return f"queue {queue} is paused" + (f" ({note})" if note else "")
    if task["placement"] is not None:
        return why_placed.ready(task, around.stations, around.now)
    if queue not in around.served:
        return unserved(queue, around)
    others = around.ahead.get(queue, 1) - 1
    return f"queue {queue} has {others} other ready task{'s' * (others != 1)}; workers are busy"


def unserved(queue: str, around: Surroundings) -> str:
    """What only programs with an SDK do is called by its name."""
    kind, _, name = queue.partition(":")
    if not name or kind not in REMOTE:
        return f"no worker serves queue {queue}"
    at = around.last_served.get(queue)
    since = f"; who did was last heard {at:%Y-%m-%d %H:%M:%S %Z}" if at else ", and nobody has yet"
    return f"nobody serves the {kind} {name}{since}"


def in_progress(task: Facts, around: Surroundings) -> str:
    if task["placement"] and (said := why_placed.in_progress(task, around.stations)):
        return said
    holder = around.holders.get(task["holder"])
    if holder is None:
        return "its holder is unknown"
    if holder["state"] == "GONE":
        return unreachable(task, holder)
    since = task["started_at"]
    return f"{holder['name']} on {holder['host']} has it since {since:%Y-%m-%d %H:%M:%S %Z}"


def unreachable(task: Facts, holder: Facts) -> str:
    said = f"its holder {holder['name']} is unreachable since {holder['renewed_at']:%H:%M:%S}"
    if task["on_lost"] != "wait":
        return said
    return f"{said}, and it waits for it (`procession stop --kill` gives it up)"


def when(task: Facts, around: Surroundings) -> str:
    due = task["due_at"]
    seconds = (due - around.now).total_seconds()
    return f"in {max(0.0, seconds):.1f} s" if seconds < 90 else f"at {due:%Y-%m-%d %H:%M:%S %Z}"
