"""Whoever only looks changes nothing: every GET of the dashboard, over a database in use."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.services.access import Role
from tests.support.api import Api
from tests.support.browser import Browser, signed_in
from tests.support.postgres import Databases
from tests.support.screens import Screen, screens
from tests.support.seeded_api import a_seeded_api, differing, digests

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def seeded(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    with databases.cloned() as dsn:
        async with a_seeded_api(dsn, tmp_path_factory.mktemp("keys")) as api:
            yield api


@pytest.fixture
async def found(seeded: Api) -> list[Screen]:
    async with await AsyncConnection.connect(seeded.url) as conn:
        return await screens(conn)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ADMIN])
async def test_whoever_looks_changes_nothing(seeded: Api, found: list[Screen], role: Role) -> None:
    async with signed_in(seeded, role) as someone:
        before = await digests(seeded.url)
        for screen in found:
            if screen.method == "GET" and not screen.is_stream:
                await someone.client.get(screen.path)
        assert differing(before, await digests(seeded.url)) == []


async def test_every_page_opens_for_an_admin(seeded: Api, found: list[Screen]) -> None:
    """So that what is said above is said of pages, and not of refusals."""
    async with signed_in(seeded) as admin:
        answers = [
            (each.name, await admin.client.get(each.path))
            for each in found
            if each.is_page and each.name not in ("ui_nowhere", "ui_login")  # who is in goes on
        ]
    assert not [(name, answer.status_code) for name, answer in answers if answer.is_error]
    kinds = [(name, answer.headers.get("content-type", "")) for name, answer in answers]
    assert not [(name, kind) for name, kind in kinds if not kind.startswith("text/html")]


async def test_whoever_listens_changes_nothing(seeded: Api, found: list[Screen]) -> None:
    async with signed_in(seeded) as someone:
        before = await digests(seeded.url)
        for screen in found:
            if screen.is_stream:
                assert await listened(seeded, someone, screen.path) == 200, screen.name
        assert differing(before, await digests(seeded.url)) == []


async def listened(api: Api, someone: Browser, path: str) -> int:
    """Hear the first word of a stream, and go."""
    heard = asyncio.Event()
    asked = iter([{"type": "http.request", "body": b"", "more_body": False}])
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        for message in asked:
            return message
        await heard.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        told.append(message)
        if message.get("body"):
            heard.set()

    cookies = "; ".join(f"{name}={value}" for name, value in someone.client.cookies.items())
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "", "client": ("127.0.0.1", 1), "server": ("server", 80),
        "headers": [
            (b"host", b"server"), (b"cookie", cookies.encode()),
            (b"accept", b"text/event-stream"), (b"sec-fetch-site", b"same-origin"),
        ],
    }  # fmt: skip
    async with asyncio.timeout(30):
        await api.app(scope, receive, send)
    return int(told[0]["status"])
