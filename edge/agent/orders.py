"""What an offer comes to as a command of this machine.

Secrets that come with it are opened for a look at what the owner allows, and again for the runner;
they are kept nowhere.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import attempts, invocations
from edge.messages import Offer
from executor import wire
from executor.base import Invocation

if TYPE_CHECKING:
    from typing import TypeAlias

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    Key: TypeAlias = Callable[[], X25519PrivateKey | None]  # loaded with the first secret

CLAIMED = re.compile(r"[1-9][0-9]{0,17}\.[1-9][0-9]{0,8}", re.ASCII)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OURS = frozenset({"PROCESSION_RUN", "PROCESSION_TASK"})


class Unable(Exception):
    """It cannot be carried out here; says why."""


def command(offer: Offer, key: "Key") -> Mapping[str, Any]:
    """With its secrets in it: for the owner's policy and for the runner, and for nobody else."""
    if not is_attempt(offer.attempt):
        raise Unable(f"{offer.attempt[:80]!r} names no attempt")
    try:
        given = invocations.opened(offer.invocation, hidden(offer, key))
    except (ValueError, TypeError):
        raise Unable("what is sealed in it cannot be understood") from None
    return {**given, "argv": found(given.get("argv"))}


def is_attempt(name: str) -> bool:
    """It becomes part of paths."""
    return CLAIMED.fullmatch(name) is not None or attempts.is_own(name)


def hidden(offer: Offer, key: "Key") -> bytes | None:
    sealed = offer.invocation.get(invocations.SEALED)
    if sealed is None:
        return None
    from edge import sealing

    if (ours := key()) is None:
        raise Unable("it comes with secrets, and this workstation has no key to open them")
    try:
        return sealing.unseal(ours, str(sealed), offer.attempt)
    except sealing.BadSeal as error:
        raise Unable(f"its secrets cannot be opened: {error}") from None


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
    secret = [command.get(name) or {} for name in ("secrets", "secret_files")]
    env = command.get("env") or {}
    if not all(isinstance(each, Mapping) for each in (*secret, env)):
        return command
    told = {name: value for name, value in env.items() if name not in OURS}
    return {**command, "env": told, "secrets": {**secret[0], **secret[1]}}


def invocation(command: Mapping[str, Any], folder: Path | None) -> Invocation:
    """For the runner. With nobody to answer to for a while, the command goes on all the same."""
    given = {name: value for name, value in command.items() if value is not None}
    try:
        unpacked = wire.unpack_invocation(given)
    except (wire.Garbled, TypeError) as error:
        raise Unable(str(error)) from None
    cwd = unpacked.cwd or (str(folder) if folder else None)
    return replace(unpacked, cwd=cwd, on_lost="wait")
