"""Orders between two workstations over a socket, with nobody else about."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from operator import contains
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge import doors, identity, knocking
from edge.agent import callers
from edge.agent.asking import Pace
from edge.agent.directory import Known, NoWay
from edge.agent.peering import Order, Over
from edge.doors import Address, Unreached
from edge.identity import Grant
from edge.knocking import Caller, Refused
from edge.messages import Verb
from scheduler.domain.ids import new_id
from tests.support.peer_stations import Station, two_stations
from tests.support.waiting import patience, until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["TLS", "plain"])
async def stations(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Station, Station]]:
    async with two_stations(tmp_path, is_secure=request.param == "TLS") as both:
        yield both


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[Station, Station]]:
    async with two_stations(tmp_path) as both:
        yield both


def an_order(type: str = "press") -> Order:
    return Order(str(new_id()), type, {"piece": 7}, by="anna")


async def begun(saw: Station, press: Station) -> Order:
    order = an_order()
    saw.order("press", order)
    await until(lambda: press.bench.begun.get(order.run))
    return order


async def over(saw: Station, order: Order) -> Over:
    return await asyncio.wait_for(saw.peers.result(order.run), patience(60))


async def test_what_is_ordered_begins_at_the_peer_tells_how_far_it_is_and_comes_back(
    stations: tuple[Station, Station],
) -> None:
    saw, press = stations
    order = await begun(saw, press)
    assert press.bench.begun[order.run] == order
    press.peers.told(order.run, {"percent": 40})
    await until(lambda: saw.peers.news.get(order.run) == {"percent": 40})
    press.ends(order.run, output={"weight": 3})
    result = await over(saw, order)
    assert (result.ending, result.output) == ("SUCCEEDED", {"weight": 3})
    await until(lambda: not press.peers.ledger.given)  # thanked for
    assert saw.peers.status()["orders"][0]["ending"] == "SUCCEEDED"


async def test_a_run_that_ordered_it_is_given_the_result_and_steers_it_meanwhile(
    pair: tuple[Station, Station],
) -> None:
    saw, press = pair
    order = replace(an_order(), parent={"attempt": "x/1.1"})
    saw.order("press", order)
    assert saw.peers.ordered_by("x/1.1") == order
    await until(lambda: press.bench.begun.get(order.run))
    for verb in (Verb.HOLD, Verb.RESUME):
        saw.turns.decide(partial(saw.peers.wish, order.run, verb))
        await until(partial(contains, press.bench.steered, (order.run, verb)))
    press.ends(order.run)
    await until(lambda: saw.bench.results)
    assert [(each.run, over.ending) for each, over in saw.bench.results] == [
        (order.run, "SUCCEEDED")
    ]
    await until(lambda: not saw.peers.ledger.asked)


async def test_a_cut_and_a_restart_of_either_end_lose_nothing_and_begin_nothing_twice(
    pair: tuple[Station, Station],
) -> None:
    saw, press = pair
    third, first = an_order(), await begun(saw, press)
    for line in press.peers.inward.values():
        line.socket.transport.abort()
    second = await begun(saw, press)
    await press.stop()
    press.bench.over[first.run] = Over(first.run, "SUCCEEDED", 1.0, output="while it was away")
    saw.order("press", third)
    await press.start()
    await until(lambda: press.bench.begun.get(third.run))
    assert (await over(saw, first)).output == "while it was away"
    await saw.restart()
    assert saw.result(second.run) is None
    press.ends(second.run)
    press.ends(third.run)
    for order in (second, third):
        assert (await over(saw, order)).ending == "SUCCEEDED"
    assert list(press.bench.begun) == [first.run, second.run, third.run]


async def test_a_peer_that_lost_its_disk_says_so_and_begins_nothing_anew(
    pair: tuple[Station, Station],
) -> None:
    saw, press = pair
    order = await begun(saw, press)
    await until(lambda: saw.peers.ledger.asked[order.run].taken)
    await press.stop()
    for file in (press.folder / "press").glob("book.db*"):
        file.unlink()
    press.bench.begun.clear()
    await press.start()
    result = await over(saw, order)
    assert (result.ending, press.bench.begun) == ("LOST", {})


async def test_what_the_peer_cannot_carry_out_is_refused_with_its_reason(
    pair: tuple[Station, Station],
) -> None:
    saw, _ = pair
    order = an_order("unknown")
    saw.order("press", order)
    result = await over(saw, order)
    assert (result.ending, result.began) == ("REFUSED", False)
    assert "is not on this workstation" in str(result.error)


async def test_an_order_that_no_grant_allows_is_refused_before_anybody_is_called(
    pair: tuple[Station, Station],
) -> None:
    saw, _ = pair
    with pytest.raises(NoWay, match=r"may start press, unknown at 'press', and not 'melt'"):
        saw.order("press", an_order("melt"))
    with pytest.raises(NoWay, match=r"no workstation 'oven' is known"):
        saw.order("oven", an_order())


async def test_a_grant_that_has_expired_begins_nothing_and_waits_for_another(
    tmp_path: Path,
) -> None:
    async with two_stations(tmp_path) as (saw, press):
        saw.hall.is_there = True
        saw.granted_for = -3600.0
        saw.directory.known = Known()
        await saw.hears()
        order = an_order()
        saw.order("press", order)
        await until(lambda: (saw.peers.news.get(order.run) or {}).get("waiting") == "grant")
        assert not press.bench.begun
        saw.granted_for = 3600.0
        await saw.hears()
        await until(lambda: press.bench.begun.get(order.run))


async def test_a_grant_that_the_server_has_taken_back_begins_nothing_though_the_line_is_open(
    pair: tuple[Station, Station],
) -> None:
    saw, press = pair
    order = an_order()
    saw.peers.asker.pace = Pace(patience=0.5)
    first = await begun(saw, press)
    press.peers.taker.callers = callers.told({}, time.time())
    saw.order("press", order)
    await until(lambda: (saw.peers.news.get(order.run) or {}).get("waiting") == "grant")
    press.ends(first.run)  # what has begun is told of all the same
    assert (await over(saw, first)).ending == "SUCCEEDED"
    assert list(press.bench.begun) == [first.run]
    known = {"saw": {"key": identity.public(saw.key), "types": ["press"]}}
    press.peers.taker.callers = callers.told(known, time.time())
    await until(lambda: press.bench.begun.get(order.run))


async def test_what_has_begun_is_told_of_after_a_cut_though_nothing_new_may_begin(
    pair: tuple[Station, Station],
) -> None:
    saw, press = pair
    first = await begun(saw, press)
    saw.allowed, saw.hall.is_there = {}, True
    await saw.hears()
    for line in press.peers.inward.values():
        line.socket.transport.abort()
    with pytest.raises(NoWay, match="may start nothing at 'press'"):
        saw.order("press", an_order())
    press.ends(first.run)
    assert (await over(saw, first)).ending == "SUCCEEDED"


async def test_a_workstation_that_hears_that_it_was_revoked_leaves_its_peers_alone(
    pair: tuple[Station, Station],
) -> None:
    saw, press = pair
    order = await begun(saw, press)
    saw.directory.shut_out()
    await until(lambda: "nothing lets this" in (saw.peers.why.get("press") or ""))
    assert not press.peers.inward
    saw.turns.decide(partial(saw.peers.wish, order.run, Verb.KILL))
    await saw.restart()
    await until(lambda: "nothing lets this" in (saw.peers.why.get("press") or ""))
    assert not press.bench.steered


async def test_a_workstation_that_was_revoked_is_cut_off_by_its_peers_and_let_in_no_more(
    pair: tuple[Station, Station],
) -> None:
    saw, press = pair
    order = await begun(saw, press)
    known = {"saw": {"key": identity.public(saw.key), "types": []}}
    press.turns.decide(lambda now, clock: press.peers.taker.told(callers.told(known, 1.0)))
    await until(lambda: "was revoked" in (saw.peers.why.get("press") or ""))
    saw.turns.decide(partial(saw.peers.wish, order.run, Verb.KILL))
    assert not press.peers.inward
    assert not press.bench.steered


async def test_a_peer_itself_refuses_what_its_grant_does_not_name(
    pair: tuple[Station, Station], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The asking end is an honest one; a changed one is refused all the same."""
    saw, press = pair
    monkeypatch.setattr(saw.directory, "check_type", lambda name, type: None)
    order = an_order("melt")
    saw.order("press", order)
    result = await over(saw, order)
    assert (result.ending, result.began) == ("REFUSED", False)
    assert "'saw' may start press, unknown here, and not 'melt'" in str(result.error)
    assert not press.bench.begun


WRONG = {
    "a grant for another workstation": "the token is for 'oven', and this is 'press'",
    "a grant of another server": "has not signed it",
    "a grant that was stolen": "sent away: whoever calls does not have the key of 'saw'",
    "no grant": "this is no token of a workstation",
    "the token for the server": "the token is for 'server:",
}


def wrong_token(saw: Station, wrong: str) -> str:
    own = identity.public(saw.key)
    grant = Grant("saw", "press", 9e9, types=("press",), key=own)
    if wrong == "no grant":
        return "hello"
    if wrong == "a grant of another server":
        return identity.issue(Ed25519PrivateKey.generate(), grant)
    if wrong == "a grant for another workstation":
        grant = replace(grant, audience="oven")
    if wrong == "a grant that was stolen":
        grant = replace(grant, key=identity.public(Ed25519PrivateKey.generate()))
    if wrong == "the token for the server":
        grant = replace(grant, audience=identity.at_server(saw.hall.key))
    return identity.issue(saw.hall.signs, grant)


@pytest.mark.parametrize("wrong", WRONG)
async def test_whoever_shows_something_else_is_sent_away_and_told_why(
    pair: tuple[Station, Station], wrong: str
) -> None:
    saw, press = pair
    held = saw.directory.known.grants["press"]
    shown = {"press": replace(held, token=wrong_token(saw, wrong))}
    saw.directory.known = replace(saw.directory.known, grants=shown)
    order = an_order()
    saw.order("press", order)
    await until(lambda: WRONG[wrong] in (saw.peers.why.get("press") or ""))
    assert not press.bench.begun
    assert not press.peers.inward


async def test_another_machine_at_the_address_is_not_taken_for_the_peer(
    pair: tuple[Station, Station],
) -> None:
    saw, press = pair
    await press.stop()
    press.key = Ed25519PrivateKey.generate()
    await press.start()
    order = an_order()
    saw.order("press", order)
    await until(lambda: "does not have the key of 'press'" in (saw.peers.why.get("press") or ""))
    assert not press.bench.begun


async def test_where_nobody_listens_the_order_waits_and_people_are_told_why(
    pair: tuple[Station, Station],
) -> None:
    saw, press = pair
    await press.stop()
    order = an_order()
    saw.order("press", order)
    await until(lambda: saw.peers.why.get("press"))
    shown = saw.peers.status()["orders"][0]
    assert (shown["taken"], shown["ending"]) == (False, None)
    assert press.address in shown["why"]
    await press.start()
    await until(lambda: press.bench.begun.get(order.run))


def next_version(caller: Caller) -> str:
    return knocking.WORDS.write(knocking.Knock(2, 3, caller.token, caller.nonce))


OTHER_VERSIONS = {
    "a caller that is too new": (
        (knocking.Caller, "knock", next_version),
        "this workstation speaks versions 1 to 1, the caller 2 to 3",
    ),
    "one that answers as nobody understands": (
        (knocking, "agreed", lambda said: 9),
        "'press' speaks version 9",
    ),
}


@pytest.mark.parametrize("other", OTHER_VERSIONS)
async def test_between_versions_that_do_not_meet_orders_wait_and_people_are_told_why(
    pair: tuple[Station, Station], other: str
) -> None:
    saw, press = pair
    changed, why = OTHER_VERSIONS[other]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(*changed)
        order = an_order()
        saw.order("press", order)
        await until(lambda: why in (saw.peers.why.get("press") or ""))
        assert not press.bench.begun
        assert not press.peers.inward
    await until(lambda: press.bench.begun.get(order.run))  # one of the two was upgraded
    press.ends(order.run)
    assert (await over(saw, order)).ending == "SUCCEEDED"


async def test_a_peer_that_talks_nonsense_is_hung_up_on_and_harms_nobody(
    pair: tuple[Station, Station],
) -> None:
    saw, press = pair
    order = await begun(saw, press)
    line = saw.peers.out["press"]
    line.waiting.put_nowait('{"type": "ask", "order": 7}')
    await until(lambda: saw.peers.out.get("press") not in (None, line))
    press.ends(order.run)
    assert (await over(saw, order)).ending == "SUCCEEDED"


async def test_a_path_that_nobody_serves_is_no_way_in(pair: tuple[Station, Station]) -> None:
    _, press = pair
    address = doors.read_address(press.address)
    with pytest.raises((Unreached, Refused)):
        await doors.call(address, doors.STREAM, nobody)


def nobody(nonce: str, binding: str) -> Caller:
    raise AssertionError("nobody is there to be called")


ADDRESSES = {
    "press.local": Address("press.local", 7443, True),
    "press.local:1": Address("press.local", 1, True),
    "wss://press:2/": Address("press", 2, True),
    "ws://[::1]:3": Address("::1", 3, False),
}


@pytest.mark.parametrize("text", ADDRESSES)
async def test_an_address_is_read_as_it_is_written(text: str) -> None:
    assert doors.read_address(text) == ADDRESSES[text]


@pytest.mark.parametrize("text", ["", "https://x", "x:99999", "ws://u:p@x", "wss://x/y", "x?y"])
async def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no address|a port is"):
        doors.read_address(text)
