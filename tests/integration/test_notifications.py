import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection

from edge.gateway import cloning
from executor.http import Policy
from scheduler.chores.catalog import KINDS
from scheduler.chores.notifications import deliver
from scheduler.domain.events import NewEvent
from scheduler.domain.webhooks import Call, WebhookSpec, verify
from scheduler.services import events, notifications, secrets
from scheduler.services.keyring import Keys
from scheduler.settings import MailSettings
from scheduler.store import connections
from scheduler.store import notifications as stored
from tests.support import builders
from tests.support.api import Api, becomes, serving
from tests.support.chores import a_plane, carrying, tools_with
from tests.support.mail import Mailbox, a_mail_server

pytestmark = pytest.mark.anyio

Conn = AsyncConnection[Any]
LOOPBACK = Policy(allow_private=[ip_network("127.0.0.0/8")])
KEY = "a key of many letters"


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await connections.connect(dsn, name="test") as conn:
        await builders.publish(conn, builders.chain("two", "", ""), builders.chain("tell", ""))
        yield conn


@pytest.fixture
async def api(dsn: str, conn: Conn) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


class Hook:
    """A destination that remembers what it was sent, and may fail."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.status = 200
        self.url = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
        headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in head if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.calls.append(Call(headers, body))
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % self.status)
        await writer.drain()
        writer.close()


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook = Hook()
    server = await asyncio.start_server(hook.talk, "127.0.0.1", 0)
    hook.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield hook


async def channel(api: Api, name: str, **more: Any) -> None:
    answer = await api.admin.post("/notifications/channels", json={"name": name, **more})
    assert answer.status_code == 201, answer.text


async def rule(api: Api, event: str = "failed", **more: Any) -> None:
    wish = {"name": "it", "event": event, "channels": ["hook"], "quiet": "0s", **more}
    answer = await api.admin.post("/notifications/rules", json=wish)
    assert answer.status_code == 201, answer.text


async def hooked(api: Api, hook: Hook, event: str = "failed", **more: Any) -> None:
    await channel(api, "hook", webhook={"url": hook.url, "allow_private": True})
    await rule(api, event, **more)


async def failed(conn: Conn, type: str = "two", by: str = "test") -> Any:
    run = await builders.start(conn, type)
    await conn.execute("delete from tasks where run_id = %s", [run])
    await conn.execute(
        "update runs set state = 'FAILED', open = 0, error = 'no', triggered_by = %s,"
        " started_at = created_at, finished_at = clock_timestamp() where id = %s",
        [by, run],
    )
    return run


async def delivering(dsn: str, **more: Any) -> None:
    """What a server's chore does, once."""
    async with connections.open_pool(dsn, name="test") as pool:
        await deliver(tools_with(policy=LOOPBACK, **more)(pool, 0), {})


async def found(conn: Conn) -> list[Any]:
    return await stored.page(conn, rule=None, open=False, after=None, limit=99)


async def test_a_failed_run_is_told_once_however_often_and_whoever_looks(
    api: Api, conn: Conn, hook: Hook
) -> None:
    await hooked(api, hook)
    run = await failed(conn)
    async with await connections.connect(api.url, name="other") as other:
        await asyncio.gather(notifications.look(conn), notifications.look(other))
    assert await notifications.look(conn) == 0
    await delivering(api.url)
    await delivering(api.url)
    [call] = hook.calls
    said = json.loads(call.body)
    assert (said["event"], said["data"]["run"]) == ("failed", str(run))
    [delivery] = (await api.admin.get("/notifications/deliveries")).json()["items"]
    assert (delivery["status"], delivery["attempts"]) == ("DELIVERED", 1)


async def test_a_webhook_is_signed_as_our_own_webhooks_want_it(
    api: Api, conn: Conn, hook: Hook, tmp_path: Path
) -> None:
    keys = Keys(data_dir=tmp_path)
    await secrets.ensure_key(conn, keys)
    await secrets.put(conn, keys.load(), "hook-key", KEY, by="test")
    await channel(api, "hook", webhook={"url": hook.url, "allow_private": True}, secret="hook-key")
    await rule(api)
    assert (await api.admin.post("/notifications/rules/it/test")).status_code == 202
    await delivering(api.url, keys=keys)
    assert verify(WebhookSpec(secret="hook-key"), hook.calls[0], [KEY], time.time())


async def test_nothing_is_sent_to_where_only_the_server_can_go(
    api: Api, conn: Conn, hook: Hook
) -> None:
    await channel(api, "hook", webhook={"url": hook.url})
    await rule(api)
    await notifications.test(conn, "it", by="test")
    await delivering(api.url)
    assert hook.calls == []
    [delivery] = await stored.deliveries(conn, limit=9)
    assert delivery["status"] == "PENDING"
    assert "public" in delivery["error"]


async def test_a_destination_that_fails_is_left_alone_and_gets_all_when_it_is_back(
    api: Api, conn: Conn, hook: Hook
) -> None:
    await hooked(api, hook)
    hook.status = 500
    for _ in range(8):
        await notifications.test(conn, "it", by="test")
    await delivering(api.url)
    assert len(hook.calls) == 5
    [state] = (await api.admin.get("/notifications/channels")).json()["items"]
    assert state["failures"] == 5
    assert state["open_until"] is not None
    hook.status = 200
    await conn.execute("update notification_channels set open_until = null")
    await conn.execute("update notification_deliveries set next_at = now()")
    await delivering(api.url)
    assert len(await stored.deliveries(conn, status="DELIVERED", limit=99)) == 8
    [state] = (await api.admin.get("/notifications/channels")).json()["items"]
    assert state["failures"] == 0


async def test_what_was_delivered_can_be_delivered_again(api: Api, conn: Conn, hook: Hook) -> None:
    await hooked(api, hook)
    await notifications.test(conn, "it", by="test")
    await delivering(api.url)
    [delivery] = await stored.deliveries(conn, limit=9)
    path = f"/notifications/deliveries/{delivery['id']}/redeliver"
    assert (await api.admin.post(path)).status_code == 202
    await delivering(api.url)
    assert [call.headers["procession-delivery"] for call in hook.calls] == [str(delivery["id"])] * 2


async def test_mail_is_sent_and_tried_again_when_it_is_turned_away(api: Api, conn: Conn) -> None:
    async with a_mail_server() as box:
        box.refusals = 1
        await channel(api, "hook", email={"to": ["a@example.org", "b@example.org"]})
        await rule(api)
        await failed(conn)
        await notifications.look(conn)
        mail = mail_settings(box)
        await delivering(api.url, mail=mail)
        assert box.mails == []
        await conn.execute("update notification_deliveries set next_at = now()")
        await delivering(api.url, mail=mail)
        [message] = box.mails
        assert message["To"] == "a@example.org, b@example.org"
        assert message["Subject"] == "a run failed: two"
        assert "error: no" in message.get_content()


def mail_settings(box: Mailbox) -> MailSettings:
    return MailSettings(host="127.0.0.1", port=box.port, sender="p@example.org", security="none")


async def test_a_run_is_started_once_for_a_notification_and_never_tells_of_itself(
    api: Api, conn: Conn
) -> None:
    await channel(api, "hook", run={"type": "tell"})
    await rule(api)
    await failed(conn)
    await notifications.look(conn)
    await delivering(api.url)
    await conn.execute(
        "update notification_deliveries set state = 'PENDING', next_at = now(), delivered_at = null"
    )
    await delivering(api.url)
    cursor = await conn.execute("select count(*) from runs where type = 'tell'")
    assert await cursor.fetchone() == (1,)
    await failed(conn, "tell", by="notification rule it")
    assert await notifications.look(conn) == 0


async def test_rules_that_sleep_or_have_spoken_are_silent_and_write_it_down(
    api: Api, conn: Conn, hook: Hook
) -> None:
    await hooked(api, hook, quiet="1h")
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await api.admin.post("/notifications/rules/it/snooze", json={"until": until})
    await failed(conn)
    await notifications.look(conn)
    await api.admin.post("/notifications/rules/it/wake")
    for _ in range(3):
        await failed(conn)
        await notifications.look(conn)
    assert [row["silent"] for row in await found(conn)] == ["quiet", "quiet", None, "snoozed"]


async def test_no_more_are_told_a_day_than_the_rule_allows(
    api: Api, conn: Conn, hook: Hook
) -> None:
    await hooked(api, hook, most_a_day=2)
    for _ in range(4):
        await failed(conn)
    assert await notifications.look(conn) == 2
    assert [row["silent"] for row in await found(conn)].count("too many") == 2


async def test_runs_that_fail_often_are_told_at_the_count_and_not_before(
    api: Api, conn: Conn, hook: Hook
) -> None:
    await hooked(api, hook, "failed_often", count=3, of_last=5)
    for expected in (0, 0, 1):
        await failed(conn)
        assert await notifications.look(conn) == expected


async def test_dead_letters_are_told_when_they_have_doubled(
    api: Api, conn: Conn, hook: Hook
) -> None:
    await hooked(api, hook, "dead_letters", count=2)
    told = []
    for _ in range(5):
        run = await failed(conn)
        await conn.execute(
            "insert into dead_letters (run_id, task_id, round, type, task, error, fingerprint,"
            " input) select %s, count(*), 1, 'two', 't', 'e', 'f', '{}' from dead_letters",
            [run],
        )
        told.append(await notifications.look(conn))
    assert told == [0, 1, 0, 1, 0]


async def test_a_run_that_takes_longer_than_usual_is_told_while_it_runs(
    api: Api, conn: Conn, hook: Hook
) -> None:
    await hooked(api, hook, "longer", count=20, factor=3)
    await conn.execute(
        "insert into run_rollups (hour, type, state, runs, seconds, p50, p95)"
        " values (date_trunc('hour', now()), 'two', 'COMPLETED', 50, 500, 8, 10)"
    )
    for seconds in (20, 40):
        run = await builders.start(conn, "two")
        await conn.execute(
            "update runs set started_at = now() - %s * interval '1 second',"
            " state = 'IN_PROGRESS' where id = %s",
            [seconds, run],
        )
    assert await notifications.look(conn) == 1
    assert (await found(conn))[0]["data"]["run"] == str(run)


@pytest.mark.parametrize("event", ["late", "missed", "approval"])
async def test_rules_without_anything_to_tell_tell_nothing(
    api: Api, conn: Conn, hook: Hook, event: str
) -> None:
    await hooked(api, hook, event)
    assert await notifications.look(conn) == 0


async def test_what_was_told_is_acknowledged_once(api: Api, conn: Conn, hook: Hook) -> None:
    await hooked(api, hook)
    await notifications.test(conn, "it", by="test")
    [told] = (await api.admin.get("/notifications", params={"open": "true"})).json()["items"]
    path = f"/notifications/{told['id']}/acknowledge"
    assert (await api.admin.post(path)).status_code == 204
    assert (await api.admin.post(path)).status_code == 409
    assert (await api.admin.get("/notifications", params={"open": "true"})).json()["items"] == []


@pytest.mark.parametrize(
    "wish",
    [
        {"name": "x"},
        {"name": "x", "webhook": {"url": "file:///etc/passwd"}},
        {"name": "x", "webhook": {"url": "https://u:p@example.org"}},
        {"name": "x", "email": {"to": ["a@b\r\nBcc: c@d"]}},
        {"name": "x", "email": {"to": ["a@b.org"]}, "secret": "s"},
        {"name": "x", "email": {"to": ["a@b.org"]}, "run": {"type": "two"}},
    ],
)
async def test_channels_that_make_no_sense_are_refused(api: Api, wish: dict[str, Any]) -> None:
    assert (await api.admin.post("/notifications/channels", json=wish)).status_code == 422


async def test_a_channel_that_a_rule_uses_stays(api: Api, hook: Hook) -> None:
    await hooked(api, hook)
    assert (await api.admin.delete("/notifications/channels/hook")).status_code == 409
    assert (await api.admin.delete("/notifications/rules/it")).status_code == 204
    assert (await api.admin.delete("/notifications/channels/hook")).status_code == 204


async def test_a_rule_is_changed_only_by_whoever_saw_it_as_it_is(api: Api, hook: Hook) -> None:
    await hooked(api, hook)
    seen = await api.admin.get("/notifications/rules/it")
    wish = {"event": "longer", "channels": ["hook"], "factor": 3, "quiet": "1h"}
    headers = {"If-Match": seen.headers["etag"]}
    done = await api.admin.put("/notifications/rules/it", json=wish, headers=headers)
    assert (done.status_code, done.json()["version"], done.json()["quiet"]) == (200, 2, "PT1H")
    late = await api.admin.put("/notifications/rules/it", json=wish, headers=headers)
    assert late.status_code == 412
    known = {"If-None-Match": done.headers["etag"]}
    assert (await api.admin.get("/notifications/rules/it", headers=known)).status_code == 304
    missing = {**wish, "channels": ["nobody"]}
    answer = await api.admin.put("/notifications/rules/it", json=missing)
    assert (answer.status_code, answer.json()["field"]) == (422, "channels")
    assert (await api.admin.put("/notifications/rules/none", json=wish)).status_code == 404


async def test_a_rule_that_is_changed_finds_what_it_is_about_now_and_sleeps_on(
    api: Api, conn: Conn, hook: Hook
) -> None:
    await hooked(api, hook, type="tell")
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await api.admin.post("/notifications/rules/it/snooze", json={"until": until})
    wish = {"event": "failed", "type": "two", "channels": ["hook"]}
    assert (await api.admin.put("/notifications/rules/it", json=wish)).status_code == 200
    await failed(conn)
    await notifications.look(conn)
    [row] = await found(conn)
    assert (row["subject"], row["silent"]) == ("two", "snoozed")


async def test_a_channel_that_is_changed_is_tried_at_once_where_it_points_now(
    api: Api, conn: Conn, hook: Hook
) -> None:
    nowhere = {"url": "http://127.0.0.1:1/", "allow_private": True}
    await channel(api, "hook", webhook=nowhere)
    await rule(api)
    for _ in range(5):
        await notifications.test(conn, "it", by="test")
    await delivering(api.url)
    seen = await api.admin.get("/notifications/channels/hook")
    assert seen.json()["open_until"] is not None
    wish = {"webhook": {"url": hook.url, "allow_private": True}}
    headers = {"If-Match": seen.headers["etag"]}
    done = await api.admin.put("/notifications/channels/hook", json=wish, headers=headers)
    assert (done.status_code, done.json()["failures"], done.json()["open_until"]) == (200, 0, None)
    await conn.execute("update notification_deliveries set next_at = now()")
    await delivering(api.url)
    assert len(hook.calls) == 5


async def test_a_channel_that_fared_otherwise_since_it_was_read_can_still_be_changed(
    api: Api, conn: Conn, hook: Hook
) -> None:
    """What it was sent is no change that anybody made."""
    await hooked(api, hook)
    seen = await api.admin.get("/notifications/channels/hook")
    await notifications.test(conn, "it", by="test")
    await delivering(api.url)
    wish = {"email": {"to": ["a@example.org"]}}
    headers = {"If-Match": seen.headers["etag"]}
    done = await api.admin.put("/notifications/channels/hook", json=wish, headers=headers)
    assert (done.status_code, done.json()["kind"]) == (200, "email")
    again = await api.admin.put("/notifications/channels/hook", json=wish, headers=headers)
    assert again.status_code == 412


async def test_one_channel_is_tested_by_itself_without_any_rule(
    api: Api, conn: Conn, hook: Hook
) -> None:
    await channel(api, "hook", webhook={"url": hook.url, "allow_private": True})
    await channel(api, "other", webhook={"url": hook.url, "allow_private": True})
    answer = await api.admin.post("/notifications/channels/hook/test")
    assert answer.status_code == 202
    await delivering(api.url)
    [call] = hook.calls
    assert json.loads(call.body)["event"] == "test"
    assert (await api.admin.get("/notifications/rules")).json()["items"] == []
    assert (await api.admin.post("/notifications/channels/none/test")).status_code == 404


async def test_what_people_change_of_rules_and_channels_is_in_the_audit_and_nothing_else(
    api: Api, conn: Conn, hook: Hook
) -> None:
    await hooked(api, hook)
    wish = {"webhook": {"url": hook.url, "allow_private": True}}
    await api.admin.put("/notifications/channels/hook", json=wish)
    await api.admin.put("/notifications/rules/it", json={"event": "missed", "channels": ["hook"]})
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await api.admin.post("/notifications/rules/it/snooze", json={"until": until})
    await api.admin.post("/notifications/channels/hook/test")
    await notifications.look(conn)
    await delivering(api.url)
    await api.admin.delete("/notifications/rules/it")
    lines = (await api.admin.get("/audit", params={"limit": 100})).json()["items"]
    mine = [
        (each["entity"], each["action"])
        for each in reversed(lines)
        if each["entity"].startswith("notification_")
    ]
    assert mine == [
        ("notification_channels", "create"), ("notification_rules", "create"),
        ("notification_channels", "change"), ("notification_rules", "change"),
        ("notification_rules", "change"), ("notification_rules", "delete"),
    ]  # fmt: skip


async def test_deliveries_are_found_by_what_became_of_them_and_by_channel(
    api: Api, conn: Conn, hook: Hook
) -> None:
    await hooked(api, hook)
    await channel(api, "other", email={"to": ["a@example.org"]})
    await notifications.test(conn, "it", by="test")
    await notifications.test_channel(conn, "other", by="test")
    await delivering(api.url)
    found = [
        (await api.admin.get("/notifications/deliveries", params=wanted)).json()["items"]
        for wanted in ({"status": "DELIVERED"}, {"channel": "other"}, {"status": "FAILED"})
    ]
    assert [[each["channel"] for each in items] for items in found] == [["hook"], ["other"], []]


async def test_servers_look_and_deliver_by_themselves(api: Api, conn: Conn, hook: Hook) -> None:
    await hooked(api, hook)
    await failed(conn)
    async with carrying(a_plane(api.url, KINDS, make=tools_with(policy=LOOPBACK))):
        await becomes(lambda: asyncio.sleep(0, len(hook.calls)))


async def a_workstation(conn: Conn, silent: str) -> None:
    await conn.execute(
        "insert into workstations (name, state, public_key, created_by, heard_at)"
        " values ('saw-1', 'ACCEPTED', 'key', 'test', clock_timestamp() - %s::interval)",
        [silent],
    )


async def test_a_workstation_out_of_reach_is_told_once_for_each_silence(
    api: Api, conn: Conn, hook: Hook
) -> None:
    await hooked(api, hook, "unreachable", after="1m", quiet="0s")
    await a_workstation(conn, "50 seconds")
    assert await notifications.look(conn) == 0
    again = "update workstations set heard_at = clock_timestamp() - interval '61 seconds'"
    for expected in (1, 0):
        if expected:
            await conn.execute(again)
        assert await notifications.look(conn) == expected
    [found_one] = await found(conn)
    assert found_one["subject"] == "saw-1"
    await conn.execute(again)
    assert await notifications.look(conn) == 1


async def test_an_identity_that_is_used_twice_is_told(api: Api, conn: Conn, hook: Hook) -> None:
    await hooked(api, hook, "cloned")
    event = NewEvent(source="workstation:saw-1", id="1", type=cloning.TYPE, key="saw-1", data={})
    await events.receive(conn, [event], by="gateway")
    assert [await notifications.look(conn) for _ in range(2)] == [1, 0]
    [found_one] = await found(conn)
    assert found_one["subject"] == "saw-1"
