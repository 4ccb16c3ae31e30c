"""What an attempt came to that was given up for lost and is heard of again, replaced meanwhile."""

from dataclasses import replace

from executor.base import Ending, Outcome
from scheduler.domain.board.table import Table
from scheduler.domain.tasks import Task


def is_one(task: Task, attempt: int) -> bool:
    """An attempt of this round that was declared lost."""
    return task.placement is not None and attempt in task.placement.get("lost", ())


def forget(table: Table, task: Task) -> None:
    """What comes of those attempts from now on is evidence and no more."""
    assert task.placement is not None
    task.placement = {name: each for name, each in task.placement.items() if name != "lost"}
    table.touch(task)


def remember(table: Table, task: Task, attempt: int, outcome: Outcome) -> None:
    """Its replacement is still in somebody's hands."""
    assert task.placement is not None
    original = {
        "attempt": attempt,
        "exit_code": outcome.exit_code,
        "output": outcome.output,
    }
    task.placement = {**task.placement, "original": original}
    table.touch(task)


def what_counts(table: Table, task: Task, outcome: Outcome) -> Outcome:
    """Of the original's success, if there is one, and of how the replacement has now ended."""
    placement = task.placement or {}
    if "original" not in placement:
        return outcome
    task.placement = {name: each for name, each in placement.items() if name != "original"}
    original = placement["original"]
    if placement["reconcile"] == "keep_original":
        task.wanted = None
        task.exit_code, task.error = original["exit_code"], None
        table.asked.outputs[task.id] = original["output"]
        return Outcome(
            ending=Ending.SUCCEEDED,
            exit_code=original["exit_code"],
            output=original["output"],
        )
    return doubtful(original["attempt"], task.attempt, outcome)


def doubtful(original: int, replacement: int, outcome: Outcome) -> Outcome:
    """There are two results, and somebody is to say which of them counts."""
    how = "succeeded too" if outcome.ending is Ending.SUCCEEDED else f"ended {outcome.ending}"
    error = (
        f"attempt {original}, which was lost, has succeeded after all, and its replacement, "
        f"attempt {replacement}, {how}: say what counts (`procession complete`, or a retry)"
    )
    return replace(outcome, ending=Ending.FAILED, error=error, retryable=False)
