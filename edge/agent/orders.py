"""What an offer comes to as a command of this machine.

An offer's `invocation` is what the server keeps for the task, so it names secrets and does not hold
them. Beside it there may be

* `kind`: `command`, or `python` for a call of a function; nothing else is carried out here;
* `run` and `task`: what the command finds in PROCESSION_RUN and PROCESSION_TASK;
* `sealed`: the secrets' values by their names, as JSON, sealed to this machine and bound to the
  attempt. They are opened for a look at what the owner allows and again for the runner, and are
  kept nowhere.
"""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.messages import Offer
from executor import python_call, wire
from executor.base import Invocation

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

# The task, or the run and the place in it; then the attempt's number. It becomes part of paths.
ATTEMPT = re.compile(r"[0-9A-Za-z-]{1,64}(/[0-9A-Za-z-]{1,64})?\.[0-9]{1,12}")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OURS = ("PROCESSION_RUN", "PROCESSION_TASK")


class Unable(Exception):
    """It cannot be carried out here; says why."""


def key_of(attempt: str) -> str:
    """What the runner knows it by."""
    return attempt.replace("/", ":")


def attempt_of(key: str) -> str:
    return key.replace(":", "/")


def command(offer: Offer, key: "X25519PrivateKey | None") -> Mapping[str, Any]:
    """With its secrets in it: for the owner's policy and for the runner, and for nobody else."""
    if not ATTEMPT.fullmatch(offer.attempt):
        raise Unable(f"{offer.attempt[:80]!r} names no attempt")
    given = dict(offer.invocation)
    about = {name: given.pop(name, None) for name in ("run", "task")}
    kind = given.pop("kind", None) or "command"
    given = opened(given, offer.attempt, key)
    try:
        if kind == "python":
            given = python_call.invocation(**given)
        elif kind != "command":
            raise Unable(f"a workstation carries out commands, and no {str(kind)[:40]!r}")
    except TypeError as error:
        raise Unable(f"the call cannot be understood: {error}") from None
    given["argv"] = found(given.get("argv"))
    return {**given, "about": about}


def opened(given: dict[str, Any], attempt: str, key: "X25519PrivateKey | None") -> dict[str, Any]:
    from scheduler.domain import secrets

    sealed = given.pop("sealed", None)
    if not secrets.wants(given):
        return given
    try:
        return secrets.resolved(given, values(sealed, attempt, key))
    except (LookupError, TypeError, AttributeError) as error:
        raise Unable(f"its secrets cannot be put in their places: {error}") from None


def values(sealed: Any, attempt: str, key: "X25519PrivateKey | None") -> Mapping[str, str]:
    if sealed is None:
        return {}
    from edge import sealing

    if key is None:
        raise Unable("it comes with secrets, and this workstation has no key to open them")
    try:
        found = json.loads(sealing.unseal(key, str(sealed), attempt))
    except (sealing.BadSeal, ValueError) as error:
        raise Unable(f"its secrets cannot be opened: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise Unable("its secrets are no texts")
    return found


def found(argv: Any) -> Any:
    """A program that is named without its path is looked for where the system has its own."""
    if not isinstance(argv, list) or not argv or not isinstance(argv[0], str):
        return argv
    program = argv[0]
    if "/" in program or "\0" in program:
        return argv
    return [shutil.which(program, path=PATH) or program, *argv[1:]]


def examined(command: Mapping[str, Any]) -> Mapping[str, Any]:
    """As the owner's policy looks at it: variables are variables, wherever they come from."""
    secret = {**(command.get("secrets") or {}), **(command.get("secret_files") or {})}
    return {**command, "secrets": secret}


def invocation(command: Mapping[str, Any], folder: Path | None) -> Invocation:
    """For the runner. With nobody to answer to for a while, the command goes on all the same."""
    given = dict(command)
    about = given.pop("about", None) or {}
    for name in [name for name, value in given.items() if value is None]:
        del given[name]
    try:
        unpacked = wire.unpack_invocation(given)
    except (wire.Garbled, TypeError) as error:
        raise Unable(str(error)) from None
    told = zip(OURS, (about.get("run"), about.get("task")), strict=True)
    ours = {name: str(value) for name, value in told if value is not None}
    return replace(
        unpacked,
        env={**unpacked.env, **ours},
        cwd=unpacked.cwd or (str(folder) if folder else None),
        on_lost="wait",
    )
