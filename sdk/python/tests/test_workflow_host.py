"""Workflows in a worker, without one: what a server is told, and what comes of its answers."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import stories

from procession import messages
from procession.messages import (
    Call,
    Command,
    Diverged,
    Done,
    Ended,
    History,
    Kept,
    Known,
    Offer,
    Park,
    Parked,
    Record,
    Recorded,
    Resolved,
)
from procession.workflows import Workflow, recv, sleep, step, this_step, workflow
from procession.workflows.host import Carried, FlowHost

pytestmark = pytest.mark.anyio
ATTEMPT = "7.1"


class Line:
    """What an attempt says, in a list."""

    attempt, worker = ATTEMPT, "tests"

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.moved = asyncio.Event()

    def say(self, message: Any) -> None:
        self.said.append(message)
        self.moved.set()

    end = say

    def hand_back(self, why: str) -> None:
        self.say(messages.Back(ATTEMPT, why))

    async def until(self, kind: type[Any], many: int = 1) -> Any:
        """The newest of that kind, once there are so many."""
        async with asyncio.timeout(30):
            while len(found := [each for each in self.said if isinstance(each, kind)]) < many:
                self.moved.clear()
                await self.moved.wait()
        return found[-1]


def offer(workflow: Workflow[Any, Any], input: Any, calls: int = 0) -> Offer:
    return Offer(
        attempt=ATTEMPT,
        action=workflow.name,
        payload=input,
        run="a-run",
        task=workflow.name,
        type_name=workflow.name,
        number=1,
        key="a-key",
        workflow={"calls": calls, "proof": "secret"},
    )


def begin(
    workflow: Workflow[Any, Any], input: Any = None, calls: int = 0, linger: float = 0
) -> tuple[Carried, Line]:
    line = Line()
    host = FlowHost([workflow], linger=linger)
    return host.begin(offer(workflow, input or {}, calls), line), line


def recorded(*orders: tuple[int, int]) -> Recorded:
    return Recorded(ATTEMPT, tuple(Kept(seq, order) for seq, order in orders))


async def test_a_step_counts_only_when_the_server_has_kept_it() -> None:
    carried, line = begin(stories.sums, {"first": 1})
    first = await line.until(Record)
    assert [(done.seq, done.name, done.output) for done in first.calls] == [(1, "add", 3)]
    assert first.calls[0].input == {"left": 1, "right": 2}
    assert line.said == [first]
    carried.heard(recorded((1, 1)))
    await line.until(Record, 2)
    carried.heard(recorded((2, 2)))
    assert await line.until(Ended) == Ended(ATTEMPT, "SUCCEEDED", 6)


async def test_what_does_not_stop_within_its_grace_is_not_waited_for() -> None:
    @step
    async def endless() -> None:
        await asyncio.Event().wait()

    @workflow
    async def deaf() -> None:
        try:
            await sleep(60)
        finally:
            await endless()

    line = Line()
    given = replace(offer(deaf, {}), grace=0.05)
    carried = FlowHost([deaf], linger=60).begin(given, line)
    await line.until(Call)
    carried.commanded(Command(ATTEMPT, "stop", "enough"))
    stop = await line.until(Record)
    carried.heard(recorded((stop.calls[0].seq, 1)))
    assert (await line.until(Ended)).ending == "STOPPED"


async def test_what_is_known_is_not_done_again() -> None:
    stories.CALLED.clear()
    carried, line = begin(stories.sums, {"first": 1}, calls=2)
    carried.heard(History(ATTEMPT, (Known(1, "step", "add", 1, ok=True, output=40),)))
    assert line.said == []
    carried.heard(History(ATTEMPT, (Known(2, "step", "double", 2, ok=True, output=80),)))
    assert await line.until(Ended) == Ended(ATTEMPT, "SUCCEEDED", 80)
    assert stories.CALLED == []


async def test_what_is_over_before_all_of_the_history_is_here_counts_when_it_is() -> None:
    """By poll a history may need several answers, and news come with each."""

    @workflow
    async def two() -> list[Any]:
        return list(await asyncio.gather(recv("a"), recv("b")))

    carried, line = begin(two, calls=2, linger=60)
    carried.heard(History(ATTEMPT, (Known(1, "recv", "recv-a"),)))
    carried.heard(Resolved(ATTEMPT, 1, 1, ok=True, output="A"))
    carried.heard(History(ATTEMPT, (Known(2, "recv", "recv-b"),)))
    carried.heard(Resolved(ATTEMPT, 2, 2, ok=True, output="B"))
    assert await line.until(Ended) == Ended(ATTEMPT, "SUCCEEDED", ["A", "B"])


async def test_results_that_come_out_of_order_wait_for_each_other() -> None:
    carried, line = begin(stories.grouped)
    await line.until(Record, 3)
    carried.heard(recorded((3, 3)))
    carried.heard(recorded((1, 2)))
    assert len(line.said) == 3
    carried.heard(recorded((2, 1)))
    await line.until(Record, 6)
    carried.heard(recorded((4, 4), (5, 5), (6, 6)))
    assert (await line.until(Ended)).output == [42, 22, 62]


async def test_a_program_that_only_waits_is_put_away() -> None:
    carried, line = begin(stories.letters)
    call = await line.until(Call)
    assert (call.name, call.task) == ("recv-orders", {"recv": {"topic": "orders"}})
    assert await line.until(Park) == Park(ATTEMPT, (1,))
    assert carried.program is not None
    assert carried.program.over
    carried.heard(Resolved(ATTEMPT, 1, 1, ok=True, output="late"))
    carried.met()
    assert line.said[-1] == Park(ATTEMPT, (1,))
    carried.heard(Parked(ATTEMPT))
    assert carried.program is None


async def test_a_program_that_sleeps_for_long_is_put_away_at_once() -> None:
    @workflow
    async def naps() -> None:
        await sleep(60)

    _, line = begin(naps, linger=600)
    assert await line.until(Park) == Park(ATTEMPT, (1,))


async def test_what_was_not_acknowledged_is_said_again_on_a_new_connection() -> None:
    @workflow
    async def both() -> None:
        await asyncio.gather(stories.add(1, 1), recv("never"))

    carried, line = begin(both, linger=60)
    call, record = await line.until(Call), await line.until(Record)
    line.said.clear()
    carried.met()
    assert sorted(line.said, key=str) == sorted([record, call], key=str)
    carried.heard(recorded((1, 1)))
    line.said.clear()
    carried.met()
    assert line.said == [call]
    carried.lost("over")


async def test_a_history_that_was_lost_on_the_way_is_asked_for_again() -> None:
    carried, line = begin(stories.sums, {"first": 1}, calls=2)
    carried.met()
    assert isinstance(line.said[-1], messages.Back)


async def test_code_that_does_something_else_is_told_with_both() -> None:
    carried, line = begin(stories.sums, {"first": 1}, calls=1)
    carried.heard(History(ATTEMPT, (Known(1, "step", "other", 1, ok=True),)))
    assert await line.until(Diverged) == Diverged(ATTEMPT, 1, "step 'other'", "step 'add'")


async def test_a_stop_is_kept_and_then_raised() -> None:
    carried, line = begin(stories.careful, linger=60)
    await line.until(Record)
    carried.heard(recorded((1, 1)))
    await line.until(Call)
    carried.commanded(Command(ATTEMPT, "stop", "enough"))
    kept = await line.until(Record, 2)
    assert kept.calls == (Done(3, "moment", "stop", ok=True, output={"reason": "enough"}),)
    carried.heard(recorded((3, 2)))
    undo = await line.until(Record, 3)
    assert (undo.calls[0].name, undo.calls[0].output) == ("undo", "enough")
    carried.heard(recorded((4, 3)))
    await line.until(Call, 2)
    carried.heard(Resolved(ATTEMPT, 5, 4, ok=True))
    end = await line.until(Ended)
    assert (end.ending, end.error) == ("STOPPED", messages.Error("Stopped", "enough"))


async def test_waits_that_the_server_interrupts_are_answered_by_the_code_too() -> None:
    carried, line = begin(stories.careful, linger=60)
    await line.until(Record)
    carried.heard(recorded((1, 1)))
    await line.until(Call)
    stopped = messages.Error("Stopped", "by the server")
    carried.heard(Resolved(ATTEMPT, 2, 2, ok=False, error=stopped))
    carried.commanded(Command(ATTEMPT, "stop", "by the server"))
    assert (await line.until(Record, 2)).calls[0].name == "undo"
    carried.heard(recorded((3, 3)))
    assert (await line.until(Call, 2)).seq == 4
    carried.heard(Resolved(ATTEMPT, 4, 4, ok=True))
    assert (await line.until(Ended)).ending == "STOPPED"


async def test_a_kill_leaves_no_time() -> None:
    carried, line = begin(stories.letters, linger=60)
    await line.until(Call)
    carried.commanded(Command(ATTEMPT, "kill", "now"))
    assert (await line.until(Ended)).ending == "STOPPED"


async def test_on_hold_nothing_new_begins_and_the_workflow_is_parked() -> None:
    carried, line = begin(stories.sums, {"first": 1}, linger=60)
    await line.until(Record)
    carried.commanded(Command(ATTEMPT, "hold", "lunch"))
    carried.heard(recorded((1, 1)))
    assert await line.until(Park) == Park(ATTEMPT, ())
    assert len(line.said) == 2


async def test_a_hold_that_is_taken_back_goes_on() -> None:
    carried, line = begin(stories.sums, {"first": 1}, linger=60)
    await line.until(Record)
    carried.commanded(Command(ATTEMPT, "hold", "lunch"))
    carried.commanded(Command(ATTEMPT, "resume", ""))
    carried.heard(recorded((1, 1)))
    await line.until(Record, 2)


async def test_a_worker_that_leaves_hands_back_what_others_can_go_on_with() -> None:
    carried, line = begin(stories.sums, {"first": 1}, linger=60)
    await line.until(Record)
    carried.closing()
    assert len(line.said) == 1
    carried.heard(recorded((1, 1)))
    assert isinstance(await line.until(messages.Back), messages.Back)


async def test_a_worker_that_leaves_parks_what_only_waits() -> None:
    carried, line = begin(stories.letters, linger=60)
    await line.until(Call)
    carried.closing()
    assert line.said[-1] == Park(ATTEMPT, (1,))


async def test_a_step_in_a_thread_hears_that_nobody_waits_for_it() -> None:
    began, looked = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    @step
    def stubborn() -> None:
        this = this_step()
        loop.call_soon_threadsafe(began.set)
        this.cancelled.wait(30)
        loop.call_soon_threadsafe(looked.set)

    @workflow
    async def waits() -> None:
        await stubborn()

    carried, _ = begin(waits)
    async with asyncio.timeout(30):
        await began.wait()
        carried.lost("others have it")
        await looked.wait()


async def test_a_workflow_that_nobody_serves_is_refused() -> None:
    host = FlowHost([stories.sums])
    with pytest.raises(LookupError, match="does not serve the workflow 'letters'"):
        host.begin(offer(stories.letters, {}), Line())


async def test_input_that_the_code_does_not_take_fails_the_run() -> None:
    _, line = begin(stories.sums, {"third": 1})
    end = await line.until(Ended)
    assert (end.ending, end.error.type) == ("FAILED", "TypeError")


@pytest.mark.parametrize("breaks", [lambda: "text", lambda: None])
async def test_an_input_that_is_no_map_is_named(breaks: Callable[[], Any]) -> None:
    line = Line()
    FlowHost([stories.sums]).begin(offer(stories.sums, breaks()), line)
    end = await line.until(Ended)
    assert "is a map of its arguments" in end.error.message


async def test_what_nobody_waits_for_is_given_up_again_before_the_rest_is_put_away() -> None:
    @workflow
    async def impatient() -> None:
        first = asyncio.create_task(recv("letters"))
        await stories.add(1, 1)
        first.cancel()
        await sleep(60)

    carried, line = begin(impatient, linger=60)
    call, record = await line.until(Call), await line.until(Record)
    carried.heard(recorded((record.calls[0].seq, 1)))
    park = await line.until(Park)
    assert messages.GiveUp(ATTEMPT, call.seq) in line.said
    line.said.clear()
    carried.met()
    assert line.said == [messages.GiveUp(ATTEMPT, call.seq), park]
