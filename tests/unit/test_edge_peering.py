"""What workstations say to each other is read strictly; nothing that one says harms the other."""

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.agent import callers, taking
from edge.agent.asking import Asker, Call, Deliver, OtherOrder
from edge.agent.peering import (
    KEPT,
    WORDS,
    Ask,
    Given,
    Later,
    MemoryPeerBook,
    News,
    Noted,
    Order,
    Over,
    Taken,
    Thanks,
    Wait,
    Wish,
    asked_at,
    is_run,
)
from edge.agent.taking import Taker
from edge.identity import Grant
from edge.messages import Stock, Verb
from edge.wire import BadFrame
from scheduler.domain.ids import new_id

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
RUN = st.sampled_from([str(new_id()) for _ in range(3)]) | TEXT
JSON = st.dictionaries(TEXT, st.none() | st.booleans() | TEXT | st.lists(TEXT), max_size=3)
NUMBER = st.integers(0, 2**63 - 1)
CLOCK = st.floats(-1e15, 1e15)
VERB = st.sampled_from(Verb)
ORDER = st.builds(Order, RUN, TEXT, JSON, TEXT, JSON, st.none() | CLOCK, st.none() | NUMBER, JSON)
SAID = st.one_of(
    st.builds(Ask, ORDER, st.just("L") | TEXT, NUMBER, st.none() | VERB),
    st.builds(Wish, RUN, NUMBER, VERB),
    st.builds(Thanks, RUN),
    st.builds(Taken, RUN),
    st.builds(Later, RUN, st.sampled_from(Wait), TEXT),
    st.builds(Noted, RUN, NUMBER),
    st.builds(News, RUN, NUMBER, JSON),
    st.builds(Over, RUN, TEXT, CLOCK, st.booleans(), JSON, st.none() | TEXT, JSON),
)


@given(SAID)
def test_what_is_read_is_what_was_written(said: Any) -> None:
    assert WORDS.read(WORDS.write(said)) == said


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_whatever_comes_is_read_or_refused(text: str | bytes) -> None:
    with contextlib.suppress(BadFrame):
        WORDS.read(text)


@given(st.lists(SAID, max_size=12))
def test_whatever_a_peer_says_it_breaks_neither_end(said: list[Any]) -> None:
    taker, asker = Taker(MemoryPeerBook("L")), Asker(MemoryPeerBook("M"))
    taker.connect(1, Grant("saw", "press", 9e9, types=("*",)))
    asker.order("saw", an_order(), 0.0)
    asker.connect("saw", "L", 0.0)
    for number, each in enumerate(said):
        taker.receive(1, each, number, number)
        asker.receive("saw", each, number)
        taker.tick(number)
        asker.tick(number, number)
    taker.awake()
    asker.awake()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("01900000-0000-7000-8000-00000000000a", True),
        ("01900000-0000-7000-8000-00000000000A", False),
        ("0190000000007000800000000000000a", False),
        ("00000000-0000-4000-8000-000000000000", False),
        ("7", False),
        ("", False),
    ],
)
def test_a_run_has_one_name(text: str, wanted: bool) -> None:
    assert is_run(text) == wanted


def an_order(**more: Any) -> Order:
    return Order(str(new_id()), more.pop("type", "press"), **more)


def asked(taker: Taker, order: Order, clock: float = 0.0) -> list[Any]:
    found = taker.receive(1, Ask(order, "L"), clock, clock)
    return [each.message if isinstance(each, taking.Say) else each for each in found]


def a_taker(*types: str, **more: Any) -> Taker:
    taker = Taker(MemoryPeerBook("L"))
    taker.connect(1, Grant("saw", "press", 9e9, types=types or ("press",), key="K"), **more)
    return taker


def test_one_peer_sees_nothing_of_what_another_one_ordered() -> None:
    taker, order = a_taker(), an_order()
    asked(taker, order)
    taker.connect(2, Grant("lathe", "press", 9e9, types=("*",)))
    [refused] = taker.receive(2, Ask(order, "L"), 0.0, 0.0)
    assert isinstance(refused, taking.Say)
    assert isinstance(refused.message, Over)
    assert (refused.message.ending, refused.message.output) == ("REFUSED", None)
    assert taker.receive(2, Wish(order.run, 9, Verb.KILL), 0.0, 0.0) == []
    taker.ended(Over(order.run, "SUCCEEDED", 1.0), 0.0)
    taker.receive(2, Thanks(order.run), 0.0, 0.0)
    assert taker.book.given[order.run].result is not None


TAKEN_BACK: dict[str, Any] = {
    "nobody may call": {},
    "another key": {"saw": {"key": "J", "types": ["press"]}},
    "other types": {"saw": {"key": "K", "types": ["bend"]}},
    "no caller": {"saw": "K"},
    "no types": {"saw": {"key": "K"}},
}


@pytest.mark.parametrize("known", TAKEN_BACK)
def test_what_the_server_has_taken_back_begins_nothing_until_it_signs_another_grant(
    known: str,
) -> None:
    taker, order = a_taker(), an_order()
    taker.callers = callers.told(TAKEN_BACK[known], 100.0)
    [later] = asked(taker, order)
    assert isinstance(later, Later)
    assert later.wait is Wait.GRANT
    newer = Grant("saw", "press", 9e9, types=("press",), key="K", since=200.0)
    taker.connect(1, newer)
    assert Taken(order.run) in asked(taker, order)


def test_who_was_revoked_is_cut_off_and_another_key_of_the_same_name_is_not() -> None:
    taker = a_taker()
    revoked = callers.told({"saw": {"key": "K", "types": []}}, 100.0)
    assert taker.told(revoked) == [taking.Cut(1, "its workstation was revoked")]
    assert not revoked.is_shut_out(Grant("saw", "press", 9e9, key="J", since=200.0))
    assert not revoked.is_shut_out(Grant("lathe", "press", 9e9, key="J"))


def test_a_key_that_was_revoked_or_replaced_stays_shut_out_until_it_is_let_in_again() -> None:
    saw, replaced = (Grant("saw", "press", 9e9, key=key) for key in "KJ")
    revoked = callers.told({"saw": {"key": "K", "types": []}}, 100.0)
    assert revoked.is_shut_out(replaced)
    stock = Stock("r", callers={}, at=200.0)
    removed = callers.read(callers.written(stock, revoked))
    assert removed.is_shut_out(saw)
    assert not removed.is_shut_out(replace(saw, since=300.0))
    stock = Stock("r", callers={"saw": {"key": "K", "types": ["press"]}}, at=300.0)
    assert not callers.read(callers.written(stock, removed)).is_shut_out(saw)


@pytest.mark.parametrize("known", [None, {"saw": {"key": "K", "types": ["*"]}}])
def test_where_nothing_was_taken_back_a_grant_counts(known: Any) -> None:
    taker, order = a_taker(), an_order()
    taker.callers = callers.told(known, 100.0)
    assert Taken(order.run) in asked(taker, order)


def test_a_peer_has_room_for_so_many_orders_and_no_more() -> None:
    taker = a_taker()
    for _ in range(taking.MOST):
        order = an_order()
        taker.book.put_given(Given(order, "saw"))
    [later] = asked(taker, an_order())
    assert isinstance(later, Later)
    assert later.wait is Wait.BUSY


def test_what_is_so_old_that_it_may_have_been_forgotten_never_begins() -> None:
    taker, order = a_taker(), an_order()
    asked(taker, order)
    taker.ended(Over(order.run, "SUCCEEDED", asked_at(order.run)), 0.0)
    taker.receive(1, Thanks(order.run), 0.0, 0.0)
    assert taker.book.is_over(order.run)
    taker.prune(asked_at(order.run) + KEPT + 1)
    assert not taker.book.is_over(order.run)
    [over] = asked(taker, order, 0.0)  # whatever the clock says by now
    assert isinstance(over, Over)
    assert over.ending == "LOST"


def test_a_result_that_nobody_fetched_is_forgotten_when_it_is_old() -> None:
    taker, order = a_taker(), an_order()
    asked(taker, order)
    taker.ended(Over(order.run, "SUCCEEDED", asked_at(order.run)), 0.0)
    taker.prune(asked_at(order.run) + KEPT - 1)
    assert order.run in taker.book.given
    taker.prune(asked_at(order.run) + KEPT + 1)
    assert order.run not in taker.book.given


def test_an_id_is_one_order() -> None:
    asker, order = Asker(MemoryPeerBook("M")), an_order()
    assert asker.order("press", order, 0.0) == asker.order("press", order, 0.0) == [Call("press")]
    with pytest.raises(OtherOrder):
        asker.order("oven", order, 0.0)


def test_who_gives_an_order_up_is_told_that_it_is_lost() -> None:
    asker, order = Asker(MemoryPeerBook("M")), an_order()
    asker.order("press", order, 0.0)
    asker.connect("press", "L", 0.0)
    [told] = asker.give_up(order.run, "nobody waits for it", 5.0)
    assert isinstance(told, Deliver)
    assert (told.result.ending, told.result.error) == ("LOST", "nobody waits for it")
