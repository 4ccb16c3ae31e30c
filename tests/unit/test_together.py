import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from scheduler.api.together import Together
from scheduler.domain.errors import Invalid, Unavailable

pytestmark = pytest.mark.anyio


class Gate:
    """Answers what it is asked, each time when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.asked = asyncio.Event()
        self._let = asyncio.Semaphore(0)

    def let(self) -> None:
        self._let.release()

    async def answer(self, questions: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(questions))
        self.asked.set()
        await self._let.acquire()
        return [Invalid("odd") if each % 2 else each * 10 for each in questions]


@asynccontextmanager
async def at_work(gate: Gate, *, most: int = 10) -> AsyncIterator[Together[int, int]]:
    together = Together(gate.answer, most=most)
    lane = asyncio.create_task(together.work())
    await asyncio.sleep(0)  # so that it has begun
    try:
        yield together
    finally:
        lane.cancel()
        await asyncio.gather(lane, return_exceptions=True)


async def test_who_comes_while_an_answer_is_under_way_goes_with_the_next() -> None:
    gate = Gate()
    async with at_work(gate) as together:
        first = asyncio.create_task(together.ask(2))
        await gate.asked.wait()
        others = [asyncio.create_task(together.ask(number)) for number in (4, 6, 8)]
        gate.let()
        assert await first == 20
        gate.let()
        assert await asyncio.gather(*others) == [40, 60, 80]
    assert gate.batches == [[2], [4, 6, 8]]


async def test_what_is_wrong_with_one_is_told_to_nobody_else() -> None:
    gate = Gate()
    gate.let()
    async with at_work(gate) as together:
        answers = await asyncio.gather(*map(together.ask, (2, 3, 4)), return_exceptions=True)
    assert gate.batches == [[2, 3, 4]]
    assert answers[0::2] == [20, 40]
    assert isinstance(answers[1], Invalid)


async def test_no_more_go_together_than_may() -> None:
    gate = Gate()
    for _ in range(3):
        gate.let()
    async with at_work(gate, most=2) as together:
        await asyncio.gather(*map(together.ask, (2, 4, 6, 8, 10)))
    assert gate.batches == [[2, 4], [6, 8], [10]]


async def test_nothing_is_begun_for_who_has_left() -> None:
    gate = Gate()
    async with at_work(gate) as together:
        first = asyncio.create_task(together.ask(2))
        await gate.asked.wait()
        left, stays = (asyncio.create_task(together.ask(number)) for number in (4, 6))
        await asyncio.sleep(0)  # so that both have asked
        left.cancel()
        gate.let()
        gate.let()
        assert (await first, await stays) == (20, 60)
    assert gate.batches == [[2], [6]]


async def test_what_fails_altogether_is_told_to_all() -> None:
    async def fail(questions: Sequence[int]) -> list[int | Exception]:
        raise Unavailable("away")

    together = Together(fail, most=10)
    lane = asyncio.create_task(together.work())
    await asyncio.sleep(0)
    answers = await asyncio.gather(*map(together.ask, (1, 2)), return_exceptions=True)
    lane.cancel()
    assert [type(each) for each in answers] == [Unavailable, Unavailable]


async def test_nobody_waits_for_a_lane_that_has_ended() -> None:
    gate = Gate()
    async with at_work(gate) as together:
        asked = [asyncio.create_task(together.ask(2))]
        await gate.asked.wait()
        asked.append(asyncio.create_task(together.ask(4)))
        await asyncio.sleep(0)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in answers] == [Unavailable, Unavailable]
    with pytest.raises(Unavailable):
        await together.ask(6)
