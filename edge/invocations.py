"""What a workstation is asked to carry out: readable by its owner, but for what is secret.

What the server made of a task goes to the workstation as a runner takes it: `argv`, `env`, `stdin`
and so on. Whatever holds the value of a secret is left out and comes in one text, `sealed`, that
only this workstation can open, for this attempt alone. What `opened` answers is what is carried
out, so it is what the owner's policy has to judge.
"""

import json
from collections.abc import Mapping
from typing import Any

from executor import python_call
from scheduler.domain import secrets
from scheduler.domain.errors import Invalid

Document = dict[str, Any]

SEALED, ABOUT = "sealed", "about"  # the latter tells people what it belongs to
SECRET = ("secrets", "secret_files", "masks")
COMMANDS = frozenset({"command", "shell", "python"})
NOTHING = {"argv": ["true"]}


def as_command(kind: str, invocation: Mapping[str, Any] | None, env: Mapping[str, str]) -> Document:
    """In the words of a runner, whatever the kind of the task."""
    given = dict(invocation or {})
    if kind == "noop":
        given = dict(NOTHING)
    elif kind == "python":
        given = python_call.invocation(**given)
    if "argv" not in given:
        raise Invalid(f"a task of the kind {kind} cannot be carried out on a workstation")
    return {**given, "env": {**(given.get("env") or {}), **env}}


def closed(
    kind: str,
    invocation: Mapping[str, Any] | None,
    values: Mapping[str, str],
    env: Mapping[str, str],
) -> tuple[Document, Document]:
    """What everybody may see of it, and what nobody may but the workstation."""
    if not secrets.wants(invocation):
        return as_command(kind, invocation, env), {}
    given = dict(invocation or {})
    whole = as_command(kind, secrets.resolved(given, values), env)
    blind = as_command(kind, secrets.resolved(given, dict.fromkeys(values, "")), env)
    hidden = {
        name: value for name, value in whole.items() if name in SECRET or value != blind.get(name)
    }
    return {name: value for name, value in whole.items() if name not in hidden}, hidden


def opened(invocation: Mapping[str, Any], hidden: bytes | None) -> Document:
    """All of it, from what was offered and what `sealed` held."""
    shown = {name: value for name, value in invocation.items() if name not in (SEALED, ABOUT)}
    return shown if hidden is None else {**shown, **json.loads(hidden)}
