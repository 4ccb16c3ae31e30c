"""Who is offered what, and when somebody looks again."""

from collections.abc import Mapping
from typing import Any

import pytest

from edge.remote.dispatch import Claims, Dispatcher
from edge.remote.links import Link, Links
from scheduler.domain.wakes import Wake

pytestmark = pytest.mark.anyio

QUEUE = "action:cut"


async def nothing(conn: Any, holder: int, claimed: Any) -> Mapping[str, Any]:
    return {}


async def whole(conn: Any, said: Any) -> None:
    """No history is long."""


class Counted(Claims):
    """Finds nothing, while something comes that it could not see yet."""

    def __init__(self) -> None:
        super().__init__(nothing, whole)
        self.asked: list[str] = []
        self.meanwhile = Wake()
        self.dispatcher: Dispatcher | None = None

    async def claim(self, conn: Any, link: Link, queue: str, limit: int) -> list[Any]:
        self.asked.append(queue)
        if self.dispatcher is not None:
            self.dispatcher.heard(self.meanwhile)
        return []


NO_DATABASE: Any = None


def a_link(holder: int, slots: int = 2) -> Link:
    link = Link(1, 5.0)
    link.holder, link.slots, link.queues = holder, slots, [QUEUE]
    return link


def a_dispatcher(claims: Claims, *links: Link) -> Dispatcher:
    found = Links()
    for link in links:
        found.begin(link)
    dispatcher = Dispatcher(claims, found, lambda wake: None, lambda *refused: None)
    dispatcher._all = False
    return dispatcher


async def test_what_comes_while_a_queue_is_claimed_from_is_not_overlooked() -> None:
    claims = Counted()
    claims.meanwhile.add(queues=[QUEUE])
    claims.dispatcher = dispatcher = a_dispatcher(claims, a_link(1))
    dispatcher.has_room(a_link(1), is_new=True)
    await dispatcher.tick(NO_DATABASE)
    claims.meanwhile = Wake()
    await dispatcher.tick(NO_DATABASE)
    await dispatcher.tick(NO_DATABASE)
    assert claims.asked == [QUEUE, QUEUE]  # and an empty queue is left alone


async def test_a_queue_waits_for_somebody_who_has_room() -> None:
    claims, full = Counted(), a_link(1, slots=0)
    dispatcher = a_dispatcher(claims, full)
    dispatcher.has_room(full, is_new=True)
    await dispatcher.tick(NO_DATABASE)
    assert claims.asked == []
    full.slots = 1
    await dispatcher.tick(NO_DATABASE)
    assert claims.asked == [QUEUE]
