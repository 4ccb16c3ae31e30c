"""docs/states.md, drawn from the arrows in scheduler/domain/states.py.

`python -m tests.support.charts > docs/states.md` draws it again.
"""

from collections.abc import Iterator, Mapping, Set
from enum import StrEnum
from typing import TypeVar

from scheduler.domain.states import (
    FINAL_RUNS,
    FINAL_TASKS,
    RUN_ARROWS,
    TASK_ARROWS,
    Reason,
    RunState,
    TaskState,
)

FIRST_LINES = """\
# States

Drawn from the arrows in [states.py](../scheduler/domain/states.py); a test compares. What stands in
a row may be left for each of the states behind it, and for no other.
"""

RUNS = "A run begins PENDING, or IN_PROGRESS where a task is READY at once. Bold states are ends."
TASKS = "A task begins PENDING, or READY or WAITING where it needs no other."
WAITING = "A WAITING task says why:"


S = TypeVar("S", bound=StrEnum)


def page() -> str:
    sections = [
        ("Runs", RUNS, chart(RunState, RUN_ARROWS, FINAL_RUNS)),
        ("Tasks", TASKS, chart(TaskState, TASK_ARROWS, FINAL_TASKS)),
    ]
    parts = [f"## {title}\n\n{text}\n\n{table}\n" for title, text, table in sections]
    return "\n".join([FIRST_LINES, *parts, f"{WAITING} {', '.join(Reason)}.\n"])


def chart(states: type[S], arrows: Mapping[S, Set[S]], final: Set[S]) -> str:
    return "\n".join(["| from | to |", "|---|---|", *rows(states, arrows, final)])


def rows(states: type[S], arrows: Mapping[S, Set[S]], final: Set[S]) -> Iterator[str]:
    for state in states:
        targets = ", ".join(str(each) for each in states if each in arrows[state])
        yield f"| {f'**{state}**' if state in final else state} | {targets or 'nothing'} |"


if __name__ == "__main__":
    print(page(), end="")
