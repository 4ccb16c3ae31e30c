"""Tokens: made once, shown once, bounded, and over when somebody says so."""

from collections.abc import AsyncIterator
from typing import Any, get_args

import pytest
from psycopg import AsyncConnection

from scheduler.app import MOUNTED
from scheduler.services.access import Scope
from tests.support.api import Api, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


async def made(api: Api, **wish: Any) -> dict[str, Any]:
    answer = await api.admin.post("/tokens", json={"name": "ci", "role": "operator", **wish})
    assert answer.status_code == 201, answer.text
    token: dict[str, Any] = answer.json()
    return token


async def status(api: Api, token: dict[str, Any], path: str) -> int:
    headers = {"Authorization": f"Bearer {token['token']}"}
    return (await api.as_role(None).get(path, headers=headers)).status_code


async def test_a_token_is_shown_once_and_revoked_at_once(api: Api) -> None:
    token = await made(api)
    assert token["token"].startswith(token["prefix"])
    assert await status(api, token, "/runs") == 200
    listed = await api.admin.get("/tokens")
    assert token["token"] not in listed.text
    assert "token" not in (await api.admin.get(f"/tokens/{token['id']}")).json()

    revoked = await api.admin.delete(f"/tokens/{token['id']}")
    assert revoked.json()["revoked_at"] is not None
    assert await status(api, token, "/runs") == 401


async def test_a_token_with_scopes_reaches_these_parts_and_no_other(api: Api) -> None:
    token = await made(api, scopes=["runs", "queues"])
    assert await status(api, token, "/runs") == 200
    assert await status(api, token, "/queues") == 200
    assert await status(api, token, "/process-types") == 403
    assert await status(api, token, "/health/live") == 200


def test_every_part_of_the_api_is_a_scope() -> None:
    tags = {tag for _, router in MOUNTED for tag in router.tags}
    assert {str(tag).replace(" ", "-") for tag in tags} == set(get_args(Scope))


async def test_an_expired_token_is_refused(api: Api, db: AsyncConnection) -> None:
    token = await made(api, expires_at="2999-01-01T00:00:00+02:00")
    assert token["expires_at"] == "2998-12-31T22:00:00Z"
    await db.execute("update tokens set expires_at = now() where id = %s", [token["id"]])
    await db.commit()
    assert await status(api, token, "/runs") == 401


@pytest.mark.parametrize(
    "wish",
    [
        {"role": "root"},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"expires_at": "2999-01-01T00:00:00"},
        {"name": ""},
        {"token": "pn_admin_mine"},
    ],
)
async def test_a_token_that_makes_no_sense_is_refused(api: Api, wish: dict[str, Any]) -> None:
    answer = await api.admin.post("/tokens", json={"name": "ci", "role": "viewer", **wish})
    assert answer.status_code == 422


async def test_the_last_admin_cannot_lock_everybody_out(api: Api) -> None:
    tokens = (await api.admin.get("/tokens")).json()["items"]
    [mine] = [each["id"] for each in tokens if each["role"] == "admin"]
    refused = await api.admin.delete(f"/tokens/{mine}")
    assert refused.status_code == 409
    await made(api, role="admin", expires_at="2999-01-01T00:00:00Z")
    await made(api, role="admin", scopes=["runs"])
    assert (await api.admin.delete(f"/tokens/{mine}")).status_code == 409
    await made(api, role="admin")
    assert (await api.admin.delete(f"/tokens/{mine}")).status_code == 200


async def test_a_moment_that_only_its_zone_puts_within_the_calendar_is_refused(
    api: Api, db: AsyncConnection
) -> None:
    wish = {"name": "late", "role": "viewer", "expires_at": "9999-12-31T23:59:59-14:00"}
    assert (await api.admin.post("/tokens", json=wish)).status_code == 422
    cursor = await db.execute("select from tokens where name = 'late'")
    assert await cursor.fetchone() is None
