"""What a workflow promises: what is done is kept, and its end is the same wherever it is killed."""

import asyncio
import itertools
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import stories as flows
from stories import CALLED

from procession import workflows
from procession.testing import Diverged, NotTheSame, Run, RunFailed, World, replay_everywhere
from procession.workflows import StepFailed, Stopped, TimedOut, Workflow, step, workflow
from procession.workflows.calls import Ask, Begin, Done, Fault, GiveUp, Outcome, Record, Told
from procession.workflows.program import Program


@pytest.fixture(autouse=True)
def _forget_calls() -> None:
    CALLED.clear()


def events(world: World, run: Run) -> None:
    world.after(100, lambda: world.event("order.paid", "16", {"total": 1}))
    world.after(200, lambda: world.event("order.paid", "17", {"total": 99}))


def letters(world: World, run: Run) -> None:
    world.send(run, "others", "not this one")
    world.send(run, "orders", {"n": 1})
    world.after(30, lambda: world.send(run, "orders", {"n": 2}))


def answers(world: World, run: Run) -> None:
    world.answer("http", lambda task: {"status": 204})
    world.answer("approval", lambda task: {"approved": True})


def commands(world: World, run: Run) -> None:
    world.after(10, lambda: world.send(run, "cmd", {"cmd": "RESUME", "reason": "not held"}))
    world.after(70, lambda: world.send(run, "cmd", {"cmd": "HOLD", "reason": "lunch"}))
    for cmd in ("RESUME", "STOP", "nonsense"):
        world.after(200, partial(world.send, run, "cmd", cmd))


def stopping(world: World, run: Run) -> None:
    world.after(60, lambda: world.stop(run, "enough"))


def children(world: World, run: Run) -> None:
    world.serve(flows.sums, flows.broken)


def nothing(world: World, run: Run) -> None:
    pass


Prepare = Callable[[World, Run], None]
STORIES: list[tuple[Workflow[Any, Any], dict[str, Any], Prepare, Any]] = [
    (flows.sums, {"first": 3}, nothing, 10),
    (flows.side_by_side, {}, nothing, [0, 2, 4, 6]),
    (flows.grouped, {}, nothing, [22, 42, 62]),
    (flows.sleeper, {"days": 3}, nothing, 3 * 86_400 + 60),
    (flows.deadline, {}, nothing, "late"),
    (flows.failing, {}, nothing, "bolt: 0 left"),
    (flows.tried, {"until": 4}, nothing, 4),
    (flows.letters, {}, letters, [{"n": 1}, {"n": 2}, "none"]),
    (flows.shower, {}, nothing, "shown"),
    (flows.family, {}, children, [4, 14, "run run-4 failed: KeyError: 'no such thing'"]),
    (flows.events, {}, events, {"total": 99}),
    (flows.any_task, {}, answers, [204, True]),
    (
        flows.machine,
        {},
        commands,
        ["RUNNING idle", "HELD lunch", "HELD idle", "HELD idle", "STOPPED "],
    ),
    (flows.plain, {"first": 1}, nothing, 10),
    (flows.patched, {}, nothing, [2, 4, 6]),
]


@pytest.mark.parametrize(
    ("story", "input", "prepare", "output"), STORIES, ids=[story[0].name for story in STORIES]
)
def test_a_workflow_comes_to_the_same_end_wherever_its_program_is_killed(
    story: Workflow[Any, Any], input: dict[str, Any], prepare: Prepare, output: Any
) -> None:
    run = replay_everywhere(story, input, prepare)
    assert run.result() == output


def test_a_step_that_is_kept_is_not_done_again() -> None:
    world = World(kill=lambda point: point.side == "after" and point.seq <= 2)
    assert world.run(flows.sums, first=3) == 10
    assert CALLED == ["add 3 2", "double 5"]


def test_a_step_that_was_done_and_not_kept_is_done_again() -> None:
    died = iter([True])
    world = World(kill=lambda point: next(died, False))
    assert world.run(flows.sums, first=3) == 10
    assert CALLED == ["add 3 2", "add 3 2", "double 5"]


def test_values_are_the_same_in_a_replay() -> None:
    run = replay_everywhere(flows.drawn)
    assert [run.known[seq].kind for seq in (1, 2, 3)] == ["moment", "moment", "step"]
    assert UUID(run.result()[0]).version == 4


def test_two_runs_draw_different_values() -> None:
    world = World()
    assert world.run(flows.drawn)[:2] != world.run(flows.drawn)[:2]


def test_nothing_leaves_the_program_before_what_it_drew_is_kept() -> None:
    died = itertools.count()
    world = World(kill=lambda point: point.name == "now" and next(died) < 3)
    run = world.start(flows.drawn)
    world.go()
    assert run.status == "SUCCEEDED"
    assert CALLED == ["add 1 1"]


def test_a_step_gives_the_type_that_it_says() -> None:
    receipt = World().run(flows.typed, total=Decimal("9.90"))
    assert receipt == flows.Receipt(
        UUID(int=7), Decimal("9.90"), datetime(2026, 3, 1), ("one", "two")
    )


def test_an_error_of_a_step_is_raised_again_as_what_it_was() -> None:
    world = World()
    run = world.start(flows.broken)
    world.go()
    assert run.status == "FAILED"
    with pytest.raises(KeyError, match="no such thing"):
        run.result()


def test_an_error_whose_type_is_gone_is_a_failed_step() -> None:
    @step
    def lost() -> None:
        class Local(Exception):
            pass

        raise Local("from nowhere")

    @workflow
    async def loses() -> str:
        try:
            await lost()
        except StepFailed as error:
            return f"{error.kind.rpartition('.')[2]}: {error.message}"
        return ""

    assert replay_everywhere(loses).result() == "Local: from nowhere"


def test_tries_are_counted_and_delays_grow() -> None:
    world = World()
    before = world.now
    assert world.run(flows.tried, until=4) == 4
    assert world.now - before == timedelta(seconds=2 + 6 + 10)
    with pytest.raises(ConnectionError, match="try 5"):
        world.run(flows.tried, until=9)


def test_what_is_permanent_is_tried_once() -> None:
    @workflow
    async def gives_up() -> None:
        await flows.give_up()

    with pytest.raises(workflows.Permanent):
        World().run(gives_up)
    assert CALLED == ["give up"]


def test_a_try_that_takes_too_long_is_over() -> None:
    @step(timeout=0.01)
    async def hangs() -> None:
        await asyncio.Event().wait()

    @workflow
    async def patient() -> str:
        try:
            await hangs()
        except TimedOut as error:
            return str(error)
        return ""

    assert World().run(patient) == "hangs took longer than 0.01 s"


def test_a_step_has_a_key_of_its_own_that_stays_the_same() -> None:
    first, second = replay_everywhere(flows.keys).result()
    assert first != second


def test_a_message_with_a_key_comes_once() -> None:
    world = World()
    to = world.start(flows.letters)
    world.go(1)
    world.start(flows.courier, to=to.id)
    world.start(flows.courier, to=to.id)
    world.go()
    assert to.result() == [{"from": "run-2"}, "none", "none"]


def test_a_value_is_seen_by_others_and_keeps_its_history() -> None:
    world = World()
    shower = world.start(flows.shower)
    looker = world.start(flows.looker, run=shower.id)
    world.go()
    assert shower.shown == {"state": [0, 1, 2]}
    assert shower.streams == {"lines": ["line 0", "line 1", "line 2"]}
    assert shower.progress == [(0, "at 0"), (50, "at 1"), (100, "at 2")]
    assert looker.result() in (0, 1, 2)


def test_a_stop_is_answered_where_the_code_waits_and_in_every_replay() -> None:
    run = replay_everywhere(flows.careful, prepare=stopping)
    assert run.status == "STOPPED"
    assert run.steps == ["add", "undo"]
    with pytest.raises(Stopped, match="enough"):
        run.result()


def test_a_stop_without_a_wait_comes_with_the_next_call() -> None:
    world = World()

    @step
    def stops() -> None:
        world.stop(run, "now")

    @workflow
    async def goes_on() -> None:
        await stops()
        await flows.add(1, 1)

    run = world.start(goes_on)
    world.go()
    assert (run.status, run.steps) == ("STOPPED", ["stops"])


def test_while_held_nothing_new_begins() -> None:
    world = World()

    @step
    def holds() -> None:
        world.hold(run)

    @workflow
    async def holding() -> int:
        await holds()
        return await flows.add(1, 1)

    run = world.start(holding)
    world.go()
    assert (run.status, run.steps) == ("RUNNING", ["holds"])
    world.resume(run)
    world.go()
    assert run.result() == 2


def test_a_patch_goes_the_old_way_for_those_that_went_it_already() -> None:
    @workflow(name="patched")
    async def before() -> list[int]:
        found = [await flows.add(1, 1)]
        await workflows.sleep(60)
        found.append(await flows.add(3, 3))
        return found

    @workflow(name="patched")
    async def after() -> list[int]:
        found = [await flows.add(1, 1)]
        if workflows.patch("with-two"):
            found.append(await flows.add(2, 2))
        await workflows.sleep(60)
        if workflows.patch("with-two"):
            found.append(await flows.add(5, 5))
        found.append(await flows.add(3, 3))
        return found

    world = World()
    old = world.start(before)
    world.go(30)
    world.crash()
    old.workflow = after
    new = world.start(after)
    world.go()
    assert old.result() == [2, 6]
    assert new.result() == [2, 4, 10, 6]


def test_code_that_does_something_else_is_named_with_both() -> None:
    @workflow(name="changed")
    async def before() -> int:
        await flows.add(1, 1)
        await workflows.sleep(60)
        return 1

    @workflow(name="changed")
    async def after() -> int:
        await flows.double(1)
        await workflows.sleep(60)
        return 1

    world = World()
    run = world.start(before)
    world.go(30)
    run.workflow = after
    world.go()
    with pytest.raises(Diverged) as caught:
        run.result()
    assert (caught.value.seq, caught.value.expected, caught.value.found) == (
        1,
        "step 'add'",
        "step 'double'",
    )


def test_code_that_ends_before_it_did_is_named() -> None:
    @workflow(name="shorter")
    async def before() -> int:
        await flows.add(1, 1)
        await workflows.sleep(60)
        return 1

    @workflow(name="shorter")
    async def after() -> int:
        return await flows.add(1, 1)

    world = World()
    run = world.start(before)
    world.go(30)
    run.workflow = after
    world.go()
    with pytest.raises(Diverged, match="had done call 'sleep', and now does its end"):
        run.result()


def test_code_that_depends_on_more_than_its_input_is_found_by_killing() -> None:
    flip = itertools.cycle([True, False])

    @workflow
    async def moody() -> int:
        return await (flows.add(1, 1) if next(flip) else flows.double(1))

    with pytest.raises(NotTheSame, match=r"killed (before|after) call 1"):
        replay_everywhere(moody)


@pytest.mark.parametrize(
    "reach",
    [
        lambda: asyncio.to_thread(time.time),
        lambda: asyncio.open_connection("127.0.0.1", 1),
        lambda: asyncio.create_subprocess_exec("true"),
    ],
    ids=["thread", "socket", "command"],
)
def test_what_reaches_out_of_the_code_is_refused(reach: Callable[[], Any]) -> None:
    @workflow
    async def reaching() -> None:
        await reach()

    with pytest.raises(workflows.NotDeterministic, match="do it in a function under @step"):
        World().run(reaching)


def test_what_can_never_come_is_not_waited_for() -> None:
    @workflow
    async def stuck() -> None:
        await asyncio.Event().wait()

    with pytest.raises(workflows.Stuck):
        World().run(stuck)


def test_a_wait_that_nobody_ends_is_told_with_what_it_waits_for() -> None:
    with pytest.raises(RunFailed, match="it waits for recv-orders"):
        World().run(flows.letters)


def test_what_is_no_data_is_refused_with_its_place() -> None:
    @step
    def gives() -> Any:
        return {"rows": [1, object()]}

    @workflow
    async def keeps() -> Any:
        return await gives()

    with pytest.raises(workflows.NotJson, match=r"the output of gives\.rows\[1\] is a object"):
        World().run(keeps)


def test_the_functions_of_a_workflow_are_refused_elsewhere() -> None:
    with pytest.raises(workflows.Outside, match="under @workflow"):
        workflows.now()
    with pytest.raises(workflows.Outside):
        asyncio.run(workflows.sleep(1))


def test_a_step_is_a_plain_function_outside_of_workflows() -> None:
    async def both() -> tuple[int, int]:
        return await flows.add(1, 2), await flows.double(2)

    assert asyncio.run(both()) == (3, 4)


def test_a_workflow_is_tried_where_a_loop_runs_already() -> None:
    async def inside() -> Any:
        return World().run(flows.sums, first=1)

    assert asyncio.run(inside()) == 6


def test_a_step_that_nobody_waits_for_any_more_is_dropped() -> None:
    @workflow
    async def impatient() -> str:
        slow = asyncio.ensure_future(flows.add(7, 7))
        await flows.add(1, 1)
        slow.cancel()
        try:
            await slow
        except asyncio.CancelledError:
            return "dropped"
        return "done"

    run = replay_everywhere(impatient)
    assert (run.result(), run.steps) == ("dropped", ["add"])
    assert "add 7 7" not in CALLED


def test_which_is_first_of_several_is_the_same_in_a_replay() -> None:
    @workflow
    async def race() -> list[int]:
        tasks = [asyncio.create_task(flows.add(at, at)) for at in range(5)]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        return [task.result() for task in done]

    def last_first(**more: Any) -> World:
        return World(choose=lambda many: many - 1, **more)

    assert replay_everywhere(race, world=last_first).result() == [8]
    assert replay_everywhere(race).result() == [0]


def test_cleaning_up_at_the_end_of_a_program_calls_nothing() -> None:
    @workflow
    async def tidy() -> int:
        try:
            await workflows.sleep(60)
        finally:
            await flows.undo("once")
        return 1

    world = World()
    assert world.run(tidy) == 1
    assert CALLED == ["undo once"]


def test_a_wait_that_was_given_up_and_is_stopped_stops_nothing_else() -> None:
    """A server ends what nobody waits for as stopped. That is not the workflow's own stop."""

    @workflow
    async def impatient() -> str:
        try:
            async with asyncio.timeout(5):
                await workflows.recv("never")
        except TimeoutError:
            pass
        try:
            await workflows.sleep(3_600)
        except Stopped:
            await flows.undo("all")
            raise
        return "slept"

    stopped = Outcome(fault=Fault("Stopped", "nobody waits for it any more"))
    program = Program(lambda: impatient.body({}), Told())
    program.begin()
    assert [type(said) for said in program.take()] == [Ask, Ask]
    program.give(1, 1, Outcome())
    assert [type(said) for said in program.take()] == [GiveUp, Ask]
    program.give(2, 2, stopped)
    program.stop("enough")
    [record] = program.take()
    assert isinstance(record, Record)
    program.give(record.done.seq, 3)
    assert [type(said) for said in program.take()] == [GiveUp, Begin]


def test_who_waits_no_more_says_so_again_until_the_call_is_over() -> None:
    """It may be lost on the way, and the call would take a message that is for the next."""

    @workflow
    async def impatient() -> None:
        first = asyncio.create_task(workflows.recv("letters"))
        await flows.add(1, 1)
        first.cancel()
        await workflows.recv("letters")

    program = Program(lambda: impatient.body({}), Told())
    program.begin()
    begun = [type(said) for said in program.take()]
    assert sorted(each.__name__ for each in begun) == ["Ask", "Begin"]
    [step] = program.steps
    [wait] = program.waits
    program.finish(Done(step, "step", "add", Outcome(2)))
    program.give(step, 1)
    assert GiveUp(wait) in program.take()
    assert GiveUp(wait) in program.again()
    program.give(wait, 2, Outcome(fault=Fault("Stopped", "nobody waits for it any more")))
    assert [type(said) for said in program.again()] == [Ask]


FOLLOWING: dict[str, Callable[[], Any]] = {
    "a step": lambda: flows.add(2, 2),
    "a message": lambda: workflows.send("a-run", "topic", 1),
    "a value": lambda: workflows.set_event("key", 1),
    "a sleep": lambda: workflows.sleep(5),
    "a sleep of asyncio": lambda: asyncio.sleep(5),
    "a child": lambda: workflows.child("sums", {"first": 1}),
    "a task": lambda: workflows.task({"http": "https://example.org"}),
    "a moment": lambda: asyncio.sleep(0, workflows.now()),
    "a patch": lambda: asyncio.sleep(0, workflows.patch("new")),
    "its end": lambda: asyncio.sleep(0),
}


@pytest.mark.parametrize("follow", FOLLOWING.values(), ids=FOLLOWING.keys())
def test_nothing_follows_from_a_step_that_nobody_has_kept(follow: Callable[[], Any]) -> None:
    """However often it is told: each time the connection breaks."""

    @workflow
    async def goes_on() -> None:
        await flows.add(1, 1)
        await follow()

    program = Program(lambda: goes_on.body({}), Told())
    program.begin()
    [begun] = program.take()
    assert isinstance(begun, Begin)
    done = Done(1, "step", "add", Outcome(2))
    program.finish(done)
    assert program.take() == [Record(done)]
    for _ in range(3):
        assert (program.again(), program.take()) == ([Record(done)], [])
    assert (program.over, program.is_quiet, program.rests) == (False, False, None)
    program.give(1, 1)
    assert len(program.take()) == 1


def test_a_step_that_nobody_has_kept_holds_back_what_follows_from_it_and_nothing_else() -> None:
    @workflow
    async def both() -> None:
        async def two(at: int) -> None:
            await flows.add(await flows.add(at, at), at)

        await asyncio.gather(two(1), two(2))

    program = Program(lambda: both.body({}), Told())
    program.begin()
    assert [type(said) for said in program.take()] == [Begin, Begin]
    dones = [Done(seq, "step", "add", Outcome(2 * seq)) for seq in (1, 2)]
    for done in dones:
        program.finish(done)
    assert program.take() == list(map(Record, dones))
    program.give(2, 1)
    [third] = program.take()
    assert isinstance(third, Begin)
    assert third.work.args == (4, 2)
    assert program.again() == [Record(dones[0])]
