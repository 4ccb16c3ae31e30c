"""People: made by admins, with passwords that nobody else knows, gone at once when disabled."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from scheduler.domain.errors import Unauthenticated
from scheduler.services import passwords
from scheduler.services.access import Role
from tests.support.api import Api, serving
from tests.support.people_api import (
    PASSWORD,
    a_link,
    a_token,
    a_user,
    ask,
    sign_in,
    signed_in,
    with_password,
)

pytestmark = pytest.mark.anyio
OTHER = "slow train to Bergen"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


async def set_password(api: Api, link: str, password: str = PASSWORD) -> int:
    body = {"token": link, "password": password}
    return (await api.as_role(None).post("/password", json=body)).status_code


async def test_a_user_is_made_shown_changed_and_deleted(api: Api) -> None:
    await a_user(api, "anna", display_name="Anna Berg", email="anna@example.org")
    shown = (await api.admin.get("/users/anna")).json()
    assert (shown["role"], shown["disabled_at"], shown["created_by"]) == (
        "operator",
        None,
        "the admin",
    )
    changed = await api.admin.patch("/users/anna", json={"role": "author", "email": None})
    assert changed.json() == {**shown, "role": "author", "email": None}
    assert (await api.admin.delete("/users/anna")).status_code == 204
    assert (await api.admin.get("/users/anna")).status_code == 404


async def test_a_name_is_taken_once(api: Api) -> None:
    await a_user(api, "anna")
    again = await api.admin.post("/users", json={"name": "anna", "role": "viewer"})
    assert again.status_code == 409
    assert again.json()["field"] == "name"


@pytest.mark.parametrize(
    "wish",
    [
        {"name": "Anna"},
        {"name": "an na"},
        {"name": ""},
        {"role": "worker"},
        {"role": "root"},
        {"email": "nowhere"},
        {"email": "a@b\nBcc: c@d"},
        {"password": PASSWORD},
        {"disabled": "no"},
    ],
)
async def test_a_user_that_makes_no_sense_is_refused(api: Api, wish: dict[str, Any]) -> None:
    answer = await api.admin.post("/users", json={"name": "anna", "role": "viewer", **wish})
    assert answer.status_code == 422


async def test_users_are_listed_by_name_in_pages(api: Api) -> None:
    for name in ("carl", "anna", "berit"):
        await a_user(api, name)
    first = (await api.admin.get("/users?limit=2")).json()
    second = (await api.admin.get("/users", params={"cursor": first["next"]})).json()
    assert [each["name"] for each in first["items"] + second["items"]] == ["anna", "berit", "carl"]


async def test_a_link_sets_a_password_once(api: Api) -> None:
    await a_user(api)
    link = await a_link(api, "anna")
    assert await set_password(api, link) == 204
    assert await set_password(api, link, OTHER) == 403
    assert await signed_in(api, await sign_in(api)) is not None


async def test_a_new_link_makes_the_one_before_void(api: Api) -> None:
    await a_user(api)
    first, second = await a_link(api, "anna"), await a_link(api, "anna")
    assert await set_password(api, first) == 403
    assert await set_password(api, second) == 204


async def test_a_link_that_is_too_old_sets_nothing(api: Api, db: AsyncConnection) -> None:
    await a_user(api)
    link = await a_link(api, "anna")
    await db.execute("update password_links set expires_at = now()")
    await db.commit()
    assert await set_password(api, link) == 403


async def test_a_link_is_of_no_use_as_a_token(api: Api) -> None:
    await a_user(api)
    link = await a_link(api, "anna")
    answer = await ask(api, {"token": link}, "GET", "/me")
    assert answer.status_code == 401


async def test_a_weak_password_is_refused_and_the_link_stays_good(api: Api) -> None:
    await a_user(api)
    link = await a_link(api, "anna")
    for weak in ("short", "passwordpassword", "anna12345678"):
        assert await set_password(api, link, weak) == 422, weak
    assert await set_password(api, link) == 204


async def test_a_password_is_taken_whole_however_long(api: Api) -> None:
    long = "x9-yz" * 50
    hash = await passwords.hashed(long)
    assert await passwords.fits(long, hash)
    assert not await passwords.fits(long[:-1] + "!", hash)


async def test_a_password_is_nowhere_but_in_its_hash(
    api: Api, db: AsyncConnection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await with_password(api)
    link = await a_link(api, "anna")
    token = await sign_in(api)
    await api.as_role(None).post("/password", json={"token": "x", "password": PASSWORD})
    shown = (await api.admin.get("/users/anna")).text + (await api.admin.get("/audit")).text
    for secret in (PASSWORD, link, token, "$argon2id$"):
        assert secret not in shown
    for secret in (PASSWORD, link, token):
        assert secret not in caplog.text
    cursor = await db.execute(
        "select table_name from information_schema.tables"
        " where table_schema = 'public' and table_type = 'BASE TABLE'"
    )
    for (table,) in await cursor.fetchall():
        rows = await db.execute(SQL("select t::text from {} t").format(Identifier(table)))
        text = " ".join([row[0] for row in await rows.fetchall()])
        for secret in (PASSWORD, link, token):
            assert secret not in text, table
        assert "$argon2id$" not in text or table == "passwords"


async def test_a_refused_password_is_not_told_back(api: Api) -> None:
    for body in (
        {"token": "x", "password": "hunter2"},
        {"token": "x", "password": ["hunter2"]},
        {"token": "x", "pasword": "hunter2"},
        {"token": {"hunter2": 1}, "password": PASSWORD},
    ):
        answer = await api.as_role(None).post("/password", json=body)
        assert answer.status_code == 422
        assert "hunter2" not in answer.text, body


async def test_users_change_their_own_password_with_the_old_one(api: Api) -> None:
    await with_password(api, role="viewer")
    token = await a_token(api, "anna")
    session = await sign_in(api)
    wish = {"old": PASSWORD, "password": OTHER}
    assert (await ask(api, token, "PUT", "/users/anna/password", json=wish)).status_code == 204
    assert await signed_in(api, session) is None
    with pytest.raises(Unauthenticated):
        await sign_in(api)
    assert await signed_in(api, await sign_in(api, password=OTHER))


async def test_a_wrong_old_password_is_refused_and_counted(api: Api) -> None:
    await with_password(api)
    token = await a_token(api, "anna")
    wish = {"old": "not this one", "password": OTHER}
    answers = [await ask(api, token, "PUT", "/users/anna/password", json=wish) for _ in range(6)]
    assert [each.status_code for each in answers] == [403] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_nobody_else_changes_a_password_not_even_an_admin(api: Api) -> None:
    await with_password(api, "anna")
    await with_password(api, "berit")
    token = await a_token(api, "berit")
    wish = {"old": PASSWORD, "password": OTHER}
    assert (await ask(api, token, "PUT", "/users/anna/password", json=wish)).status_code == 404
    assert (await api.admin.put("/users/anna/password", json=wish)).status_code == 403


async def test_disabling_a_user_ends_tokens_sessions_and_links_at_once_and_for_good(
    api: Api,
) -> None:
    await with_password(api)
    token, session, link = await a_token(api, "anna"), await sign_in(api), await a_link(api, "anna")
    assert (await ask(api, token, "GET", "/me")).json()["user"] == "anna"
    await api.admin.patch("/users/anna", json={"disabled": True})
    assert (await ask(api, token, "GET", "/me")).status_code == 401
    assert await signed_in(api, session) is None
    assert await set_password(api, link, OTHER) == 403
    with pytest.raises(Unauthenticated):
        await sign_in(api)

    await api.admin.patch("/users/anna", json={"disabled": False})
    assert (await ask(api, token, "GET", "/me")).status_code == 401
    assert await signed_in(api, session) is None
    assert await signed_in(api, await sign_in(api))


async def test_another_role_reaches_tokens_at_once_and_ends_sessions(api: Api) -> None:
    await with_password(api, role="author")
    token, session = await a_token(api, "anna", role="author"), await sign_in(api)
    await api.admin.patch("/users/anna", json={"role": "viewer"})
    assert (await ask(api, token, "GET", "/me")).json()["role"] == "viewer"
    assert (await ask(api, token, "POST", "/queues/default/pause")).status_code == 403
    assert await signed_in(api, session) is None


async def test_deleting_a_user_deletes_tokens_and_sessions(api: Api, db: AsyncConnection) -> None:
    await with_password(api)
    token, session = await a_token(api, "anna"), await sign_in(api)
    await api.admin.delete("/users/anna")
    assert (await ask(api, token, "GET", "/me")).status_code == 401
    assert await signed_in(api, session) is None


async def test_a_token_of_a_user_may_do_no_more_than_its_user(api: Api) -> None:
    await a_user(api, "anna", "viewer")
    for role in ("operator", "admin", "worker"):
        wish = {"name": "x", "role": role, "user": "anna"}
        assert (await api.admin.post("/tokens", json=wish)).status_code == 422, role
    nobody = await api.admin.post("/tokens", json={"name": "x", "role": "viewer", "user": "carl"})
    assert nobody.json()["field"] == "user"


async def test_a_token_with_scopes_gives_nothing_that_it_does_not_have(api: Api) -> None:
    scoped = await a_token(api, role="admin", scopes=["tokens", "users", "runs"])
    for wish, status in (
        ({"role": "admin"}, 403),
        ({"role": "viewer", "scopes": ["queues"]}, 403),
        ({"role": "viewer", "scopes": ["runs"]}, 201),
    ):
        answer = await ask(api, scoped, "POST", "/tokens", json={"name": "x", **wish})
        assert answer.status_code == status, wish
    await with_password(api, "anna", "admin")
    for method, path, body in (
        ("POST", "/users", {"name": "mine", "role": "admin"}),
        ("PATCH", "/users/anna", {"disabled": True}),
        ("POST", "/users/anna/password-link", None),
        ("DELETE", "/users/anna", None),
    ):
        assert (await ask(api, scoped, method, path, json=body)).status_code == 403, path


async def test_the_last_admin_is_neither_disabled_nor_demoted_nor_deleted(
    api: Api, db: AsyncConnection
) -> None:
    await with_password(api, "anna", "admin")
    mine = await a_token(api, "anna", role="admin")
    await db.execute("update tokens set revoked_at = now() where user_id is null")
    await db.commit()
    for method, body in (
        ("PATCH", {"disabled": True}),
        ("PATCH", {"role": "author"}),
        ("DELETE", None),
    ):
        answer = await ask(api, mine, method, "/users/anna", json=body)
        assert answer.status_code == 409, answer.text
        assert "last admin" in answer.json()["detail"]
    assert (await ask(api, mine, "PATCH", "/users/anna", json={"email": "a@b"})).status_code == 200
    await ask(api, mine, "POST", "/users", json={"name": "berit", "role": "admin"})
    assert (await ask(api, mine, "DELETE", "/users/anna")).status_code == 409, "no password yet"


async def test_what_people_do_is_told_under_their_names(api: Api) -> None:
    await a_user(api, role="operator")
    token = await a_token(api, "anna", role="operator")
    await ask(api, token, "POST", "/queues/default/pause", json={})
    [line] = (await api.admin.get("/audit?entity=queues")).json()["items"]
    assert (line["actor"], line["token_id"]) == ("anna", token["id"])
    made = (await api.admin.get("/audit?entity=users")).json()["items"]
    assert made[-1]["after"]["role"] == "operator"


async def test_whoever_asks_learns_who_they_are(api: Api) -> None:
    me = (await api.as_role(Role.VIEWER).get("/me")).json()
    assert (me["name"], me["role"], me["user"], me["scopes"]) == (
        "the viewer",
        "viewer",
        None,
        None,
    )
