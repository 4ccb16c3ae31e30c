"""A workstation that has nothing to do hears what people decide about it without asking."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

import pytest

from edge.agent import labels
from edge.gateway import dispatch
from edge.messages import Command, Message, Stock, Stocked
from scheduler.domain.errors import Conflict
from tests.support.edge_alone import Alone, alone
from tests.support.gateways import Line, Served, a_line
from tests.support.publishing import publish, start
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

NUMBERS = count(1)
TIMED = """
name: measure-NAME
tasks: [{name: read, run: [gauge]}]
schedules: [{cron: "0 * * * *", workstation: NAME}]
"""


@pytest.fixture
async def press(served: Served) -> Alone:
    return await alone(served, f"press-{next(NUMBERS)}")


async def post(served: Served, path: str, **body: Any) -> None:
    answer = await served.api.post(path, json=body)
    assert answer.is_success, answer.text


async def change(served: Served, name: str, **body: Any) -> None:
    answer = await served.api.patch(f"/workstations/{name}", json=body)
    assert answer.is_success, answer.text


async def fires_hourly(served: Served, press: Alone) -> int:
    await publish(served, TIMED.replace("NAME", press.name))
    found = await served.one("select id from schedules where type = %s", f"measure-{press.name}")
    return int(found)


async def hears(served: Served, line: Line, fits: Callable[[Stock], bool]) -> Stock:
    """What it was told last of what it is to have, once that fits."""

    def latest() -> Stock | None:
        told = [each for each in line.got if isinstance(each, Stock)]
        return told[-1] if told and fits(told[-1]) else None

    await served.watch()
    return await until(latest)


def is_paused(stock: Stock) -> bool:
    return [json.loads(each)["is_paused"] for each in stock.schedules] == [True]


def fires(stock: Stock) -> bool:
    return [json.loads(each)["is_paused"] for each in stock.schedules] == [False]


async def test_a_schedule_that_is_paused_or_stopped_with_all_others_is_not_fired_there_either(
    served: Served, press: Alone
) -> None:
    schedule = await fires_hourly(served, press)
    ways = [(f"/schedules/{schedule}/pause", f"/schedules/{schedule}/resume")]
    ways.append(("/schedules/stop-all", "/schedules/resume-all"))
    async with a_line(served, press) as line:
        await hears(served, line, fires)
        await until(lambda: press.engine.next_due())
        for stop, resume in ways:
            await post(served, stop)
            await hears(served, line, is_paused)
            await until(lambda: press.engine.next_due() is None)
            await post(served, resume)
            await hears(served, line, fires)
            await until(lambda: press.engine.next_due())


async def test_a_type_that_was_retired_is_started_there_no_more(
    served: Served, press: Alone
) -> None:
    await fires_hourly(served, press)
    type = f"measure-{press.name}"
    async with a_line(served, press) as line:
        await hears(served, line, lambda stock: not stock.retired)
        await post(served, f"/process-types/{type}/retire", note="it is done otherwise")
        await hears(served, line, lambda stock: stock.retired == (type,))
        with pytest.raises(Conflict, match="was retired on the server"):
            press.start(type)
        due = press.engine.next_due()
        assert due is not None
        press.carry_out(press.engine.wake(datetime.fromtimestamp(due, UTC)))
        reason = "select reason from ticks t join schedules s on s.id = t.schedule_id "
        said = await served.becomes(f"{reason} where s.type = %s and reason is not null", type)
        assert "was retired on the server" in said
        await post(served, f"/process-types/{type}/reinstate")
        await hears(served, line, lambda stock: not stock.retired)
        assert press.start(type)


def reads(limit: int, stock: Stock) -> bool:
    return [json.loads(each)["system"] for each in stock.schedules] == [{"limit": limit}]


async def test_values_of_the_system_that_its_schedules_read_are_those_that_people_set(
    served: Served, press: Alone
) -> None:
    await fires_hourly(served, press)
    async with a_line(served, press) as line:
        await hears(served, line, fires)
        for limit in (7, 8):
            answer = await served.api.put("/variables/limit", json={"value": limit})
            assert answer.is_success, answer.text
            await hears(served, line, partial(reads, limit))


async def test_labels_drains_and_the_end_of_all_are_heard(served: Served, press: Alone) -> None:
    async with a_line(served, press) as line:
        await press.has_session()
        await change(served, press.name, labels={"line": "2"})
        await hears(served, line, lambda stock: stock.labels == {"line": "2"})
        await change(served, press.name, labels={"line": None})
        await hears(served, line, lambda stock: stock.labels == {})
        assert labels.kept(press.book) == press.engine.here.labels == {}
        await post(served, f"/workstations/{press.name}/drain", reason="it is cleaned")
        await until(lambda: press.book.shut.draining)
        await post(served, f"/workstations/{press.name}/undrain")
        await until(lambda: not press.book.shut.draining)
        asked = [each.verb for each in line.got if isinstance(each, Command)]
        assert asked == ["drain", "undrain"]
        await post(served, f"/workstations/{press.name}/revoke")
        closed = await until(lambda: line.closed)
        assert closed[0] == 4401


async def test_what_waits_for_a_label_is_offered_to_whoever_is_given_it(
    served: Served, press: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "LOOK_EVERY", 3600.0)  # by then it would be found anyway
    on = f"on: {{workstation: {{labels: {{cell: {press.name}}}}}}}"
    await publish(served, f"name: in-{press.name}\ntasks: [{{name: cut, run: cut, {on}}}]\n")
    async with a_line(served, press):
        await press.has_session()
        run = await start(served, f"in-{press.name}")
        await served.becomes("select 1 from tasks where run_id = %s and state = 'READY'", run)
        await change(served, press.name, labels={"cell": press.name})
        await served.watch()
        await press.has_begun()


async def test_who_may_call_it_and_whom_it_may_call_is_what_people_said_last(
    served: Served, press: Alone
) -> None:
    saw = await alone(served, f"saw-of-{press.name}")
    async with a_line(served, press) as line, a_line(served, saw) as other:
        await change(served, press.name, address="wss://press.example:7443")
        await change(served, saw.name, peers={press.name: ["press"]})
        told = await hears(served, line, lambda stock: saw.name in (stock.callers or {}))
        key = await served.one("select public_key from workstations where name = %s", saw.name)
        assert (told.callers or {})[saw.name] == {"key": key, "types": ["press"]}
        said = [(await hears(served, other, lambda stock: bool(stock.peers))).peers]
        for address in ("wss://elsewhere.example", "wss://press.example"):
            await change(served, press.name, address=address)
            told = await hears(served, other, lambda stock: stock.peers not in said)
            said.append(told.peers)
        await change(served, saw.name, peers={press.name: ["press", "bend"]})
        await hears(served, other, lambda stock: stock.peers not in said)
        types = ["bend", "press"]
        await hears(served, line, lambda stock: (stock.callers or {})[saw.name]["types"] == types)
        await post(served, f"/workstations/{saw.name}/revoke")
        shut_out = {"key": key, "types": []}
        await hears(served, line, lambda stock: (stock.callers or {}).get(saw.name) == shut_out)


async def test_one_that_was_denied_first_and_revoked_later_is_shut_out_where_it_had_ordered(
    served: Served, press: Alone
) -> None:
    saw = await alone(served, f"denied-at-{press.name}")
    key = await served.one("select public_key from workstations where name = %s", saw.name)
    async with a_line(served, press) as line:
        await change(served, saw.name, peers={press.name: ["press"]})
        await hears(served, line, lambda stock: saw.name in (stock.callers or {}))
        await change(served, saw.name, peers={press.name: []})
        await hears(served, line, lambda stock: saw.name not in (stock.callers or {}))
        await post(served, f"/workstations/{saw.name}/revoke")
        told = await hears(served, line, lambda stock: saw.name in (stock.callers or {}))
        assert (told.callers or {})[saw.name] == {"key": key, "types": []}


async def test_what_it_may_have_heard_before_a_cut_is_taken_back_when_it_is_there_again(
    served: Served, press: Alone
) -> None:
    """Its word that it has it did not come, and what it is to have now is what it had before."""
    async with a_line(served, press) as line:
        await hears(served, line, lambda stock: not stock.labels)
    await change(served, press.name, labels={"line": "2"})
    await served.watch()

    def is_word(message: Message) -> bool:
        return isinstance(message, Stocked)

    async with a_line(served, press, dies=is_word) as line:
        await until(lambda: line.closed)
    assert labels.kept(press.book) == {"line": "2"}
    await change(served, press.name, labels={"line": None})
    await served.watch()
    async with a_line(served, press):
        await until(lambda: labels.kept(press.book) == {} or None)
