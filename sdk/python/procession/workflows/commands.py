"""What operators may want of a workflow that answers them itself, and when (ISA-88)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Which states allow a command; None is any. The more urgent is last.
ALLOWED: Mapping[str, frozenset[str] | None] = {
    "RESET": frozenset({"STOPPED", "ERROR"}),
    "RESUME": frozenset({"HELD"}),
    "HOLD": frozenset({"STARTING", "RUNNING", "RESUMING"}),
    "STOP": None,
}
URGENCY = {verb: at for at, verb in enumerate(ALLOWED)}


@dataclass(frozen=True, slots=True)
class OperatorCommand:
    cmd: str
    reason: str = ""


def is_allowed(cmd: str, state: str) -> bool:
    if cmd not in ALLOWED:
        return False
    states = ALLOWED[cmd]
    return states is None or state in states


def most_urgent(bodies: Iterable[Any], state: str) -> OperatorCommand | None:
    """The one to obey; those that the state does not allow, or nobody knows, do not count."""
    read = [command for body in bodies if (command := read_command(body))]
    allowed = [command for command in read if is_allowed(command.cmd, state)]
    return max(allowed, key=lambda command: URGENCY[command.cmd], default=None)


def read_command(body: Any) -> OperatorCommand | None:
    if isinstance(body, str):
        return OperatorCommand(body.upper())
    if not isinstance(body, Mapping) or not isinstance(body.get("cmd"), str):
        return None
    return OperatorCommand(body["cmd"].upper(), str(body.get("reason") or ""))
