"""Whether processes stand still, as the kernel sees them."""

from collections.abc import Iterable

from executor import kin


def states_of(pids: Iterable[int]) -> set[str]:
    return {stat.state for pid in pids if (stat := kin.read_stat(pid)) is not None}


def stand_still(states: set[str]) -> bool:
    """All are stopped (T), or wait for one that is and was about to become another program (D): a
    shell that has just begun a command does."""
    return "T" in states and states <= {"T", "D"}


def stands_still(pid: int) -> bool:
    """With all that is below it."""
    return stand_still(states_of([pid, *kin.descendants([pid])]))
