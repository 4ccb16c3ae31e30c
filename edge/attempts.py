"""What attempts are called. One that the server has claimed is TASK.NUMBER; one of a run that the
workstation itself decides about is RUN/POSITION.NUMBER, so that neither passes for the other."""

import re
from dataclasses import dataclass
from uuid import UUID

ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
RUN = re.compile(ID, re.ASCII)
OWN = re.compile(rf"({ID})/(0|[1-9][0-9]{{0,8}})\.([1-9][0-9]{{0,8}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Own:
    run: UUID
    position: int
    number: int

    def __str__(self) -> str:
        return f"{self.run}/{self.position}.{self.number}"


def own(attempt: str) -> Own | None:
    """Whose it is, if the workstation itself decides about it."""
    found = OWN.fullmatch(attempt)
    return Own(UUID(found[1]), int(found[2]), int(found[3])) if found else None


def is_own(attempt: str) -> bool:
    return OWN.fullmatch(attempt) is not None


def is_run(name: str) -> bool:
    return RUN.fullmatch(name) is not None


# A runner names files by its keys, which have no slash.


def key(attempt: str) -> str:
    return attempt.replace("/", ":")


def of_key(key: str) -> str:
    return key.replace(":", "/")
