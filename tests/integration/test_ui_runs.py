"""Runs on the dashboard: three views of them, what of them fits, and one thing done with many."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from scheduler.chores.catalog import KINDS
from scheduler.services.access import Role
from scheduler.store import connections
from tests.support.api import Api, becomes, serving
from tests.support.browser import Browser, Page, signed_in
from tests.support.builders import FAILURE, a_holder, carry_out, engine
from tests.support.chores import a_plane, carrying
from tests.support.statements import counted

pytestmark = pytest.mark.anyio

OTHER = "name: other\ntasks: [{name: only, noop: true}]"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        await api.publish(OTHER)
        yield api


@pytest.fixture
async def someone(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api, Role.OPERATOR) as browser:
        yield browser


async def failed(api: Api, dsn: str, type: str = "other") -> str:
    run = (await api.start(type))["id"]
    async with await engine(dsn) as conn:
        await carry_out(conn, await a_holder(conn, run), FAILURE)
    return str(run)


async def state(api: Api, run: str) -> str:
    return str((await api.admin.get(f"/runs/{run}")).json()["status"])


def ids(page: Page) -> list[str]:
    return [told["value"] for tag, told in page.tags if told.get("name") == "id"]


async def test_each_view_shows_the_runs_that_fit(api: Api, dsn: str, someone: Browser) -> None:
    run, other = await failed(api, dsn), (await api.start())["id"]
    for view in ("", "&view=timeline", "&view=board"):
        page = await someone.open(f"/ui/runs?status=FAILED{view}")
        assert f"/ui/runs/{run}" in page.links, view
        assert f"/ui/runs/{other}" not in page.links, view
        assert "state: failed" in page.text.lower()
    page = await someone.open("/ui/runs?view=board")
    assert [
        each for each in ("Running 1", "Failed 1", "Completed 0") if each not in page.text
    ] == []


async def test_a_view_stays_what_it_is_while_filters_change(api: Api, someone: Browser) -> None:
    await api.start()
    page = await someone.open("/ui/runs?view=board&type=two")
    kept = [each for each in page.links if "status=IN_PROGRESS" in each]
    assert kept
    assert all(dict(parse_qsl(urlsplit(each).query))["type"] == "two" for each in kept)
    assert any("view=board" in each for each in kept)


async def test_facets_count_what_fits_whatever_states_are_asked_for(
    api: Api, dsn: str, someone: Browser
) -> None:
    await failed(api, dsn)
    for _ in range(2):
        await api.start(labels={"line": "2"})
    page = await someone.open("/ui/runs?status=FAILED")
    facets = page.text.split("State", 1)[1].split("Table", 1)[0]
    assert "running 2" in facets
    assert "failed 1" in facets
    assert "two 2" in facets
    assert "people and programs 3" in facets
    page = await someone.open("/ui/runs?label=line:2")
    assert "other 1" not in page.text


async def test_lengths_are_written_in_words_and_stand_in_the_address_in_seconds(
    api: Api, someone: Browser
) -> None:
    answer = await someone.client.get("/ui/runs?longer_than=10m&type=two")
    assert answer.headers["location"] == "/ui/runs?type=two&longer_than=600"
    page = Page(await someone.client.get("/ui/runs?longer_than=soon"))
    assert page.answer.status_code == 422
    assert "is no duration" in page.text
    assert any(told.get("value") == "soon" for _, told in page.tags)


async def test_columns_and_files_hold_exactly_the_filtered_list(
    api: Api, dsn: str, someone: Browser
) -> None:
    run = await failed(api, dsn)
    await api.start()
    page = await someone.open("/ui/runs?columns=run&columns=version")
    heads = page.text.split("Choose", 1)[1][:40]
    assert "Run" in heads
    assert "Version" in heads
    assert "Began" not in heads
    found = await someone.client.get("/ui/runs?status=FAILED&format=json")
    assert [each["id"] for each in json.loads(found.text)] == [run]


async def test_a_view_is_kept_under_a_name_and_forgotten(api: Api, someone: Browser) -> None:
    page = await someone.open("/ui/runs?type=two&view=board")
    form = [each for each in page.forms if each.action == "/ui/runs/views"][-1]
    answer = await someone.send(form, name="mine <b>")
    assert answer.headers["location"] == "/ui/runs?type=two&view=board"
    page = await someone.open("/ui/runs")
    assert "/ui/runs?type=two&view=board" in page.links
    assert "mine &lt;b&gt;" in page.answer.text
    form = next(each for each in page.forms if ("name", "mine <b>") in each.fields)
    await someone.send(form, forget="1")
    assert "mine" not in (await someone.open("/ui/runs")).text


@pytest.mark.parametrize(
    "cookie", ["x", "e30", "W1sxLDJdXQ", "bnVsbA", "W1siYSIsImg9MSZ0eXBlPXgiXV0"]
)
async def test_a_cookie_of_views_that_somebody_bent_does_no_harm(
    api: Api, someone: Browser, cookie: str
) -> None:
    someone.client.cookies.set("run_views", cookie)
    page = await someone.open("/ui/runs")
    assert all("h=1" not in each for each in page.links)


async def test_what_was_ticked_is_shown_before_anything_is_done_with_it(
    api: Api, someone: Browser
) -> None:
    runs = [(await api.start())["id"] for _ in range(3)]
    form = (await someone.open("/ui/runs")).form("/chosen")
    answer = await someone.send(form, id=runs[:2], action="hold")
    page = await someone.open(answer.headers["location"])
    assert "Hold 2 runs: these and no others" in page.text
    assert {each.rsplit("/", 1)[1] for each in page.links if "/ui/runs/01" in each} == set(runs[:2])
    assert [await state(api, each) for each in runs] == ["IN_PROGRESS"] * 3
    await someone.send(page.form("/hold"))
    page = await someone.open(urlsplit(answer.headers["location"]).path)
    assert "2 to go" in page.text
    async with carrying(a_plane(api.url, KINDS)):
        await becomes(lambda: is_over(someone, page))
    assert sorted([await state(api, each) for each in runs]) == ["HELD", "HELD", "IN_PROGRESS"]
    page = await someone.open(urlsplit(answer.headers["location"]).path)
    assert "2 of 2" in page.text
    assert "2 done" in page.text


async def is_over(someone: Browser, page: Page) -> bool:
    return "Under way" not in (await someone.open(str(page.answer.url.path))).text


async def test_nothing_ticked_is_never_all(api: Api, someone: Browser) -> None:
    await api.start()
    form = (await someone.open("/ui/runs")).form("/chosen")
    assert (await someone.send(form, action="stop")).status_code == 422
    everything = await someone.send(form, action="stop", matching="on")
    assert everything.status_code == 422  # no filter is set
    assert (await someone.send(form, id="no", action="stop")).status_code == 422
    assert (await someone.send(form, action="explode")).status_code == 422


async def test_all_that_fit_are_frozen_when_they_are_chosen(
    api: Api, dsn: str, someone: Browser
) -> None:
    early = await failed(api, dsn)
    await api.start()
    form = (await someone.open("/ui/runs?status=FAILED")).form("/chosen")
    answer = await someone.send(form, action="retry", matching="on")
    late = await failed(api, dsn)
    page = await someone.open(answer.headers["location"])
    assert "Retry 1 run: these and no others" in page.text
    assert f"/ui/runs/{early}" in page.links
    assert f"/ui/runs/{late}" not in page.links
    refused = await someone.send(page.form("/retry"), count="2")
    assert refused.status_code == 409
    assert "holds 1 runs, not 2" in refused.text


async def test_who_may_only_look_is_offered_no_choice(api: Api) -> None:
    await api.start()
    async with signed_in(api, Role.VIEWER) as viewer:
        page = await viewer.open("/ui/runs")
        assert ids(page) == []
        token = await viewer.form_token("/ui/runs")
        values: dict[str, Any] = {"_form": token, "action": "stop", "matching": "on"}
        assert (await viewer.post("/ui/runs/chosen", values)).status_code == 403


async def test_a_list_costs_the_same_statements_whatever_is_in_it(
    api: Api, dsn: str, someone: Browser
) -> None:
    addresses = ("/ui/runs", "/ui/runs?view=board", "/ui/runs?view=timeline", "/ui/runs?label=a:b")
    few = [await statements(someone, each) for each in addresses]
    for number in range(8):
        await api.start(labels={"a": "b"})
        await failed(api, dsn, "other" if number % 2 else "two")
    async with await connections.connect(dsn, name="test") as conn:
        await conn.execute("analyze")
    many = [await statements(someone, each) for each in addresses]
    assert all(after <= before + 2 for before, after in zip(few, many, strict=True)), (few, many)
    assert max(many) <= 14


async def statements(someone: Browser, path: str) -> int:
    with counted() as sent:
        await someone.open(path)
    return len(sent)
