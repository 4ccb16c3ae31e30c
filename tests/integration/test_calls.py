"""Calls in a worker's hands: how each of them ends, and that it is told once."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import pytest

from executor.base import Ending, Outcome
from executor.http import Policy
from scheduler.calls import Calls
from scheduler.domain.tasks import Claimed
from scheduler.store.output import Chunk
from tests.support.listeners import Listener, listening, reply
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio

OPEN = Policy(allow_private=(ip_network("127.0.0.0/8"),))


class Hand:
    def __init__(self, slots: int = 4) -> None:
        self.calls = Calls(OPEN, slots=slots)
        self.told: list[tuple[str, Outcome]] = []
        self.news = asyncio.Event()
        self.calls.open(self.hear)

    def hear(self, key: str, outcome: Outcome, chunks: Sequence[Chunk]) -> None:
        self.told.append((key, outcome))
        self.news.set()

    def start(self, id: int, server: Listener, on_lost: str = "retry", **more: Any) -> str:
        given = {"method": "GET", "url": server.url(), "allow_private": True, **more}
        task = Claimed(
            id=id,
            run_id=UUID(int=1),
            name="it",
            kind="http",
            attempt=1,
            on_lost=on_lost,
            invocation=given,
            queue="default",
            rank=0,
            ready_seq=id,
        )
        self.calls.start(task)
        return task.key

    async def ends(self, count: int = 1) -> dict[str, Outcome]:
        async with asyncio.timeout(patience(10)):
            while len(self.told) < count:
                self.news.clear()
                await self.news.wait()
        assert len(self.told) == count
        return dict(self.told)


@asynccontextmanager
async def under_way(hand: Hand, on_lost: str = "retry") -> AsyncIterator[Listener]:
    """A call that has come to the other side, and is not answered yet."""
    async with listening(holds_back=True) as server:
        hand.start(1, server, on_lost)
        await server.begun.wait()
        yield server
        server.going_on.set()
        await hand.calls.close()


async def test_a_call_is_told_of_once_when_it_is_over() -> None:
    hand = Hand()
    async with listening() as server:
        hand.start(1, server)
        assert hand.calls.busy == 1
        assert (await hand.ends())["1.1"].ending is Ending.SUCCEEDED
        assert hand.calls.busy == 0


@pytest.mark.parametrize("what", ["stop", "kill"])
async def test_a_call_that_nobody_wants_any_more_is_stopped(what: str) -> None:
    hand = Hand()
    async with under_way(hand):
        hand.calls.want("1.1", what)
        hand.calls.want("1.1", what)
        assert (await hand.ends())["1.1"].ending is Ending.STOPPED


async def test_a_call_goes_on_while_commands_are_frozen() -> None:
    hand = Hand()
    async with under_way(hand) as server:
        for what in ("freeze", "thaw"):
            hand.calls.want("1.1", what)
        server.going_on.set()
        assert (await hand.ends())["1.1"].ending is Ending.SUCCEEDED


async def test_a_call_that_is_withdrawn_before_its_first_step_is_told_as_well() -> None:
    hand = Hand()
    async with listening() as server:
        hand.start(1, server)
        hand.calls.withdraw()
        outcome = (await hand.ends())["1.1"]
        assert (outcome.ending, outcome.counted) == (Ending.STOPPED, False)
        assert server.connections == 0


async def test_what_waits_for_a_place_goes_back_and_what_is_under_way_is_lost() -> None:
    hand = Hand(slots=1)
    async with under_way(hand) as server:
        hand.start(2, server)
        await hand.calls.leave(0.1)
        ends = await hand.ends(2)
        assert (ends["1.1"].ending, ends["1.1"].counted) == (Ending.LOST, True)
        assert (ends["2.1"].ending, ends["2.1"].counted) == (Ending.STOPPED, False)
        assert server.connections == 1


async def test_who_leaves_waits_for_what_is_under_way() -> None:
    hand = Hand()
    async with under_way(hand) as server:
        leaving = asyncio.create_task(hand.calls.leave(10))
        server.going_on.set()
        await leaving
        assert (await hand.ends())["1.1"].ending is Ending.SUCCEEDED


def at(seconds: float) -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) + seconds


async def test_with_its_lease_a_call_ends_and_none_begins_before_the_next_one() -> None:
    hand = Hand()
    async with under_way(hand) as server:
        hand.calls.lease(at(0.05))
        assert (await hand.ends())["1.1"].ending is Ending.LOST
        hand.start(2, server)
        assert (await hand.ends(2))["2.1"].counted is False
        assert server.connections == 1
        server.going_on.set()
        hand.calls.lease(at(60))
        hand.start(3, server)
        assert (await hand.ends(3))["3.1"].ending is Ending.SUCCEEDED


async def test_a_call_that_may_outlast_the_lease_goes_on() -> None:
    hand = Hand()
    async with under_way(hand, on_lost="wait") as server:
        hand.calls.lease(at(0.0))
        hand.start(2, server)
        assert (await hand.ends())["2.1"].ending is not Ending.SUCCEEDED
        server.going_on.set()
        assert (await hand.ends(2))["1.1"].ending is Ending.SUCCEEDED


async def test_what_can_not_be_called_fails_for_good_and_names_the_field() -> None:
    hand = Hand()
    async with listening() as server:
        hand.start(1, server, method="CONNECT")
        outcome = (await hand.ends())["1.1"]
        assert (outcome.ending, outcome.retryable) == (Ending.FAILED, False)
        assert str(outcome.error).startswith("http.method: ")


async def test_secrets_that_come_back_are_hidden() -> None:
    hand = Hand()
    async with listening(lambda asked: reply(asked.headers["x-key"])) as server:
        hand.start(1, server, headers={"X-Key": "hunter2hunter2"}, masks=["hunter2hunter2"])
        outcome = (await hand.ends())["1.1"]
        assert outcome.ending is Ending.SUCCEEDED
        assert "hunter2" not in repr(outcome)
