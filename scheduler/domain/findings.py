"""What a doctor finds, of a server or of a workstation."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    FINE = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    level: Level
    says: str
    remedy: str = ""


def fine(check: str, says: str) -> Finding:
    return Finding(check, Level.FINE, says)
