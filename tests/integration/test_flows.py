"""Random runs through the real database, with given outcomes, end as the reference says."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from executor.base import Outcome
from scheduler.domain.definitions import (
    After,
    FailureKind,
    Join,
    OnFailure,
    ProcessType,
    TaskDefinition,
)
from scheduler.domain.retries import RetryPolicy
from scheduler.domain.tasks import Claimed
from scheduler.loops.promoter import Promoter
from scheduler.loops.pulse import Pulse
from scheduler.recorder import Recorder, Result
from scheduler.services import definitions, runs
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Order
from scheduler.store import health, tasks
from tests.support.builders import (
    FAILURE,
    STOPPED,
    SUCCESS,
    Conn,
    Told,
    a_holder,
    claimed,
    engine,
    one,
)
from tests.support.flows import branch, noop
from tests.support.reference import Reference, Script

LONG = bool(os.environ.get("PROCESSION_LONG"))
EXAMPLES = 2000 if LONG else 200

REACTIONS: list[FailureKind] = ["stop", "stop", "stop_now", "continue", "handler"]
AFTER: list[After] = ["success", "success", "success", "always", "on_failure", "any_failed"]
WHEN = [None, None, None, "${{ true }}", "${{ false }}"]


@st.composite
def process_types(draw: st.DrawFn) -> ProcessType:
    made: list[TaskDefinition] = []
    for number in range(draw(st.integers(1, 8))):
        made.append(draw(a_task(f"t{number}", [task.name for task in made])))
    chosen = draw(st.sets(st.sampled_from([task.name for task in made]), max_size=2))
    for number, task in enumerate(made):
        after = [each for each in made if task.name in each.needs]
        # A branch that is over with the task before it may lose against that, or not.
        races = any(each.join.stop_rest for each in after)
        if task.name in chosen and after and not races:
            made[number] = draw(as_branch(task, [each.name for each in after]))
    called = any(task.on_failure.handler for task in made)
    return ProcessType(name="any", tasks=(*made, *([noop("mend")] if called else [])))


@st.composite
def a_task(draw: st.DrawFn, name: str, before: list[str]) -> TaskDefinition:
    some = st.lists(st.sampled_from(before), unique=True, max_size=4)
    needs = draw(some) if before else list[str]()
    after = draw(st.sampled_from(AFTER if needs else AFTER[:1]))
    reaction = draw(st.sampled_from(REACTIONS))
    joins = st.builds(Join, count=st.integers(1, max(1, len(needs))), stop_rest=st.booleans())
    counted = len(needs) > 1 and after == "success" and draw(st.integers(0, 2)) > 0
    return noop(
        name,
        *needs,
        after=after,
        when=draw(st.sampled_from(WHEN)),
        join=draw(joins) if counted else Join(),
        retries=RetryPolicy(max=draw(st.integers(0, 1)), delay=timedelta()),
        on_failure=OnFailure(reaction, "mend" if reaction == "handler" else None),
        undo=noop(name) if draw(st.booleans()) else None,
    )


@st.composite
def as_branch(draw: st.DrawFn, task: TaskDefinition, after: list[str]) -> TaskDefinition:
    """It chooses among those that need it, or goes nowhere."""
    cases, default = (after[:-1], after[-1]) if len(after) > 1 else (after, "")
    to = {name: draw(st.sampled_from(["${{ true }}", "${{ false }}"])) for name in cases}
    made = branch(task.name, *task.needs, to=to, default=default)
    return replace(made, after=task.after, when=task.when, join=task.join)


def scripts(definition: ProcessType) -> st.SearchStrategy[Script]:
    names = [task.name for task in definition.tasks]
    names += [f"undo:{task.name}" for task in definition.tasks if task.undo]
    return st.builds(
        Script,
        failures=st.dictionaries(st.sampled_from(names), st.integers(1, 2)),
        choices=st.lists(st.integers(0, 5), min_size=1, max_size=8),
        stop_after=st.none() | st.integers(0, 12),
    )


@dataclass
class Engine:
    """One connection, one holder, one recorder, and a promoter beside them."""

    conn: Conn
    holder: int
    catalog: Catalog
    recorder: Recorder
    promoter: Promoter

    async def play(self, definition: ProcessType, script: Script) -> dict[str, Any]:
        await definitions.publish(self.conn, [definition], by="test")
        order = Order(type=definition.name, input={}, by="test")
        run = (await runs.start(self.conn, self.catalog, order)).id
        in_hand: dict[str, Claimed] = {}
        step = 0
        while in_hand := in_hand | await self.begin():
            if step == script.stop_after and "undo:" not in "".join(in_hand):
                await runs.stop(self.conn, self.catalog, run, by="test", undo=True)
            mine = in_hand.pop(script.choose(list(in_hand), step))
            outcome = await self.outcome_of(mine, script)
            await self.recorder._record(self.conn, [Result(mine, outcome)])
            assert await health.miscounted(self.conn, 1) == []
            step += 1
        found = await runs.get(self.conn, run)
        rows = await tasks.of_run(self.conn, run)
        return {
            "state": found["state"],
            "compensated": await self.compensated(run),
            "tasks": {row["name"]: row["state"] for row in rows},
        }

    async def begin(self) -> dict[str, Claimed]:
        while await self.promoter.tick(self.conn):
            pass
        return {task.name: task for task in await claimed(self.conn, self.holder, 100)}

    async def outcome_of(self, task: Claimed, script: Script) -> Outcome:
        wanted = {id for id, _, _ in await tasks.wanted(self.conn, self.holder)}
        if task.id in wanted:
            return STOPPED
        return FAILURE if script.fails(task.name, task.attempt) else SUCCESS

    async def compensated(self, run: UUID) -> str | None:
        said: str | None = await one(self.conn, "select compensated from runs where id = %s", run)
        return said


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


async def begun(dsn: str) -> Engine:
    conn, catalog = await engine(dsn), Catalog()
    holder = await a_holder(conn, lease=timedelta(hours=1))
    recorder = Recorder(catalog, Told().hooks())
    recorder.holder = holder
    return Engine(conn, holder, catalog, recorder, Promoter(catalog, Pulse(), lambda _: None))


@pytest.mark.timeout(3600 if LONG else 180)
def test_random_runs_end_as_the_reference_says(dsn: str, loop: asyncio.Runner) -> None:
    playing = loop.run(begun(dsn))

    @given(st.data())
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    def check(data: st.DataObject) -> None:
        definition = data.draw(process_types())
        script = data.draw(scripts(definition))
        expected = Reference(definition, script)
        expected.play()
        assert loop.run(playing.play(definition, script)) == {
            "state": expected.ends_as,
            "compensated": expected.compensated,
            "tasks": expected.states,
        }

    try:
        check()
    finally:
        loop.run(playing.conn.close())
