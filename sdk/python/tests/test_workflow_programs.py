"""Random programs of concurrent steps, killed anywhere: they come to the same end."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from procession.testing import Point, World
from procession.workflows import Workflow, now, random, send, sleep, step, workflow

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
DONE: Counter[str] = Counter()


class Refused(Exception):
    pass


@step
async def work(name: str, fails: bool) -> str:
    DONE[name] += 1
    if fails:
        raise Refused(name)
    return name


@dataclass(frozen=True)
class Do:
    name: str
    fails: bool = False


@dataclass(frozen=True)
class Sleep:
    seconds: int


@dataclass(frozen=True)
class Draw:
    pass


@dataclass(frozen=True)
class Tell:
    pass


@dataclass(frozen=True)
class Line:
    """One after the other."""

    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Side:
    """At a time; the first that fails lets the others be cancelled, or not."""

    parts: tuple[Any, ...]
    cancels: bool


@dataclass(frozen=True)
class Within:
    part: Any
    seconds: int


Part = Do | Sleep | Draw | Tell | Line | Side | Within
LEAVES = st.one_of(
    st.builds(Do, st.sampled_from("abcdef"), st.sampled_from([False, False, False, True])),
    st.builds(Sleep, st.integers(1, 50)),
    st.just(Draw()),
    st.just(Tell()),
)
PROGRAMS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Line, st.lists(inner, min_size=1, max_size=4).map(tuple)),
        st.builds(Side, st.lists(inner, min_size=1, max_size=4).map(tuple), st.booleans()),
        st.builds(Within, inner, st.integers(1, 60)),
    ),
    max_leaves=12,
)


async def carry(part: Part) -> Any:
    match part:
        case Do(name, fails):
            try:
                return await work(name, fails)
            except Refused as error:
                return f"no {error}"
        case Sleep(seconds):
            await sleep(seconds)
            return seconds
        case Draw():
            return [random(), now().timestamp()]
        case Tell():
            await send("nobody", "topic", "body")
            return None
        case Line(parts):
            return [await carry(each) for each in parts]
        case Side(parts, cancels):
            return await side(parts, cancels)
        case Within(inner, seconds):
            try:
                async with asyncio.timeout(seconds):
                    return await carry(inner)
            except TimeoutError:
                return "late"


async def side(parts: tuple[Any, ...], cancels: bool) -> Any:
    if not cancels:
        return list(await asyncio.gather(*(carry(each) for each in parts)))
    tasks = [asyncio.create_task(carry(each)) for each in parts]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    return [task.result() for task in done]


def as_workflow(program: Part) -> Workflow[Any, Any]:
    @workflow(name="program", version="1")
    async def carried() -> Any:
        return await carry(program)

    return carried


def picker(picks: list[int]) -> Any:
    """Which of the steps under way ends next: any, but the same in each world."""
    left = iter(picks)
    return lambda many: next(left, 0) % many


@SETTINGS
@given(program=PROGRAMS, picks=st.lists(st.integers(0, 7), max_size=12), data=st.data())
def test_a_program_that_is_killed_when_something_is_kept_comes_to_the_same_end(
    program: Part, picks: list[int], data: st.DataObject
) -> None:
    """Each step that was kept was done once, whatever order the steps came in."""
    DONE.clear()
    deaths: set[Point] = set()

    def kill(point: Point) -> bool:
        if point.side == "before" or point in deaths:
            return False
        deaths.add(point)
        return data.draw(st.booleans())

    world = World(kill=kill, choose=picker(picks))
    run = world.start(as_workflow(program))
    world.go()
    assert run.status == "SUCCEEDED", run.diverged or run.fault
    kept = Counter(run.steps)
    assert kept.total() <= DONE.total()
    replayed = World()
    again = replayed.start(run.workflow)
    again.known, again.seed, again.order = dict(run.known), run.seed, run.order
    before = DONE.total()
    replayed.go()
    assert (again.status, again.output) == (run.status, run.output), again.diverged
    assert DONE.total() == before


@SETTINGS
@given(program=PROGRAMS)
def test_a_program_that_is_killed_at_every_point_does_each_kept_step_once(program: Part) -> None:
    DONE.clear()
    left_alone = World()
    expected = left_alone.start(as_workflow(program))
    left_alone.go()
    once = Counter(DONE)
    DONE.clear()
    deaths: set[Point] = set()

    def kill(point: Point) -> bool:
        fresh = point not in deaths and point.side == "after"
        deaths.add(point)
        return fresh

    world = World(kill=kill)
    run = world.start(as_workflow(program))
    world.go()
    assert (run.status, run.output) == (expected.status, expected.output), run.diverged
    assert once == DONE
