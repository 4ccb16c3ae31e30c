"""Secrets, people, tokens and sessions on the dashboard."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.services.access import Role
from scheduler.services.keyring import Keys
from tests.support.api import Api, serving
from tests.support.browser import Browser, Page, browser, password_form, signed_in
from tests.support.people_api import PASSWORD, with_password

pytestmark = pytest.mark.anyio

VALUE = "s3cret-of-the-shop"


@pytest.fixture
async def api(dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        keys = Keys(data_dir=tmp_path)
        keys.make()
        api.app.state.keys = keys
        yield api


@pytest.fixture
async def admin(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api) as browser:
        yield browser


async def sent(someone: Browser, page: str, ending: str, **fields: Any) -> Page:
    answer = await someone.send((await someone.open(page)).form(ending), **fields)
    assert answer.status_code == 303, answer.text[-800:]
    return await someone.open(answer.headers["location"])


async def with_session(api: Api, someone: Browser, name: str) -> None:
    page = await someone.open("/ui/login")
    answer = await someone.send(password_form(page), name=name, password=PASSWORD)
    assert answer.status_code == 303, answer.text


async def test_a_secret_is_kept_changed_and_deleted_and_its_value_is_on_no_page(
    api: Api, admin: Browser
) -> None:
    await api.publish(
        "name: dump\ntasks: [{name: go, run: 'true', secrets: {PASSWORD: db/password}}]"
    )
    page = await sent(
        admin, "/ui/secrets", "/ui/secrets", name="db/password", value=VALUE, note="of the shop"
    )
    pages = [page, await admin.open("/ui/secrets")]
    assert "not granted: its tasks fail" in page.text
    page = await sent(admin, "/ui/secrets/db/password", "/change", grants="dump", note="mine")
    assert "granted: its tasks fail" not in page.text
    page = await sent(admin, "/ui/secrets/db/password", "/value", value="another-" + VALUE)
    pages += [page, await admin.open("/ui/secrets/db/password")]
    found = (await api.admin.get("/secrets/db/password")).json()
    assert (found["version"], found["grants"], found["note"]) == (2, ["dump"], "mine")
    assert not [each for each in pages if VALUE in each.answer.text]
    await sent(admin, "/ui/secrets/db/password", "/delete")
    await admin.open("/ui/secrets/db/password", 404)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "Not A Name"}, "names no secret"),
        ({"name": "mine", "grants": "no/type"}, "names no type"),
        ({"name": "known"}, "already"),
    ],
)
async def test_a_secret_that_is_refused_comes_back_without_its_value(
    api: Api, admin: Browser, fields: dict[str, str], said: str
) -> None:
    assert (await api.admin.put("/secrets/known", json={"value": VALUE})).is_success
    form = (await admin.open("/ui/secrets")).form("/ui/secrets")
    answer = await admin.send(form, value=VALUE, note="kept", **fields)
    assert answer.status_code in (409, 422)
    assert said in Page(answer).text
    assert VALUE not in answer.text
    kept = dict(Page(answer).form("/ui/secrets").fields)
    assert (kept["note"], kept["name"]) == ("kept", fields["name"])
    for value in ("abc", VALUE * 2000):
        answer = await admin.send(form, name="short", value=value)
        assert answer.status_code == 422
        assert value not in answer.text


async def test_keys_are_rotated_and_a_server_without_them_says_so(
    api: Api, admin: Browser, tmp_path: Path
) -> None:
    assert (await api.admin.put("/secrets/known", json={"value": VALUE})).is_success
    assert "The current key encrypts all of them" in (await admin.open("/ui/secrets")).text
    file = tmp_path / "secret.keys"
    old = file.read_text()
    file.unlink()
    api.app.state.keys.make()
    file.write_text(file.read_text() + old)
    page = await sent(admin, "/ui/secrets", "/rotate")
    assert "The current key encrypts all secrets" in page.text
    file.write_text("")
    page = await admin.open("/ui/secrets")
    assert "not at hand" in page.text
    answer = await admin.send(page.form("/ui/secrets"), name="x", value=VALUE)
    assert answer.status_code == 503
    assert VALUE not in answer.text


async def test_authors_see_secrets_and_only_admins_change_them(api: Api) -> None:
    assert (await api.admin.put("/secrets/known", json={"value": VALUE})).is_success
    async with signed_in(api, Role.AUTHOR) as author:
        page = await author.open("/ui/secrets/known")
        assert "This takes an admin; you are author" in page.text
        assert not [each for each in page.forms if "/secrets" in each.action]
        token = await author.form_token()
        answer = await author.post("/ui/secrets/known/delete", {"_form": token})
        assert answer.status_code == 403
    async with signed_in(api, Role.OPERATOR) as operator:
        await operator.open("/ui/secrets", 403)


async def test_a_user_is_made_changed_given_a_link_shut_out_and_deleted(
    api: Api, admin: Browser
) -> None:
    page = await sent(admin, "/ui/people", "/ui/people", name="anna", role="operator")
    assert "no password yet" in page.text
    here = "/ui/people/users/anna"
    await sent(admin, here, "/change", role="author", display_name="Anna Berg", email="a@b.example")
    answer = await admin.send((await admin.open(here)).form("/link"))
    assert answer.status_code == 200
    token = next(told["value"] for tag, told in Page(answer).tags if told.get("readonly") == "")
    assert token.startswith("pn_password_")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-encoding"] == "identity"
    body = {"token": token, "password": PASSWORD}
    assert (await api.as_role(None).post("/password", json=body)).status_code == 204
    page = await sent(admin, here, "/disable")
    assert "disabled" in page.text
    await sent(admin, here, "/enable")
    found = (await api.admin.get("/users/anna")).json()
    assert (found["role"], found["display_name"], found["disabled_at"]) == (
        "author", "Anna Berg", None,
    )  # fmt: skip
    await sent(admin, here, "/delete")
    await admin.open(here, 404)


async def test_what_is_wrong_with_a_user_is_told_and_what_was_typed_is_kept(
    admin: Browser,
) -> None:
    form = (await admin.open("/ui/people")).form("/ui/people")
    for fields, said in (
        ({"name": "Anna Berg"}, "names no user"),
        ({"name": "anna", "email": "nowhere"}, "no e-mail address"),
        ({"name": "anna", "role": "emperor"}, "is no role"),
    ):
        answer = await admin.send(form, **{"display_name": "Kept", "role": "viewer", **fields})
        assert answer.status_code == 422
        assert said in Page(answer).text
        assert dict(Page(answer).form("/ui/people").fields)["display_name"] == "Kept"


async def test_somebody_without_the_role_sees_themself_and_changes_their_own_password(
    api: Api,
) -> None:
    await with_password(api, "anna", "viewer")
    await with_password(api, "otto", "viewer")
    async with browser(api) as anna:
        await with_session(api, anna, "anna")
        assert "otto" not in (await anna.open("/ui/people")).text
        await anna.open("/ui/people/users/otto", 404)
        here = "/ui/people/users/anna"
        form = (await anna.open(here)).form("/password")
        new = "noisy hedge in November"
        for fields, said in (
            ({"old": "wrong one here", "password": new, "again": new}, "password"),
            ({"old": PASSWORD, "password": new, "again": "other"}, "typed in two ways"),
        ):
            answer = await anna.send(form, **fields)
            assert answer.status_code in (401, 403, 409, 422), answer.status_code
            assert said in Page(answer).text
            assert new not in answer.text
        page = await sent(anna, here, "/password", old=PASSWORD, password=new, again=new)
        assert "The password is changed" in page.text


async def test_a_token_is_shown_once_on_a_page_that_nobody_keeps(api: Api, admin: Browser) -> None:
    form = (await admin.open("/ui/people/tokens")).form("/ui/people/tokens")
    fields = {"name": "ci", "role": "operator", "reach": "some", "scope": "runs"}
    answer = await admin.send(form, **fields)
    assert answer.status_code == 200, answer.text[-800:]
    token = next(told["value"] for tag, told in Page(answer).tags if told.get("readonly") == "")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-encoding"] == "identity"
    listed = await admin.open("/ui/people/tokens?q=ci")
    assert token not in listed.answer.text
    made = (await api.admin.get("/tokens")).json()["items"][0]
    assert (made["name"], made["role"], made["scopes"]) == ("ci", "operator", ["runs"])
    until = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=88) < until < timedelta(days=91)


async def test_what_is_wrong_with_a_token_is_told_and_what_was_typed_is_kept(
    api: Api, admin: Browser
) -> None:
    form = (await admin.open("/ui/people/tokens")).form("/ui/people/tokens")
    for fields, said in (
        ({"user": "nobody"}, "there is no user"),
        ({"expires_at": "2001-01-01T00:00"}, "is over already"),
        ({"expires_at": "soon"}, "is no time"),
        ({"reach": "some"}, "no part of the API is ticked"),
    ):
        answer = await admin.send(form, **{"name": "Kept", "role": "viewer", **fields})
        assert answer.status_code == 422, said
        assert said in Page(answer).text
        assert dict(Page(answer).form("/ui/people/tokens").fields)["name"] == "Kept"


async def test_many_tokens_are_shown_before_they_are_revoked_and_none_is_never_all(
    api: Api, admin: Browser
) -> None:
    for name in ("one", "two", "three"):
        body = {"name": name, "role": "viewer"}
        assert (await api.admin.post("/tokens", json=body)).status_code == 201
    all = {each["name"]: each["id"] for each in (await api.admin.get("/tokens")).json()["items"]}
    token = await admin.form_token()
    nothing = await admin.post("/ui/people/tokens/revoke", {"_form": token})
    assert nothing.status_code == 422
    chosen = {"_form": token, "id": [str(all["one"]), str(all["two"])]}
    preview = Page(await admin.post("/ui/people/tokens/confirm", chosen))
    assert "three" not in preview.text
    form = preview.form("/revoke")
    assert sorted(value for name, value in form.fields if name == "id") == sorted(chosen["id"])
    done = Page(await admin.post(form.action, chosen))
    assert "2 tokens revoked" in done.text
    told = {
        each["name"]: each["revoked_at"]
        for each in (await api.admin.get("/tokens")).json()["items"]
    }
    assert told["one"] is not None
    assert told["three"] is None


async def test_sessions_are_ended_one_or_many_and_ones_own_leads_to_the_door(
    api: Api, admin: Browser
) -> None:
    for name in ("anna", "otto"):
        await with_password(api, name, "viewer")
    async with browser(api) as anna, browser(api) as otto:
        await with_session(api, anna, "anna")
        await with_session(api, otto, "otto")
        page = await admin.open("/ui/people/sessions")
        assert "anna" in page.text
        found = (await api.admin.get("/sessions")).json()["items"]
        of = {each["user"]: str(each["id"]) for each in found}
        # Whose session it is not sees none of it.
        token = await anna.form_token()
        other = {"_form": token, "id": [of["otto"]]}
        assert (await anna.post("/ui/people/sessions/confirm", other)).status_code == 409
        assert (await anna.post("/ui/people/sessions/end", other)).status_code == 404
        token = await admin.form_token()
        chosen = {"_form": token, "id": [of["otto"]]}
        preview = Page(await admin.post("/ui/people/sessions/confirm", chosen))
        assert "End 1 session" in preview.text
        assert (await admin.post("/ui/people/sessions/end", chosen)).status_code == 303
        assert (await otto.client.get("/ui")).status_code == 303
        own = {"_form": await anna.form_token(), "id": [of["anna"]]}
        assert (
            "you will be signed out"
            in Page(await anna.post("/ui/people/sessions/confirm", own)).text
        )
        answer = await anna.post("/ui/people/sessions/end", own)
        assert answer.headers["location"] == "/ui/login?said=out"
        assert (await anna.client.get("/ui")).status_code == 303


async def test_the_last_admin_stays(api: Api, admin: Browser, db: AsyncConnection[Any]) -> None:
    found = (await api.admin.get("/tokens")).json()["items"]
    [own] = [each["id"] for each in found if each["name"] == "the admin"]
    chosen = {"_form": await admin.form_token(), "id": [str(own)]}
    answer = await admin.post("/ui/people/tokens/revoke", chosen)
    assert answer.status_code == 409
    assert "last admin" in Page(answer).text
