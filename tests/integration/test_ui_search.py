"""The search: what somebody typed leads to what they meant."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from executor.base import Ending, Outcome
from scheduler.services.access import Role
from tests.support.api import Api, serving
from tests.support.browser import Browser, browser, signed_in, token_form
from tests.support.builders import a_holder, carry_out, engine

pytestmark = pytest.mark.anyio

BROKEN = Outcome(ending=Ending.FAILED, error="the spindle is stuck", retryable=False)


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


@pytest.fixture
async def someone(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api, Role.VIEWER) as browser:
        yield browser


async def told(someone: Browser, text: str) -> list[dict[str, Any]]:
    answer = await someone.client.get(
        "/ui/find", params={"q": text}, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_a_run_is_found_by_whatever_names_it(api: Api, dsn: str, someone: Browser) -> None:
    await api.publish("name: milling\ntasks: [{name: go, noop: true}]")
    answer = await api.admin.post(
        "/runs",
        json={"type": "milling", "labels": {"line": "2"}},
        headers={"Idempotency-Key": "order-4711"},
    )
    run = answer.json()["id"]
    async with await engine(dsn) as conn:
        await carry_out(conn, await a_holder(conn), BROKEN)
    for text in (run, run[:13], run[-8:], "order-4711", "line:2"):
        found = await told(someone, text)
        assert f"/ui/runs/{run}" in [each["href"] for each in found], text
        answer = await someone.client.get("/ui/find", params={"q": text})
        assert answer.headers["location"] == f"/ui/runs/{run}"
    answer = await someone.client.get("/ui/find", params={"q": "SPINDLE"})
    assert answer.headers["location"] == f"/ui/runs/{run}"


async def test_types_and_records_are_found_by_a_part_of_their_names(
    api: Api, someone: Browser
) -> None:
    await api.publish("name: press-line\ntasks: [{name: go, noop: true}]")
    await api.publish("name: line-press\ntasks: [{name: go, noop: true}]")
    record = {"id": "north line", "type": "press-line", "description": "of the hall"}
    assert (await api.admin.post("/process-records", json=record)).status_code == 201
    found = [(each["kind"], each["text"]) for each in await told(someone, "LINE")]
    assert found == [("type", "line-press"), ("type", "press-line"), ("record", "north line")]
    page = await someone.open("/ui/find?q=line")
    assert "/ui/records/north%20line" in page.links
    assert "Types" in page.text
    async with signed_in(api, Role.OPERATOR) as operator:
        starts = [each["href"] for each in await told(operator, "line") if each["kind"] == "start"]
    assert "/ui/processes/press-line/start" in starts
    assert "/ui/records/north%20line/start" in starts
    assert await told(someone, "absent") == await told(someone, "") == []
    assert "Nothing has these words" in (await someone.open("/ui/find?q=absent")).text


async def test_a_token_with_scopes_finds_what_it_reaches_and_nothing_else(api: Api) -> None:
    await api.publish("name: press-line\ntasks: [{name: go, noop: true}]")
    body = {"name": "narrow", "role": "operator", "scopes": ["runs"]}
    token = (await api.admin.post("/tokens", json=body)).json()["token"]
    async with browser(api) as narrow:
        await narrow.send(token_form(await narrow.open("/ui/login")), token=token)
        assert await told(narrow, "press") == []


@pytest.mark.parametrize("text", ["' or 1=1", "%", "_", "\\", "<b>", ":", "a:", ":b", "x" * 200])
async def test_whatever_is_typed_is_looked_for_as_it_stands(
    api: Api, someone: Browser, text: str
) -> None:
    await api.publish()
    assert await told(someone, text) == []
    await someone.open(f"/ui/find?q={'x' * 201}", 422)
