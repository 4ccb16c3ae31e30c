"""Rules of both ends that a simulated course shows once in ten thousand."""

from edge.agent.book import MemoryBook
from edge.agent.core import Agent, Effect, Profile, Say, Spawn
from edge.desk import Desk, Greeted, Station
from edge.messages import (
    Accept,
    Bye,
    Ended,
    Frame,
    Have,
    Hello,
    Lane,
    Message,
    Offer,
    Start,
    Welcome,
)

OFFER = Offer("1.1", {"argv": ["true"]})


def greeted(offset: float = 0.0) -> Agent:
    """In its first session; the server's clock is so much before its own `now`."""
    agent = Agent(MemoryBook("book"), Profile(slots=1))
    agent.connect(10.0, 0.0)
    welcome = Welcome(1, 1, 1, 10.0 + offset, (), (0,) * len(Lane), (0,) * len(Lane))
    hear(agent, welcome)
    return agent


def hear(agent: Agent, *messages: Message, now: float = 10.0, clock: float = 0.0) -> list[Effect]:
    return agent.receive(Frame(1, messages), now, clock)


def spawned(effects: list[Effect]) -> bool:
    return any(isinstance(each, Spawn) for each in effects)


def test_an_offer_that_comes_twice_begins_nothing_after_the_attempt_is_over() -> None:
    agent = greeted()
    hear(agent, OFFER)
    assert spawned(hear(agent, Start("1.1")))
    agent.began("1.1", 7, 0.0)
    agent.ended(Ended("1.1", "SUCCEEDED", 0.0))
    hear(agent, Have((1, 1, 0, 0, 0), (0,) * 5))
    assert not agent.book.jobs
    assert not any(isinstance(each, Say) for each in hear(agent, OFFER))
    assert not spawned(hear(agent, Start("1.1")))


def test_a_deadline_goes_by_the_servers_clock_whatever_is_set_on_the_machine() -> None:
    days = 3 * 86400.0
    for clock in (-days, 0.0, days):
        agent = greeted(offset=1000.0)
        due = Offer("1.1", {"argv": ["true"]}, start_before=1020.0)
        assert any(
            isinstance(each, Say) and isinstance(each.message, Accept) for each in hear(agent, due)
        )
        assert spawned(hear(agent, Start("1.1"), now=19.0, clock=clock))
        agent = greeted(offset=1000.0)
        hear(agent, due)
        assert not spawned(hear(agent, Start("1.1"), now=21.0, clock=clock))


def test_a_machine_that_slept_learns_from_any_answer_how_late_it_is() -> None:
    agent = greeted()
    hear(agent, Offer("1.1", {"argv": ["true"]}, start_before=20.0))
    hear(agent, Have((0,) * 5, (0,) * 5, clock=3600.0), now=11.0)
    assert not spawned(hear(agent, Start("1.1"), now=11.5))


def test_a_hello_over_a_connection_that_was_opened_before_the_sessions_own_begins_nothing() -> None:
    hello = Hello(greeting=1, oldest=1, newest=1, lineage="old", slots=1, clock=0.0)
    desk = Desk(Station(session=4, lineage="new", opened=20.0), 30.0)
    assert desk.hear(Frame(0, (hello,)), opened=19.0) == 0
    assert not desk.changes
    [bye] = desk.answers
    assert isinstance(bye, Bye)
    assert not bye.fenced
    assert Desk(desk.station, 30.0).hear(Frame(0, (hello,)), opened=20.0) == 5


def test_a_hello_of_a_book_that_was_replaced_begins_nothing() -> None:
    station = Station(session=4, lineage="new", retired=frozenset({"old"}))
    desk = Desk(station, 0.0)
    hello = Hello(greeting=99, oldest=1, newest=1, lineage="old", slots=1, clock=0.0)
    assert desk.hear(Frame(0, (hello,))) == 0
    assert not any(isinstance(each, Greeted) for each in desk.changes)
    [bye] = desk.answers
    assert isinstance(bye, Bye)
    assert bye.fenced
