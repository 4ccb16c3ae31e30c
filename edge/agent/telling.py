"""An agent's status as text, for a terminal."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

WAITING = {
    "results": ("result", "results"),
    "events": ("event", "events"),
    "outputs": ("output", "outputs"),
    "metrics": ("measure", "measures"),
    "log_bytes": ("byte of logs", "bytes of logs"),
    "file_bytes": ("byte of files", "bytes of files"),
}


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    yield f"{told['name']} at {told['server']}"
    yield f"{told['state']} for {lasting(time.time() - told['since'])}{carried(told)}"
    if told["state"] != "connected" and told["why"]:
        yield f"  {told['why']}"
    if told["draining"]:
        yield f"takes no new work: {told['drain_reason'] or 'drained'}"
    for name in ("full", "unwritable", "unfit"):
        if told.get(name):  # an agent that began before it was upgraded knows less
            yield f"takes no new work: {told[name]}"
    if told["runner"]["away"]:
        yield f"its runner is away: {told['runner']['away']}"
    if told["policy"]["fault"]:
        yield told["policy"]["fault"]
    if abs(told["clock_ahead"]) > 2:
        yield f"its clock is {told['clock_ahead']:+.0f} s before the server's"
    waits = ", ".join(counted(name, count) for name, count in told["waiting"].items() if count)
    yield f"waiting to be sent: {waits or 'nothing'}"
    living = [each for each in told["attempts"] if each["phase"] != "ended"]
    yield f"in hand: {len(living) or 'nothing'}, {told['free']} of {told['slots']} free"
    if ended := len(told["attempts"]) - len(living):
        yield f"ended, and not all of it sent: {ended}"
    for each in told["attempts"]:
        yield f"  {each['attempt']}  {each['phase']}{wanted(each)}  {command(each)}"


def counted(name: str, count: int) -> str:
    one, more = WAITING[name]
    return f"{count} {one if count == 1 else more}"


def carried(told: Mapping[str, Any]) -> str:
    return f", by {told['carrier']}" if told["carrier"] else ""


def wanted(attempt: Mapping[str, Any]) -> str:
    return f" ({attempt['wanted']} wanted)" if attempt["wanted"] else ""


def command(attempt: Mapping[str, Any]) -> str:
    task = (attempt["about"] or {}).get("task", "")
    text = f"{task}: {' '.join(map(str, attempt['argv'] or ()))}"
    return text if len(text) <= 100 else text[:99] + "…"


def lasting(seconds: float) -> str:
    for length, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}"
    return f"{max(0, seconds):.0f} s"
