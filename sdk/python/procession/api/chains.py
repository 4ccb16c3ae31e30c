"""The short way: a chain of actions, each of which gets what the one before it returned."""

from collections.abc import Sequence
from typing import Any

from procession.api.plans import Json, Plan, ask, dump, get, post
from procession.api.plans import at as below

WORKFLOW = "/workflow"


def define_workflow(id: str, actions: Sequence[str]) -> Plan[str]:
    """The same id with the same actions again changes nothing."""
    steps = [{"action": each, "stepIndex": place} for place, each in enumerate(actions)]
    answer = yield post(f"{WORKFLOW}/", {"id": id, "steps": steps})
    return text_of(answer.content)


def trigger_workflow(id: str, input: str | Any, idempotency_key: str | None = None) -> Plan[str]:
    """The id of the run. What is no text is sent as JSON in a text."""
    told = input if isinstance(input, str) else dump(input).decode()
    path = f"{WORKFLOW}/{below(id).rpartition('/')[2]}/trigger"
    answer = yield post(path, {"input": told}, key=idempotency_key)
    return text_of(answer.content)


def get_run_status(run: str) -> Plan[Json]:
    """`status`, `finalOutput`, `stepResults`, …"""
    found: Json = yield from ask(get(f"{WORKFLOW}/run/{below(run).rpartition('/')[2]}"))
    return found


def text_of(content: bytes) -> str:
    return content.decode().strip().strip('"')
