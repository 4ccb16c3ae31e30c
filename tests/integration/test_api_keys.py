"""`Idempotency-Key` on whatever is made: one effect and one answer, however often it is asked."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from psycopg import AsyncConnection

from scheduler.api import once
from scheduler.app import MOUNTED
from scheduler.services.access import Role
from scheduler.store import answers
from tests.support.api import TWO, YAML, Api, becomes, serving
from tests.support.people_api import a_token, ask

pytestmark = pytest.mark.anyio

RECORD = {"id": "nightly", "type": "two"}


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        yield api


async def post(api: Api, path: str, body: Any, key: str = "monday") -> httpx.Response:
    return await api.admin.post(path, json=body, headers={"Idempotency-Key": key})


async def count(db: AsyncConnection, table: str) -> int:
    cursor = await db.execute(f"select count(*) from {table}")
    row = await cursor.fetchone()
    assert row is not None
    await db.rollback()
    return int(row[0])


def test_every_post_takes_a_key_or_goes_on_where_it_was() -> None:
    without = {
        route.name
        for _, router in MOUNTED
        for route in router.routes
        if isinstance(route, APIRoute)
        and "POST" in (route.methods or ())
        and not once.takes_key(route)
        and not once.has_own_key(route)
    }
    assert without == once.REPEATABLE


async def test_what_was_made_is_answered_again_and_made_once(api: Api, db: AsyncConnection) -> None:
    first, again = [await post(api, "/process-records", RECORD) for _ in range(2)]
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again.headers["etag"] == first.headers["etag"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await count(db, "process_records") == 1
    assert await count(db, "audit where entity = 'process_records'") == 1


async def test_another_request_with_the_key_is_a_conflict(api: Api) -> None:
    await post(api, "/process-records", RECORD)
    for path, body in (
        ("/process-records", {**RECORD, "id": "weekly"}),
        ("/users", {"name": "anna", "role": "viewer"}),
        ("/process-records?x=1", RECORD),
    ):
        refused = await post(api, path, body)
        assert refused.status_code == 409, path
        assert refused.json()["field"] == "Idempotency-Key"


async def test_keys_are_each_tokens_own(api: Api) -> None:
    other = await a_token(api, role="author")
    await post(api, "/process-records", RECORD)
    headers = {"Authorization": f"Bearer {other['token']}", "Idempotency-Key": "monday"}
    answer = await api.as_role(None).post(
        "/process-records", json={**RECORD, "id": "weekly"}, headers=headers
    )
    assert answer.status_code == 201


async def test_a_refusal_is_not_kept(api: Api) -> None:
    early = {"id": "early", "type": "three"}
    assert (await post(api, "/process-records", early)).status_code == 404
    await api.publish(TWO.replace("two", "three"))
    assert (await post(api, "/process-records", early)).status_code == 201


@pytest.mark.parametrize(
    ("path", "body", "table"),
    [
        ("/process-records", RECORD, "process_records"),
        ("/users", {"name": "anna", "role": "viewer"}, "users"),
        ("/workflow/", {"id": "chain", "steps": [{"action": "a", "stepIndex": 0}]}, None),
    ],
)
async def test_of_many_at_once_one_makes_it_and_all_are_told_the_same(
    api: Api, db: AsyncConnection, path: str, body: Any, table: str | None
) -> None:
    full = f"http://server{path}" if path == "/workflow/" else path
    told = await asyncio.gather(*(post(api, full, body) for _ in range(20)))
    assert len({(each.status_code, each.content) for each in told}) == 1
    assert sum("idempotency-replayed" not in each.headers for each in told) == 1
    if table is not None:
        assert await count(db, table) == 1


async def test_a_published_text_is_published_once(api: Api) -> None:
    text = TWO.replace("two", "three")
    headers = {**YAML, "Idempotency-Key": "monday"}
    first = await api.admin.post("/process-types", content=text, headers=headers)
    await api.publish(text.replace("second", "third"))
    again = await api.admin.post("/process-types", content=text, headers=headers)
    assert again.json() == first.json()
    newest = (await api.admin.get("/process-types/three")).json()
    assert newest["version"] == 2


async def test_a_secret_that_is_shown_once_is_not_shown_again(
    api: Api, db: AsyncConnection
) -> None:
    wish = {"name": "ci", "role": "viewer"}
    made = (await post(api, "/tokens", wish)).json()
    again = await post(api, "/tokens", wish)
    assert again.status_code == 409
    assert again.headers["idempotency-replayed"] == "true"
    assert f"/tokens/{made['id']}" in again.json()["detail"]
    assert made["token"] not in again.text
    assert await count(db, "tokens where name = 'ci'") == 1
    cursor = await db.execute("select string_agg(a::text, ' ') from answers a")
    row = await cursor.fetchone()
    assert row is not None
    assert made["token"] not in row[0]
    assert made["token"].encode().hex() not in row[0]


async def test_a_link_that_is_shown_once_stays_good_when_its_request_is_sent_again(
    api: Api,
) -> None:
    await api.admin.post("/users", json={"name": "anna", "role": "viewer"})
    link = (await post(api, "/users/anna/password-link", None)).json()["token"]
    assert (await post(api, "/users/anna/password-link", None)).status_code == 409
    body = {"token": link, "password": "quiet hedge in October"}
    assert (await api.as_role(None).post("/password", json=body)).status_code == 204


async def test_a_killed_server_leaves_neither_the_effect_nor_the_key(
    api: Api, db: AsyncConnection
) -> None:
    """Its connection is cut after the effect and before the commit, as a kill would cut it."""
    await db.set_autocommit(True)
    async with await AsyncConnection.connect(api.url) as other:
        await other.execute("lock table answers in share mode")  # nobody can take a key
        waiting = asyncio.create_task(post(api, "/process-records", RECORD))

        async def is_waiting() -> bool:
            return await count_waiting(db) == 1

        await becomes(is_waiting)
        await db.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock'"
        )
        assert (await waiting).status_code == 503
    assert (await post(api, "/process-records", RECORD)).status_code == 201
    again = await post(api, "/process-records", RECORD)
    assert again.headers["idempotency-replayed"] == "true"


async def count_waiting(db: AsyncConnection) -> int:
    cursor = await db.execute(
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


@pytest.mark.parametrize("key", [b"", b"a b", b"x" * 256, b"\xe9"])
async def test_what_is_no_key_is_refused(api: Api, key: bytes) -> None:
    headers = {b"Idempotency-Key": key}
    answer = await api.admin.post("/process-records", json=RECORD, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["field"] == "header.Idempotency-Key"


async def test_a_key_gives_nobody_what_their_role_does_not(api: Api) -> None:
    await post(api, "/process-records", RECORD)
    headers = {"Idempotency-Key": "monday"}
    viewer = api.as_role(Role.VIEWER)
    answer = await viewer.post("/process-records", json=RECORD, headers=headers)
    assert answer.status_code == 403


async def test_a_revoked_token_is_told_nothing_again(api: Api) -> None:
    token = await a_token(api, role="author")
    headers = {"Authorization": f"Bearer {token['token']}", "Idempotency-Key": "monday"}
    await api.as_role(None).post("/process-records", json=RECORD, headers=headers)
    await api.admin.delete(f"/tokens/{token['id']}")
    answer = await api.as_role(None).post("/process-records", json=RECORD, headers=headers)
    assert answer.status_code == 401
    assert (await ask(api, token, "GET", "/me")).status_code == 401


async def test_keys_are_forgotten_when_they_have_lived_as_long_as_configured(
    api: Api, db: AsyncConnection
) -> None:
    await post(api, "/process-records", RECORD)
    await db.set_autocommit(True)
    assert await answers.forget(db, timedelta(days=7)) == 0
    await db.execute("update answers set created_at = created_at - interval '7 days'")
    assert await answers.forget(db, timedelta(days=7)) == 1
    assert (await post(api, "/process-records", {**RECORD, "id": "weekly"})).status_code == 201
