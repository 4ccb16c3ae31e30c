"""The dashboard's doors: who is let in where, by which form, and what a form of others does."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi.routing import APIRoute
from psycopg import AsyncConnection

from scheduler.services.access import PEOPLE, Role
from tests.support.api import Api, serving
from tests.support.browser import (
    ORIGIN,
    OWN,
    Browser,
    browser,
    password_form,
    signed_in,
    token_form,
)
from tests.support.people_api import PASSWORD, with_password
from ui import access
from ui.app import ROUTERS
from ui.pages import login

pytestmark = pytest.mark.anyio

NOBODY = "00000000-0000-7000-8000-000000000000"
PLACES = {
    "run": NOBODY,
    "task": "0",
    "attempt": "1",
    "type": "none",
    "record": "none",
    "selection": NOBODY,
}
WATCHED = (
    "runs", "tasks", "history", "attempts", "process_types", "process_records", "dead_letters",
    "approvals", "audit", "tokens", "users", "sessions", "idempotency_keys", "output_chunks",
)  # fmt: skip


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


def routes() -> list[tuple[str, str, str]]:
    found = []
    for prefix, router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            path = (prefix + route.path).replace("{name}", "style.css").replace("{verb}", "hold")
            path = path.replace("{rest:path}", "nowhere/at/all")
            for name, value in PLACES.items():
                path = path.replace(f"{{{name}}}", value)
            path = path.replace("{letter}", "1").replace("{approval}", "1")
            found.append((route.name, next(iter(route.methods or ())), path))
    return found


SAFE = [(name, path) for name, method, path in routes() if method == "GET"]
UNSAFE = [(name, path) for name, method, path in routes() if method == "POST"]


async def contents(db: AsyncConnection[Any]) -> dict[str, Any]:
    """What every table holds, but for when somebody was last seen."""
    left_out = {"tokens": "- 'last_used_at'", "sessions": "- 'seen_at' - 'expires_at'"}
    found = {}
    for table in WATCHED:
        cursor = await db.execute(
            "select count(*), coalesce(sum(hashtext((to_jsonb(t) "
            f"{left_out.get(table, '')})::text)::bigint), 0) from {table} t"
        )
        found[table] = await cursor.fetchone()
    return found


def test_every_route_has_a_verdict_and_every_verdict_a_route() -> None:
    assert {name for name, _, _ in routes()} == set(access.VERDICTS)


async def test_nobody_sees_a_page_before_they_sign_in(api: Api) -> None:
    async with browser(api) as someone:
        for name, path in SAFE:
            if access.VERDICTS[name] is access.OPEN:
                continue
            answer = await someone.client.get(path)
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/ui/login?next=/ui"), path


async def test_nobody_sends_a_form_before_they_sign_in(api: Api, db: AsyncConnection[Any]) -> None:
    async with browser(api) as someone:
        token = dict(token_form(await someone.open("/ui/login")).fields)["_form"]
        before = await contents(db)
        for name, path in UNSAFE:
            if access.VERDICTS[name] is not access.OPEN:
                answer = await someone.post(path, {"_form": token})
                assert answer.status_code == 401, path
        assert await contents(db) == before


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_opens_what_the_table_says_and_nothing_else(api: Api, role: Role) -> None:
    async with browser(api) as someone:
        page = await someone.open("/ui/login")
        answer = await someone.send(token_form(page), token=api.tokens[role])
        if role not in PEOPLE:
            assert answer.status_code == 401
            assert "for machines" in answer.text
            return
        token = await someone.form_token()
        for name, method, path in routes():
            if access.VERDICTS[name] is access.OPEN or path.endswith("/stream"):
                continue
            said = await (
                someone.client.get(path)
                if method == "GET"
                else someone.post(path, {"_form": token})
            )
            assert (said.status_code != 403) == (role in access.VERDICTS[name].roles), (name, role)


async def test_the_admin_token_of_a_first_start_opens_the_dashboard(api: Api) -> None:
    async with browser(api) as someone:
        assert (await someone.client.get("/")).headers["location"] == "/ui"
        page = await someone.open("/ui/login?next=/ui/runs")
        answer = await someone.send(token_form(page), token=f" {api.tokens[Role.ADMIN]}\n")
        assert answer.headers["location"] == "/ui/runs"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        await someone.open("/ui/runs")


async def test_somebody_with_a_password_signs_in_and_out(api: Api) -> None:
    await with_password(api, "anna", "viewer")
    async with browser(api) as someone:
        page = await someone.open("/ui/login")
        answer = await someone.send(password_form(page), name="Anna", password=PASSWORD)
        assert answer.status_code == 303, answer.text
        page = await someone.open("/ui")
        assert "anna" in page.text
        kept = dict(someone.client.cookies)
        assert (await someone.send(page.form("/ui/logout"))).status_code == 303
        someone.client.cookies.update(kept)  # who kept the cookie has nothing of it
        assert (await someone.client.get("/ui")).status_code == 303


async def test_a_wrong_name_and_a_wrong_password_are_told_alike(api: Api) -> None:
    await with_password(api, "anna")
    said = []
    async with browser(api) as someone:
        for name, password in (("anna", "wrong"), ("nobody", PASSWORD)):
            page = await someone.open("/ui/login")
            answer = await someone.send(password_form(page), name=name, password=password)
            assert answer.status_code == 401
            said.append(answer.text.replace(name, ""))
    assert said[0].split("alert")[1][:100] == said[1].split("alert")[1][:100]


async def test_too_many_tries_are_put_off(api: Api) -> None:
    async with browser(api) as someone:
        page = await someone.open("/ui/login")
        answers = [
            await someone.send(password_form(page), name="anna", password=f"guess {number}")
            for number in range(7)
        ]
    assert [each.status_code for each in answers] == [401] * 5 + [429] * 2


async def test_a_token_that_is_revoked_opens_nothing_any_more(api: Api) -> None:
    async with signed_in(api, Role.OPERATOR) as someone:
        await someone.open("/ui")
        for each in (await api.admin.get("/tokens")).json()["items"]:
            if each["name"] == "the operator":
                assert (await api.admin.delete(f"/tokens/{each['id']}")).is_success
        assert (await someone.client.get("/ui")).status_code == 303


async def test_a_token_with_scopes_reaches_the_screens_of_these_alone(api: Api) -> None:
    body = {"name": "narrow", "role": "operator", "scopes": ["runs"]}
    token = (await api.admin.post("/tokens", json=body)).json()["token"]
    async with browser(api) as someone:
        await someone.send(token_form(await someone.open("/ui/login")), token=token)
        page = await someone.open("/ui/runs")
        assert "/ui/dead-letters" not in page.links
        await someone.open("/ui/dead-letters", 403)


@pytest.mark.parametrize(
    "given",
    [
        "https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)",
        "/ui/../../x\r\nSet-Cookie: a=b", "ui", "", "/uievil", "/api/v1/runs",
    ],
)  # fmt: skip
def test_the_way_in_leads_to_pages_of_ours_alone(given: str) -> None:
    assert login.onward(given) == "/ui"


FORGED = {
    "another site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    "a neighbour": {"Sec-Fetch-Site": "same-site", "Origin": "http://other.server"},
    "typed by hand": {"Sec-Fetch-Site": "none"},
    "an old browser": {"Origin": "https://evil.example"},
    "a page without an origin": {"Origin": "null"},
    "another scheme": {"Origin": "https://server"},
    "another port": {"Origin": "http://server:81"},
    "no browser": {},
    "both, and they differ": {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
}


@pytest.mark.parametrize("case", FORGED)
async def test_a_form_from_elsewhere_changes_nothing(
    api: Api, db: AsyncConnection[Any], case: str
) -> None:
    await api.publish()
    async with signed_in(api) as someone:
        token = await someone.form_token()
        paths = [*real(await api.start()), *(path for _, path in UNSAFE)]
        before = await contents(db)
        for path in paths:
            answer = await someone.post(path, {"_form": token}, FORGED[case])
            assert answer.status_code == 403, path
        assert await contents(db) == before


def real(run: dict[str, Any]) -> list[str]:
    """Forms that would do something."""
    verbs = ("hold", "stop", "resume", "retry")
    return [f"/ui/runs/{run['id']}/{verb}" for verb in verbs] + ["/ui/processes/two/start"]


@pytest.mark.parametrize("token", ["", "0" * 64, "somebody else's", None])
async def test_a_form_without_the_token_of_its_session_changes_nothing(
    api: Api, db: AsyncConnection[Any], token: str | None
) -> None:
    await api.publish()
    async with signed_in(api) as someone, signed_in(api, Role.OPERATOR) as other:
        sent = {"of_form": "?"} if token is None else {"_form": token}
        if token == "somebody else's":
            sent = {"_form": await other.form_token()}
        paths = [*real(await api.start()), *(path for _, path in UNSAFE)]
        before = await contents(db)
        for path in paths:
            answer = await someone.post(path, sent)
            assert answer.status_code == 403, path
        assert await contents(db) == before


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data", ""])
async def test_a_body_that_is_no_form_changes_nothing(
    api: Api, db: AsyncConnection[Any], kind: str
) -> None:
    async with signed_in(api) as someone:
        token = await someone.form_token()
        before = await contents(db)
        for _, path in UNSAFE:
            body, headers = f"_form={token}", {**OWN, "Content-Type": kind}
            answer = await someone.client.post(path, content=body, headers=headers)
            assert answer.status_code in (415, 422), path
        assert await contents(db) == before


async def test_looking_changes_nothing(api: Api, db: AsyncConnection[Any]) -> None:
    await api.publish()
    run = await api.start()
    async with signed_in(api) as someone:
        await someone.open("/ui")
        before = await contents(db)
        for _, path in SAFE:
            if not path.endswith("/stream"):
                await someone.client.get(path.replace(NOBODY, run["id"]).replace("none", "two"))
        assert await contents(db) == before


async def test_pages_forbid_scripts_of_others_frames_and_being_kept(api: Api) -> None:
    async with signed_in(api) as someone:
        page = await someone.open("/ui")
        policy = page.answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert page.answer.headers["cache-control"] == "no-store"
        assert not [told for _, told in page.tags if "style" in told]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},  # under a policy without referrers
        {"Origin": ORIGIN},  # a browser from before 2023
    ],
)
async def test_a_form_of_ours_is_taken_however_a_browser_says_so(
    api: Api, headers: dict[str, str]
) -> None:
    async with browser(api) as someone:
        page = await someone.open("/ui/login")
        assert page.answer.headers["referrer-policy"] == "same-origin"
        form = token_form(page)
        sent = {**dict(form.fields), "token": api.tokens[Role.VIEWER]}
        assert (await someone.post(form.action, sent, headers)).status_code == 303


async def test_an_encrypted_connection_has_a_cookie_that_no_neighbour_can_set(api: Api) -> None:
    async with browser(api) as someone:
        someone.client.base_url = ORIGIN.replace("http", "https") + "/"
        headers = {**OWN, "Origin": "https://server"}
        form = token_form(await someone.open("/ui/login"))
        sent = {**dict(form.fields), "token": api.tokens[Role.VIEWER]}
        answer = await someone.post(form.action, sent, headers)
        assert answer.status_code == 303, answer.text
        [cookie] = [
            each
            for each in answer.headers.get_list("set-cookie")
            if each.startswith("__Host-procession=")
        ]
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie


async def test_an_address_that_leads_nowhere_has_a_page_of_its_own(api: Api) -> None:
    async with signed_in(api) as someone:
        page = await someone.open("/ui/nowhere", 404)
        assert "nothing was changed" in page.text.lower()
        for path in (f"/ui/runs/{NOBODY}", "/ui/runs/17", "/ui/processes/none", "/ui/records/none"):
            await someone.open(path, 404)


async def own_choice(someone: Browser, **chosen: str) -> str:
    page = await someone.open("/ui")
    await someone.send(page.form("/ui/look"), **chosen)
    return (await someone.open("/ui")).answer.text


async def test_colours_and_zone_are_everybodys_own_choice(api: Api) -> None:
    async with signed_in(api) as someone:
        text = await own_choice(someone, theme="dark", zone="Europe/Berlin")
        assert 'data-theme="dark"' in text
        assert 'data-zone="Europe/Berlin"' in text
        text = await own_choice(someone, theme="pink", zone="../../etc/passwd")
        assert 'data-theme="dark"' in text
        assert 'data-zone="Europe/Berlin"' in text
