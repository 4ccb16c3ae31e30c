"""What waits for one connection."""

import pytest

from edge.lines import FURTHEST_BEHIND, MOST_CHARACTERS, MOST_WAITING, Line

pytestmark = pytest.mark.anyio

LARGE = "a" * (1 << 20)


async def test_who_takes_none_of_what_waits_is_let_go() -> None:
    line = Line()
    line.send(["a"] * MOST_WAITING)
    line.send(["b"])
    assert line.why is None
    line.send(["c"])
    assert line.why is not None


async def test_who_takes_one_after_the_other_of_much_that_was_said_at_once_is_waited_for() -> None:
    line = Line()
    line.send([LARGE] * (2 * MOST_CHARACTERS // len(LARGE)))
    for _ in range(5):
        line.send(["an answer"])
        await line.next()
    assert line.why is None
    while line.waiting:
        await line.next()
    assert line.size == 0


async def test_nobody_may_be_behind_for_ever() -> None:
    line = Line()
    line.send([LARGE] * (FURTHEST_BEHIND // len(LARGE)))
    line.send(["an answer"])
    assert line.why is not None
