"""Events, triggers and webhooks on the dashboard: what happened, what it started, dry tests."""

import hashlib
import hmac
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.loops.promoter import Promoter
from scheduler.loops.pulse import Pulse
from scheduler.services import event_lists
from scheduler.services.access import Role
from scheduler.services.catalog import Catalog
from scheduler.services.keyring import Keys
from scheduler.services.routing import route_batch
from scheduler.store import connections
from scheduler.store.event_lists import Filter
from tests.support.api import Api, serving
from tests.support.browser import Browser, Page, signed_in
from tests.support.following import following
from tests.support.statements import counted

pytestmark = pytest.mark.anyio

Conn = AsyncConnection[Any]
KEYS = Keys(text=b64encode(b"k" * 32).decode())
SHIP = """
name: ship
input: {type: object, properties: {order: {type: string}, rush: {type: boolean}}}
tasks: [{name: pack, noop: true}]
"""
WAITING = """
name: waits
tasks: [{name: paid, wait_for: {event: order.paid, key: "4711"}}]
"""
SPEC = 'event: order.*\nwhen: "${{ event.data.rush }}"\ninput: {order: "${{ event.key }}"}\n'


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        api.app.state.keys = KEYS
        await api.publish(SHIP)
        yield api


@pytest.fixture
async def conn(api: Api) -> AsyncIterator[Conn]:
    async with await connections.connect(api.url, name="test") as conn:
        yield conn


@pytest.fixture
async def someone(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api, Role.ADMIN) as browser:
        yield browser


async def sent(someone: Browser, **fields: str) -> Page:
    form = (await someone.open("/ui/events/new")).form("/events/new")
    return await following(someone, form, **fields)


async def trigger(api: Api, **spec: Any) -> int:
    wish = {"type": "ship", "spec": {"event": "order.*", **spec}}
    answer = await api.admin.post("/triggers", json=wish)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def test_an_event_that_is_sent_by_a_form_is_one_event_and_shows_what_it_started(
    api: Api, conn: Conn, someone: Browser
) -> None:
    await api.publish(WAITING)
    mine, waiting = (
        await trigger(api, input={"order": "${{ event.key }}"}),
        await api.start("waits"),
    )
    form = (await someone.open("/ui/events/new")).form("/events/new")
    fields = {"type": "order.paid", "key": "4711"}
    wrong = await someone.send(form, **fields, data="[1")
    assert wrong.status_code == 422
    assert 'id="fault-data"' in wrong.text
    assert "4711" in wrong.text
    page = await following(someone, form, **fields, data='{"rush": true}')
    again = await someone.send(form, **fields, data='{"rush": true}')
    assert "event_known" in again.headers["location"]
    [event] = (await api.admin.get("/events")).json()["items"]
    await route_batch(conn, Catalog(), 10)
    while await Promoter(Catalog(), Pulse(), lambda _: None).tick(conn):
        pass
    page = await someone.open(f"/ui/events/{event['number']}")
    [run] = (await api.admin.get("/runs?type=ship")).json()["items"]
    assert f"/ui/runs/{run['id']}" in page.links
    assert f"/ui/triggers/{mine}" in page.links
    assert f"/ui/runs/{waiting['id']}" in page.links
    like = (await someone.open(f"/ui/events/new?like={event['number']}")).form("/events/new")
    assert dict(like.fields)["key"] == "4711"
    assert dict(like.fields)["id"] != event["id"]


async def many(conn: Conn, count: int, type: str = "many") -> None:
    await conn.execute(
        "insert into events (source, event_id, type, key, data, received_at, received_by)"
        " select 'load', %s || n, %s, 'key ' || n %% 3, '{}',"
        " now() - (%s - n) * interval '1 minute', 'test' from generate_series(1, %s) n",
        [type, type, count, count],
    )


async def test_events_are_found_by_type_subject_source_and_time(
    conn: Conn, someone: Browser
) -> None:
    await many(conn, 120)
    await many(conn, 1, "rare")
    for query, count in (
        ("type=rare", 1), ("key=key 2", 40), ("source=load", 121), ("type=many&key=key 1", 40),
        ("type=absent", 0), ("", 121),
    ):  # fmt: skip
        told = await someone.client.get(f"/ui/events?{query}&format=json")
        assert len(told.json()) == count, query
    seen: list[str] = []
    href = "/ui/events?source=load"
    while href:
        page = await someone.open(href)
        seen += [each for each in page.links if each.removeprefix("/ui/events/").isdecimal()]
        href = next((each for each in page.links if "cursor=" in each), "")
    assert len(seen) == len(set(seen)) == 121
    await someone.open("/ui/events?cursor=x", 422)


async def test_a_stretch_of_time_is_found_by_halves_and_is_exact(conn: Conn) -> None:
    await many(conn, 300)
    row = await (
        await conn.execute(
            "select now() - interval '200 minutes 30 seconds',"
            " now() - interval '100 minutes 30 seconds'"
        )
    ).fetchone()
    assert row is not None
    filter = Filter(since=row[0], until=row[1])
    found = await event_lists.page(conn, filter, limit=500)
    assert len(found.rows) == 100
    assert all(row[0] <= each["received_at"] < row[1] for each in found.rows)
    assert (found.next, found.is_cut) == (None, False)


async def test_a_look_for_something_rare_ends_and_goes_on_where_it_ended(
    conn: Conn, someone: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await many(conn, 1, "rare")
    await many(conn, 200)
    monkeypatch.setattr(event_lists, "WINDOW", 60)
    page, looks = await someone.open("/ui/events?type=rare"), 1
    assert "None of the latest 60 fits" in page.text
    while more := [each for each in page.links if "cursor=" in each]:
        page, looks = await someone.open(more[0]), looks + 1
    assert "<b>rare</b>" in page.answer.text
    assert looks == 4


async def test_a_draft_is_tried_against_events_that_were_and_starts_nothing(
    api: Api, conn: Conn, someone: Browser
) -> None:
    await sent(someone, type="order.created", key="1", data='{"rush": true}')
    await sent(someone, type="order.created", key="2", data='{"rush": false}')
    await sent(someone, type="other", data="{}")
    form = (await someone.open("/ui/triggers/new?type=ship")).form("/triggers/new")
    draft = {"type": "ship", "spec": SPEC, "do": "check"}
    page = Page(await someone.send(form, **draft))
    assert "It would be wanted" in page.text
    assert "The condition is not met" in page.text
    assert "Its type is none that the trigger asks for" in page.text
    assert '"order": "1"' in page.text
    assert (await api.admin.get("/triggers")).json()["items"] == []
    bad = Page(
        await someone.send(
            form, **{**draft, "spec": "event: x\ninput: {rush: 7}", "event_number": "3"}
        )
    )
    assert "Its type is none" in bad.text
    await someone.send(form, type="ship", spec=SPEC, do="save")
    [made] = (await api.admin.get("/triggers")).json()["items"]
    assert made["spec"]["event"] == "order.*"
    page = await someone.open(f"/ui/triggers/{made['id']}?try=1")
    assert "It would be wanted" in page.text
    await someone.open(f"/ui/triggers/{made['id']}?try=999", 404)
    assert (await api.admin.get("/runs")).json()["items"] == []


async def test_what_is_wrong_with_a_trigger_is_said_and_what_was_written_is_kept(
    api: Api, someone: Browser
) -> None:
    form = (await someone.open("/ui/triggers/new")).form("/triggers/new")
    for spec, target, said in (
        ("event: [", "ship", "spec"),
        ("evnt: x", "ship", "event"),
        ("event: x\nwhen: 7", "ship", "when"),
        ("- event: x", "ship", "one map"),
        ("event: x", "", "which type or which record"),
        ("event: x", "absent", "absent"),
        ("event: x\ndebounce: {quiet: 1s}\nbatch: {max: 2, wait: 1s}", "ship", "exclude"),
    ):
        answer = await someone.send(form, type=target, spec=spec, do="save", event_number="42")
        page = Page(answer)
        assert answer.status_code in (404, 422), spec
        assert said in page.text, spec
        assert dict(page.form("/triggers/new").fields)["event_number"] == "42"
    assert (await api.admin.get("/triggers")).json()["items"] == []


async def test_a_trigger_is_changed_paused_and_deleted(api: Api, someone: Browser) -> None:
    mine = await trigger(api)
    here = f"/ui/triggers/{mine}"
    form = (await someone.open(f"{here}/edit")).form("/edit")
    theirs = {"spec": {"event": "order.changed"}}
    await api.admin.put(f"/triggers/{mine}", json=theirs)
    answer = await someone.send(form, spec="event: order.mine", do="save")
    assert answer.status_code == 409
    page = Page(answer)
    assert "order.changed" in page.text
    assert "order.mine" in page.text
    await following(someone, page.form("/edit"), spec="event: order.mine", do="save")
    assert (await api.admin.get(f"/triggers/{mine}")).json()["spec"]["event"] == "order.mine"
    page = await following(someone, (await someone.open(here)).form("/pause"), note="holidays")
    assert "holidays" in page.text
    page = await following(someone, page.form("/resume"))
    assert "goes on" in page.text
    page = await someone.open(f"{here}/delete")
    await following(someone, page.form("/delete"))
    await someone.open(here, 404)


async def test_decisions_of_a_trigger_say_what_and_why(
    api: Api, conn: Conn, someone: Browser
) -> None:
    mine = await trigger(api, when="${{ event.data.rush }}")
    await sent(someone, type="order.created", data='{"rush": true}')
    await sent(someone, type="order.created", data='{"nothing": 1}')
    await route_batch(conn, Catalog(), 10)
    page = await someone.open(f"/ui/triggers/{mine}")
    assert "started" in page.text
    told = (await someone.client.get(f"/ui/triggers/{mine}?format=json")).json()
    assert {each["fate"] for each in told} == {"STARTED", "FAILED"}
    page = await someone.open(f"/ui/triggers/{mine}?fate=FAILED")
    assert page.answer.text.split("<tbody>")[1].count("<tr>") == 1


async def test_a_webhook_is_made_with_a_key_that_is_shown_once_and_works(
    api: Api, someone: Browser
) -> None:
    form = (await someone.open("/ui/webhooks/new")).form("/webhooks/new")
    answer = await someone.send(form, name="shop", scheme="procession", own="made")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    key = key_of(Page(answer))
    assert await called(api, "shop", key) == 202
    assert await called(api, "shop", "another") == 401
    for path in ("/ui/webhooks", "/ui/webhooks/shop", "/ui/webhooks/shop/edit"):
        assert key not in (await someone.open(path)).answer.text
    page = await someone.open("/ui/webhooks/shop")
    assert "shop.test" in page.text
    newer = key_of(Page(await someone.send(page.form("/rotate"), overlap="0s")))
    assert newer != key
    assert await called(api, "shop", newer) == 202
    assert await called(api, "shop", key) == 401


def key_of(page: Page) -> str:
    return next(told["value"] for tag, told in page.tags if "once" in told.get("class", ""))


async def called(api: Api, name: str, key: str) -> int:
    body, now = b'{"type": "test"}', str(int(time.time()))
    signature = hmac.digest(key.encode(), f"{now}.".encode() + body, hashlib.sha256).hex()
    headers = {
        "Procession-Timestamp": now,
        "Procession-Signature": f"v1={signature}",
        "Content-Type": "application/json",
    }
    return (
        await api.as_role(None).post(f"/webhooks/{name}", content=body, headers=headers)
    ).status_code


async def test_a_webhook_that_makes_no_sense_is_refused_and_nothing_is_left_of_it(
    api: Api, someone: Browser
) -> None:
    form = (await someone.open("/ui/webhooks/new")).form("/webhooks/new")
    for fields, said in (
        ({"name": "No Name", "own": "made"}, "names no webhook"),
        ({"name": "shop", "own": "made", "key": "${{ nothing"}, "key"),
        ({"name": "shop", "own": "named", "secret": "absent"}, "no secret"),
        ({"name": "shop", "own": "made", "tolerance": "often"}, "often"),
    ):
        answer = await someone.send(form, scheme="procession", **fields)
        assert answer.status_code == 422, fields
        assert said in Page(answer).text, fields
    assert (await api.admin.get("/webhooks")).json()["items"] == []
    assert (await api.admin.get("/secrets")).json()["items"] == []


async def test_whoever_is_no_admin_makes_no_webhook_and_sees_no_key(api: Api) -> None:
    async with signed_in(api, Role.AUTHOR) as author:
        await author.open("/ui/webhooks")
        await author.open("/ui/webhooks/new", 403)
        answer = await author.post("/ui/webhooks/new", {"_form": await author.form_token()})
        assert answer.status_code == 403


async def test_pages_of_events_ask_the_database_no_more_for_more(
    api: Api, conn: Conn, someone: Browser
) -> None:
    mine = await trigger(api)
    for count in (2, 60):
        await many(conn, count, f"order.{count}")
        await route_batch(conn, Catalog(), 100)
        [number] = await (await conn.execute("select max(id) from events")).fetchone() or [0]
        for path in (
            "/ui/events",
            "/ui/events?type=order.2&since=2020-01-01T00:00",
            f"/ui/events/{number}",
            "/ui/triggers",
            f"/ui/triggers/{mine}?try={number}",
            "/ui/webhooks",
        ):
            with counted() as sent:
                await someone.open(path)
            assert 0 < len(sent) <= 13, (path, sent)  # three of figures that all share
