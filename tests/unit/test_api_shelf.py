"""Starts that are answered before they are stored."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from scheduler.api.shelf import AT_ONCE, Shelf
from scheduler.domain.errors import NotFound, TooMany, Unavailable
from scheduler.domain.ids import new_id
from scheduler.services.runs import Begun, Order
from scheduler.services.starts import Wish
from scheduler.store.audit import Actor
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


def a_wish(number: int) -> Wish:
    return Wish(Order(type="one", input={"number": number}, by="me"), Actor("me", None, "", ""))


NO_TYPE = NotFound("there is no type")


class Database:
    """Stores what it is given, unless it is away."""

    def __init__(self) -> None:
        self.stored: list[Any] = []
        self.groups: list[int] = []
        self.misses = 0

    async def start(self, wishes: Sequence[Wish]) -> Sequence[Begun | Exception]:
        if self.misses:
            self.misses -= 1
            raise Unavailable("the database does not answer")
        self.groups.append(len(wishes))
        self.stored += [each.order.input["number"] for each in wishes if each.order.input]
        return [Begun(new_id()) if each.order.input else NO_TYPE for each in wishes]


def test_who_finds_no_room_is_told_to_come_again() -> None:
    shelf = Shelf(Database().start, most=2, bytes=100)
    shelf.put(a_wish(1), 40)
    with pytest.raises(TooMany) as caught:
        shelf.put(a_wish(2), 61)
    assert caught.value.seconds == 1
    shelf.put(a_wish(2), 60)
    with pytest.raises(TooMany):
        shelf.put(a_wish(3), 0)
    assert len(shelf) == 2


async def test_what_waits_is_stored_in_groups_and_in_order_though_the_database_was_away() -> None:
    database = Database()
    database.misses = 1
    shelf = Shelf(database.start, most=1_000, bytes=1 << 20)
    for number in range(AT_ONCE + 5):
        shelf.put(a_wish(number), 10)
    storing = asyncio.create_task(shelf.work())
    assert await shelf.emptied()
    storing.cancel()
    assert database.stored == list(range(AT_ONCE + 5))
    assert database.groups == [AT_ONCE, 5]


async def test_one_that_something_is_wrong_with_keeps_no_other_from_being_stored() -> None:
    database = Database()
    shelf = Shelf(database.start, most=10, bytes=1 << 20)
    shelf.put(Wish(Order(type="none", input={}, by="me"), Actor("me", None, "", "")), 10)
    shelf.put(a_wish(2), 10)
    storing = asyncio.create_task(shelf.work())
    await until(lambda: len(shelf) == 0)
    storing.cancel()
    assert database.stored == [2]
    assert shelf.dropped == 1
