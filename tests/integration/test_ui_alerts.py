"""Alerts on the dashboard: rules and channels made, tried and changed; what was found and sent."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.services import notifications
from scheduler.services.access import Role
from scheduler.store import connections
from scheduler.store import notifications as stored
from tests.support.api import Api, serving
from tests.support.browser import Browser, Page, signed_in
from tests.support.following import following
from tests.support.statements import counted

pytestmark = pytest.mark.anyio

Conn = AsyncConnection[Any]
RULES, CHANNELS = "/ui/alerts/rules", "/ui/alerts/channels"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish("name: two\ntasks: [{name: a, noop: true}]")
        yield api


@pytest.fixture
async def conn(api: Api) -> AsyncIterator[Conn]:
    async with await connections.connect(api.url, name="test") as conn:
        yield conn


@pytest.fixture
async def someone(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api, Role.ADMIN) as browser:
        yield browser


async def channel(api: Api, name: str = "desk") -> None:
    wish = {"name": name, "webhook": {"url": "https://hooks.example.org/x"}}
    assert (await api.admin.post("/notifications/channels", json=wish)).status_code == 201


async def rule(api: Api, name: str = "it", **more: Any) -> None:
    wish = {"name": name, "event": "failed", "channels": ["desk"], **more}
    assert (await api.admin.post("/notifications/rules", json=wish)).status_code == 201


async def get(api: Api, path: str) -> Any:
    return (await api.admin.get(f"/notifications/{path}")).json()


async def found(conn: Conn, count: int, rule: str = "it") -> None:
    await conn.execute(
        "insert into notifications (rule, key, subject, data)"
        " select r.id, 'failed ' || n || clock_timestamp(), 'two', jsonb_build_object('error', n)"
        " from notification_rules r, generate_series(1, %s) n where r.name = %s",
        [count, rule],
    )
    await conn.execute(
        "insert into notification_deliveries"
        " (notification, channel, state, attempts, error, next_at)"
        " select n.id, c.id, 'FAILED', 12, 'nobody answers', null"
        " from notifications n, notification_channels c on conflict do nothing"
    )


async def test_a_channel_of_each_kind_is_made_by_a_form(api: Api, someone: Browser) -> None:
    form = (await someone.open(f"{CHANNELS}/new")).form("/channels/new")
    for fields, config in (
        (
            {"kind": "webhook", "url": "https://a.example.org/", "secret": "desk-key"},
            {"url": "https://a.example.org/", "allow_private": False},
        ),
        (
            {"kind": "email", "to": "a@example.org\nb@example.org"},
            {"to": ["a@example.org", "b@example.org"]},
        ),
        ({"kind": "run", "started": "two"}, {"type": "two"}),
    ):
        page = await following(someone, form, name=f"to-{fields['kind']}", **fields)
        assert "The channel is made" in page.text
        made = await get(api, f"channels/to-{fields['kind']}")
        assert (made["kind"], made["config"]) == (fields["kind"], config)
    assert (await get(api, "channels/to-webhook"))["secret"] == "desk-key"
    assert "none uses it" in (await someone.open(f"{CHANNELS}/to-email")).text


Wrong = list[tuple[dict[str, Any], str, str]]
WRONG_CHANNELS: Wrong = [
    ({"name": "No"}, "name", "is no name"),
    ({"url": "ftp://x"}, "url", "https://"),
    ({"url": "https://u:p@example.org"}, "url", "password"),
    ({"kind": "email", "to": "nobody"}, "to", "someone@example.org"),
    ({"kind": "run", "started": "../x"}, "started", "../x"),
    ({"name": "desk", "url": "https://x.example.org"}, "name", "already"),
]
WRONG_RULES: Wrong = [
    ({"name": ""}, "", "missing"),
    ({"channel": []}, "channels", "channels"),
    ({"channel": ["gone"]}, "channels", "no channel gone"),
    ({"factor": "lots"}, "factor", "is no number"),
    ({"factor": "-1"}, "factor", "0 to 1000"),
    ({"count": "0"}, "count", "is no number"),
    ({"after": "soon"}, "after", "soon"),
    ({"event": "never"}, "event", "never"),
]


async def test_what_is_wrong_with_a_channel_or_rule_is_said_and_what_was_written_is_kept(
    api: Api, someone: Browser
) -> None:
    await channel(api)
    form = (await someone.open(f"{CHANNELS}/new")).form("/channels/new")
    for fields, field, said in WRONG_CHANNELS:
        wish = {"name": "new", "kind": "webhook", "description": "", **fields}
        answer = await someone.send(form, **wish)
        assert answer.status_code in (409, 422), fields
        assert said in Page(answer).text, fields
        assert f'id="fault-{field}"' in answer.text, fields
        for value in fields.values():
            assert value in Page(answer).answer.text
    form = (await someone.open(f"{RULES}/new")).form("/rules/new")
    for fields, field, said in WRONG_RULES:
        wish = {"name": "kept", "event": "failed", "channel": ["desk"], **fields}
        answer = await someone.send(form, **wish)
        assert answer.status_code == 422, fields
        assert said in Page(answer).text, fields
        if field:
            assert f'id="fault-{field}"' in answer.text, fields
    assert (await get(api, "rules"))["items"] == []


async def test_a_rule_is_made_changed_and_put_to_sleep(api: Api, someone: Browser) -> None:
    await channel(api)
    await channel(api, "other")
    form = (await someone.open(f"{RULES}/new")).form("/rules/new")
    wish = {"name": "slow", "event": "longer", "type": "two", "factor": "3", "quiet": "1h"}
    page = await following(someone, form, **wish, channel=["desk", "other"])
    assert "when a run takes longer than usual of type two" in page.text
    made = await get(api, "rules/slow")
    assert (made["factor"], made["quiet"], made["channels"]) == (3, "PT1H", ["desk", "other"])
    form = (await someone.open(f"{RULES}/slow/edit")).form("/edit")
    assert dict(form.fields)["quiet"] == "1h"
    theirs = {"event": "longer", "channels": ["desk"]}
    assert (await api.admin.put("/notifications/rules/slow", json=theirs)).status_code == 200
    answer = await someone.send(form, event="missed", channel=["other"])
    assert answer.status_code == 409
    again = Page(answer).form("/edit")
    page = await following(someone, again, event="missed", channel=["other"])
    assert (await get(api, "rules/slow"))["event"] == "missed"
    page = await following(someone, page.form("/snooze"), until="2199-01-01T00:00")
    assert "It sleeps until" in page.text
    assert (await get(api, "rules/slow"))["snoozed_until"] == "2199-01-01T00:00:00Z"
    await following(someone, page.form("/wake"))
    assert (await get(api, "rules/slow"))["snoozed_until"] is None


async def test_a_channel_that_somebody_else_changed_is_not_overwritten_unseen(
    api: Api, someone: Browser
) -> None:
    await channel(api)
    form = (await someone.open(f"{CHANNELS}/desk/edit")).form("/edit")
    theirs = {"email": {"to": ["theirs@example.org"]}}
    assert (await api.admin.put("/notifications/channels/desk", json=theirs)).status_code == 200
    mine = {"kind": "webhook", "url": "https://mine.example.org/"}
    answer = await someone.send(form, **mine)
    assert answer.status_code == 409
    assert "theirs@example.org" in Page(answer).text
    await following(someone, Page(answer).form("/edit"), **mine)
    assert (await get(api, "channels/desk"))["config"]["url"] == "https://mine.example.org/"


async def test_rules_and_channels_are_tested_and_deliveries_made_again(
    api: Api, conn: Conn, someone: Browser
) -> None:
    await channel(api)
    await rule(api)
    for path in (f"{RULES}/it", f"{CHANNELS}/desk"):
        page = await following(someone, (await someone.open(path)).form("/test"))
        assert "A test is on its way" in page.text
    assert len(await stored.deliveries(conn, limit=9)) == 2
    await conn.execute(
        "update notification_deliveries set state = 'FAILED', next_at = null, error = 'no way'"
    )
    page = await someone.open("/ui/alerts/deliveries?status=FAILED&channel=desk")
    assert "no way" in page.text
    await following(someone, page.form("/redeliver"))
    assert len(await stored.deliveries(conn, status="PENDING", limit=9)) == 1
    assert "this is a test" in (await someone.open("/ui/alerts")).text


async def test_alerts_are_acknowledged_one_by_one_and_exactly_those_that_were_ticked(
    api: Api, conn: Conn, someone: Browser
) -> None:
    await channel(api)
    await rule(api)
    await found(conn, 4)
    ids = [each["id"] for each in (await api.admin.get("/notifications")).json()["items"]]
    page = await following(
        someone, (await someone.open(f"/ui/alerts/{ids[0]}")).form("/acknowledge")
    )
    assert "It was acknowledged before" in page.text
    token = {"_form": await someone.form_token()}
    assert (await someone.post("/ui/alerts/chosen/decide", token)).status_code == 422
    chosen = {**token, "id": [str(ids[0]), str(ids[1]), str(ids[2])]}
    page = Page(await someone.post("/ui/alerts/chosen/confirm", chosen))
    form = page.form("/decide")
    named = [value for name, value in form.fields if name == "id"]
    assert named == [str(ids[1]), str(ids[2])]  # the first was seen before
    assert (await someone.post(form.action, {**token, "id": named})).status_code == 303
    left = (await api.admin.get("/notifications", params={"open": "true"})).json()["items"]
    assert [each["id"] for each in left] == [ids[3]]
    page = await someone.open("/ui/alerts?open=true")
    assert page.answer.text.split("<tbody>")[1].count("<tr>") == 1


async def test_a_channel_that_a_rule_uses_is_not_deleted_and_a_rule_is_after_a_look(
    api: Api, conn: Conn, someone: Browser
) -> None:
    await channel(api)
    await rule(api)
    page = await someone.open(f"{CHANNELS}/desk/delete")
    assert "1 rule uses it: it" in page.text
    assert not [each for each in page.forms if each.action.endswith("/delete")]
    token = {"_form": await someone.form_token()}
    assert (await someone.post(f"{CHANNELS}/desk/delete", token)).status_code == 409
    await following(someone, (await someone.open(f"{RULES}/it/delete")).form("/delete"))
    await following(someone, (await someone.open(f"{CHANNELS}/desk/delete")).form("/delete"))
    assert (await get(api, "channels"))["items"] == []
    for path in (f"{RULES}/it", f"{CHANNELS}/desk", "/ui/alerts/77"):
        await someone.open(path, 404)


async def test_roles_do_what_the_api_lets_them_do_and_no_more(api: Api) -> None:
    await channel(api)
    await rule(api)
    async with signed_in(api, Role.VIEWER) as viewer:
        assert "This takes an operator" in (await viewer.open(f"{RULES}/it")).text
        await viewer.open(f"{RULES}/new", 403)
    async with signed_in(api, Role.AUTHOR) as author:
        await author.open(f"{RULES}/new")
        assert "This takes an admin" in (await author.open(f"{CHANNELS}/desk")).text
        await author.open(f"{CHANNELS}/new", 403)
        token = {"_form": await author.form_token()}
        assert (await author.post(f"{CHANNELS}/desk/edit", token)).status_code == 403


async def test_lists_of_alerts_go_on_by_pages_and_ask_no_more_for_more(
    api: Api, conn: Conn, someone: Browser
) -> None:
    await channel(api)
    await rule(api)
    for many in (1, 60):
        await found(conn, many)
        [alert] = await (await conn.execute("select max(id) from notifications")).fetchone() or [0]
        paths = [
            "/ui/alerts",
            "/ui/alerts/deliveries",
            RULES,
            CHANNELS,
            f"{RULES}/it",
            f"{CHANNELS}/desk",
            f"/ui/alerts/{alert}",
            f"{RULES}/new",
            f"{RULES}/it/edit",
        ]
        for path in paths:
            with counted() as sent:
                await someone.open(path)
            assert 0 < len(sent) <= 7, (path, sent)
    for path in ("/ui/alerts", "/ui/alerts/deliveries"):
        told = (await someone.client.get(f"{path}?format=json")).json()
        assert len(told) == 61
    assert await notifications.look(conn) == 0
