"""Kills a workflow's program at every point where it could die, and compares what comes of it."""

from collections.abc import Callable, Mapping
from typing import Any

from procession.testing.runs import Point, Run
from procession.testing.world import World
from procession.workflows.calls import Known
from procession.workflows.defining import Workflow

Prepare = Callable[[World, Run], object]


class NotTheSame(AssertionError):
    """The workflow came to something else than it does when it is left alone."""


def replay_everywhere(
    workflow: Workflow[Any, Any],
    input: Mapping[str, Any] | None = None,
    prepare: Prepare = lambda world, run: None,
    *,
    lose: bool = True,
    world: Callable[..., World] = World,
) -> Run:
    """Carry the workflow out once undisturbed, and then once for each point where it could die.

    `prepare` says what happens besides: events, messages, answers. Each time it must come to the
    same end, tell others the same, and keep the same results. With `lose`, it also dies when a step
    was done and not kept yet: that step is done again, so its result has to be the same. Gives the
    undisturbed run.
    """
    points: list[Point] = []

    def note(point: Point) -> bool:
        points.append(point)
        return False

    left_alone = play(world(kill=note), workflow, input, prepare)
    for point in points:
        if lose or point.side == "after":
            killed = play(world(kill=once(point)), workflow, input, prepare)
            compare(left_alone, killed, point)
    return left_alone


def play(
    world: World, workflow: Workflow[Any, Any], input: Mapping[str, Any] | None, prepare: Prepare
) -> Run:
    run = world.start(workflow, input)
    prepare(world, run)
    world.go()
    return run


def once(point: Point) -> Callable[[Point], bool]:
    left = {point}

    def kill(here: Point) -> bool:
        found = here in left
        left.discard(here)
        return found

    return kill


def compare(left_alone: Run, killed: Run, point: Point) -> None:
    if killed.diverged is not None:
        raise NotTheSame(f"killed {told(point)}: {killed.diverged}") from killed.diverged
    for what in ("status", "output", "shown", "streams"):
        expected, found = getattr(left_alone, what), getattr(killed, what)
        if expected != found:
            raise NotTheSame(f"killed {told(point)}, its {what} was {found!r}, not {expected!r}")
    for seq in sorted(left_alone.known.keys() | killed.known.keys()):
        expected, found = told_call(left_alone.known.get(seq)), told_call(killed.known.get(seq))
        if expected != found:
            raise NotTheSame(f"killed {told(point)}, call {seq} was {found}, not {expected}")


def told(point: Point) -> str:
    return f"{point.side} call {point.seq} ({point.kind} {point.name!r}) was kept"


def told_call(call: Known | None) -> str:
    if call is None:
        return "missing"
    if call.order is None:
        return f"{call.kind} {call.name!r}, not over"
    fault = call.outcome.fault
    came = repr(call.outcome.output) if fault is None else f"{fault.type}: {fault.message}"
    return f"{call.kind} {call.name!r} = {came}"
