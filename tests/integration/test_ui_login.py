"""Ways in: links that are good once, tokens of forms, pages that tell nothing by their length."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection

from scheduler.services.access import Role
from scheduler.settings import ServerSettings, SignInSettings
from tests.support.api import Api, serving
from tests.support.browser import Browser, browser, signed_in

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    sign_in = SignInSettings(tries_of_address=8)
    async with serving(dsn, ServerSettings(sign_in=sign_in, environment="line 3:violet")) as api:
        yield api


async def a_code(api: Api, user: str | None = None) -> str:
    made = await api.admin.post("/login-links", json={"user": user})
    assert made.status_code == 201, made.text
    assert made.json()["path"] == f"/ui/login/link#{made.json()['code']}"
    code: str = made.json()["code"]
    return code


async def followed(someone: Browser, code: str) -> httpx.Response:
    page = await someone.open("/ui/login/link")
    return await someone.send(page.form("/login/link"), code=code)


async def test_a_link_lets_one_in_however_many_come_with_it(api: Api) -> None:
    code = await a_code(api)
    async with browser(api) as one, browser(api) as other:
        answers = await asyncio.gather(followed(one, code), followed(other, code))
    assert sorted(answer.status_code for answer in answers) == [303, 401]
    [inside] = [answer for answer in answers if answer.status_code == 303]
    assert inside.headers["location"] == "/ui"
    assert "HttpOnly" in inside.headers["set-cookie"]


async def test_a_link_of_a_user_lets_that_user_in(api: Api) -> None:
    await api.admin.post("/users", json={"name": "anna", "role": "viewer"})
    async with browser(api) as someone:
        assert (await followed(someone, await a_code(api, "anna"))).status_code == 303
        page = await someone.open("/ui")
        assert "anna" in page.text
        sessions = (await api.admin.get("/sessions")).json()["items"]
        assert [each["user"] for each in sessions] == ["anna"]


async def test_who_came_with_a_link_and_signs_out_leaves_no_token_behind(api: Api) -> None:
    async with browser(api) as someone:
        assert (await followed(someone, await a_code(api))).status_code == 303
        page = await someone.open("/ui")
        [token] = [value for value in someone.client.cookies.values() if "pn_link_" in value]
        as_token = {"Authorization": f"Bearer {token}"}
        assert (await api.admin.get("/users", headers=as_token)).status_code == 200
        assert (await someone.send(page.form("/ui/logout"))).status_code == 303
    assert (await api.admin.get("/users", headers=as_token)).status_code == 401


async def test_nobody_is_put_out_by_a_page_that_leads_to_the_way_in(api: Api) -> None:
    async with signed_in(api) as someone:
        answer = await someone.client.get("/ui/login?next=/ui/runs", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/runs")
        assert (await someone.open("/ui/runs")).answer.status_code == 200


async def test_a_link_is_kept_as_a_digest_and_opening_it_changes_nothing(
    api: Api, db: AsyncConnection[Any]
) -> None:
    code = await a_code(api)
    before = await links(db)
    assert code not in str(before)
    assert code.encode() not in before[0]["digest"]
    async with browser(api) as someone:
        page = await someone.open("/ui/login/link")
        assert page.answer.headers["referrer-policy"] == "same-origin"
    assert await links(db) == before


async def links(db: AsyncConnection[Any]) -> list[Any]:
    cursor = await db.execute("select to_jsonb(l) from login_links l")
    rows = [row[0] async for row in cursor]
    return [{**row, "digest": bytes.fromhex(row["digest"].removeprefix("\\x"))} for row in rows]


async def test_a_link_that_is_too_old_lets_nobody_in(api: Api, db: AsyncConnection[Any]) -> None:
    code = await a_code(api)
    await db.execute("update login_links set expires_at = clock_timestamp()")
    await db.commit()
    async with browser(api) as someone:
        answer = await followed(someone, code)
        assert answer.status_code == 401
        assert "unknown, used or too old" in answer.text
        assert code not in answer.text


async def test_codes_are_not_guessed_many_at_a_time(api: Api) -> None:
    async with browser(api) as someone:
        answers = [await followed(someone, f"pn_login_{number}") for number in range(10)]
    assert [answer.status_code for answer in answers] == [401] * 8 + [429] * 2


async def test_only_an_admin_without_scopes_makes_links(api: Api) -> None:
    assert (await api.as_role(Role.AUTHOR).post("/login-links", json={})).status_code == 403
    body = {"name": "narrow", "role": "admin", "scopes": ["users"]}
    token = (await api.admin.post("/tokens", json=body)).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert (await api.admin.post("/login-links", json={}, headers=headers)).status_code == 403
    assert (await api.admin.post("/login-links", json={"user": "nobody"})).status_code == 404


async def test_each_page_masks_the_token_of_its_forms_anew_and_all_are_taken(api: Api) -> None:
    async with signed_in(api) as someone:
        tokens = [await someone.form_token() for _ in range(3)]
        assert len(set(tokens)) == 3
        for token in tokens:
            answer = await someone.post("/ui/look", {"_form": token, "theme": "dark"})
            assert answer.status_code == 303


@pytest.mark.parametrize("token", ["", "x", "=", "AAAA", "A" * 88, "ü", "A" * 10_000])
async def test_what_is_no_token_is_told_so(api: Api, token: str) -> None:
    async with signed_in(api) as someone:
        answer = await someone.post("/ui/look", {"_form": token, "theme": "dark"})
        assert answer.status_code == 403


async def test_pages_are_compressed_for_our_own_pages_and_people_alone(api: Api) -> None:
    async with signed_in(api) as someone:
        for site, is_compressed in (
            ("same-origin", True), ("none", True), ("cross-site", False), ("same-site", False),
            (None, False),
        ):  # fmt: skip
            headers = {"Accept-Encoding": "gzip"} | ({"Sec-Fetch-Site": site} if site else {})
            answer = await someone.client.get("/ui/runs", headers=headers)
            assert answer.status_code == 200
            assert (answer.headers.get("content-encoding") == "gzip") == is_compressed, site


async def test_what_is_shown_once_is_never_compressed(api: Api) -> None:
    async with signed_in(api) as someone:
        await someone.open("/ui")
        answer = await api.admin.post("/login-links", json={}, headers={"Accept-Encoding": "gzip"})
        assert "content-encoding" not in answer.headers


async def test_a_choice_of_zone_leads_back_to_the_page_as_it_was_asked_for(api: Api) -> None:
    async with signed_in(api) as someone:
        page = await someone.open("/ui/runs?status=FAILED&zone=Asia/Tokyo")
        assert 'data-zone="Asia/Tokyo"' in page.answer.text
        answer = await someone.send(page.form("/ui/look"), zone="Europe/Berlin")
        assert answer.headers["location"] == "/ui/runs?status=FAILED"
        page = await someone.open(answer.headers["location"])
        assert 'data-zone="Europe/Berlin"' in page.answer.text


async def test_a_ribbon_says_which_installation_this_is(api: Api) -> None:
    async with browser(api) as someone:
        page = await someone.open("/ui/login")
        assert '<p class="where violet">line 3</p>' in page.answer.text


async def test_the_whole_list_is_had_as_a_file_as_it_is_filtered(api: Api) -> None:
    await api.publish()
    ids = {(await api.start(labels={"team": "a"}))["id"] for _ in range(3)}
    await api.start()
    async with signed_in(api, Role.VIEWER) as someone:
        page = await someone.open("/ui/runs?label=team:a")
        [csv] = [each for each in page.links if "format=csv" in each]
        [json] = [each for each in page.links if "format=json" in each]
        answer = await someone.client.get(json)
        assert {each["id"] for each in answer.json()} == ids
        answer = await someone.client.get(csv)
        assert answer.headers["content-disposition"].startswith("attachment; filename=")
        lines = answer.text.splitlines()
        assert {line.split(",")[0] for line in lines[1:]} == ids
