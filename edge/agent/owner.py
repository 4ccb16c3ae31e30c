"""What the machine's owner allows, as their file says now."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge.agent import orders, policy
from edge.agent.core import Objection
from edge.agent.policy import BadPolicy, Policy
from edge.messages import Refusal

log = logging.getLogger(__name__)


class Owner:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.looks = looks(file)
        self.policy, self.fault = read_policy(file)
        self.page_at: tuple[str, Sequence[str]] | None = None

    def has_changed(self) -> bool:
        """Whether something else is allowed than when it was asked last."""
        look = looks(self.file)
        if look == self.looks:
            return False
        self.looks = look
        found, fault = read_policy(self.file)
        if (found.digest, fault) == (self.policy.digest, self.fault):
            return False
        log.info("the owner's policy has changed", extra={"fault": fault or None})
        self.policy, self.fault = found, fault
        return True

    def object_to(self, command: Mapping[str, Any]) -> Objection:
        """Raises Unable for what makes no command."""
        if self.fault:
            return Refusal.POLICY, self.fault
        if objection := self.policy.object_to(orders.examined(command), datetime.now(UTC)):
            return objection
        orders.invocation(self.policy.bounded(command), None)
        return None

    def page(self) -> tuple[str, Sequence[str]] | None:
        """Where the page may be. It says so itself when the file is not understood."""
        if not self.fault:
            at = self.policy.page
            self.page_at = (at, tuple(self.policy.page_names)) if at else None
        return self.page_at

    def summary(self) -> dict[str, Any]:
        return {**self.policy.summary(), "fault": self.fault}


def read_policy(path: Path) -> tuple[Policy, str]:
    """Without a file, and with one that is not understood, nothing is allowed: says why."""
    try:
        return policy.read(path), ""
    except BadPolicy as error:
        return Policy(), f"nothing is allowed here: {error}"


def looks(path: Path) -> tuple[int, ...]:
    """What changes with a file's content, and with who may write it."""
    try:
        facts = path.stat()
    except OSError:
        return ()
    return (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
