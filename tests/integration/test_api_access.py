"""Every route and every role, from the application's own routes; what is one's own, and
what is not."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from psycopg import AsyncConnection
from starlette.routing import WebSocketRoute

from scheduler.api.access import OPEN, OWN, STATION, VERDICTS, require_verdicts, scope_of
from scheduler.app import MOUNTED, PREFIX
from scheduler.domain.errors import Conflict, Invalid
from scheduler.services import access
from scheduler.services.access import PEOPLE, Role
from scheduler.store import connections
from tests.support.api import Api, serving
from tests.support.people_api import (
    PASSWORD,
    a_token,
    ask,
    sign_in,
    signed_in,
    with_password,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


def routes() -> Iterator[tuple[str, str, str]]:
    """Name, method and a path in which every parameter is filled with something."""
    for prefix, route in guarded_routes():
        for method in route.methods or ():
            yield route.name, method, f"http://server{prefix}{filled(route)}"


NOTHING = {UUID: "01900000-0000-7000-8000-000000000000", int: "999"}


# They are open to all, and refuse whoever has not signed what they send.
SIGNED = {"call_webhook"}


def filled(route: APIRoute) -> str:
    """Its path, to something that is not there."""
    given = {
        each.alias: NOTHING.get(cast("type", each.field_info.annotation), "no-such")
        for each in route.dependant.path_params
    }
    return route.path_format.format(**given)


async def test_every_route_answers_each_role_as_the_table_declares(api: Api) -> None:
    wrong = []
    for name, method, path in routes():
        for role in Role:
            answer = await api.as_role(role).request(method, path)
            if VERDICTS[name] is STATION:  # no role has the token of a workstation
                assert answer.status_code == 401, (name, role, answer.status_code)
                continue
            may = VERDICTS[name] is OPEN or role in VERDICTS[name]
            unknown = answer.status_code == 401 and name not in SIGNED
            if (answer.status_code == 403) == may or unknown or answer.status_code in (405, 500):
                wrong.append((name, role, answer.status_code))
    assert wrong == []


async def test_nothing_but_what_is_open_is_told_to_those_without_a_token(api: Api) -> None:
    answered = {
        name
        for name, method, path in routes()
        if (await api.as_role(None).request(method, path)).status_code != 401
    }
    assert answered | SIGNED == {name for name, roles in VERDICTS.items() if roles is OPEN}
    assert answered == {
        "get_liveness",
        "set_password",
        "enrol_workstation",
        "make_workstation_nonce",
        "make_workstation_token",
        "get_docs",
        "get_openapi_json",
        "get_openapi_yaml",
    }


async def test_a_token_reaches_the_parts_of_its_scopes_and_no_other(api: Api) -> None:
    parts = {route.name: scope_of(route) for _, route in guarded_routes()}
    wrong = []
    for part in sorted(set(parts.values())):
        others = sorted(set(parts.values()) - {part})
        token = await a_token(api, role="admin", scopes=others)
        for name, method, path in routes():
            if VERDICTS[name] in (OPEN, STATION) or (parts[name] != part and method != "GET"):
                continue
            refused = (await ask(api, token, method, path)).status_code == 403
            if refused != (parts[name] == part):
                wrong.append((name, part))
    assert wrong == []


def guarded_routes() -> Iterator[tuple[str, APIRoute]]:
    for prefix, router in MOUNTED:
        for route in router.routes:
            if not isinstance(route, WebSocketRoute):  # it looks at who asks by itself
                assert isinstance(route, APIRoute)
                yield prefix, route


@dataclass(frozen=True)
class Somebody:
    """A user with a token and a session."""

    name: str
    token: dict[str, Any]
    session: int

    def at(self, operation: str) -> str:
        """Where this operation reaches what is theirs."""
        return {
            "get_token": f"/tokens/{self.token['id']}",
            "revoke_token": f"/tokens/{self.token['id']}",
            "get_user": f"/users/{self.name}",
            "change_password": f"/users/{self.name}/password",
            "end_session": f"/sessions/{self.session}",
        }[operation]


LISTS = {"list_tokens": "user", "list_users": "name", "list_sessions": "user"}
# In this order: the last ones take away what the others need.
SINGLE = ("get_user", "get_token", "change_password", "end_session", "revoke_token")


async def somebody(api: Api, name: str, role: Role) -> Somebody:
    await with_password(api, name, role)
    signed = await signed_in(api, await sign_in(api, name))
    assert signed is not None
    return Somebody(name, await a_token(api, name, role=role), signed.id)


def test_each_operation_on_what_is_ones_own_is_shown_below() -> None:
    assert {*LISTS, *SINGLE} == OWN


@pytest.mark.parametrize("role", PEOPLE)
async def test_people_reach_their_own_and_only_admins_what_is_somebody_elses(
    api: Api, role: Role
) -> None:
    mine, theirs = await somebody(api, "mine", role), await somebody(api, "theirs", Role.VIEWER)
    methods = {name: (method, path) for name, method, path in routes()}
    for operation, key in LISTS.items():
        path = methods[operation][1]
        seen = {each[key] for each in (await ask(api, mine.token, "GET", path)).json()["items"]}
        assert "mine" in seen
        assert ("theirs" in seen) == (role is Role.ADMIN), operation
    body = {"old": PASSWORD, "password": "another one, and longer"}
    for operation in SINGLE:
        method = methods[operation][0]
        more: dict[str, Any] = {"json": body} if operation == "change_password" else {}
        foreign = await ask(api, mine.token, method, theirs.at(operation), **more)
        own = await ask(api, mine.token, method, mine.at(operation), **more)
        none = await api.as_role(None).request(method, mine.at(operation), **more)
        assert own.is_success, (operation, own.text)
        assert none.status_code == 401, operation
        if operation == "change_password" and role is Role.ADMIN:
            assert foreign.status_code == 403
        elif role is Role.ADMIN:
            assert foreign.is_success, operation
        else:
            assert foreign.status_code == 404, operation
            assert foreign.json()["detail"].startswith("there is no"), operation


@pytest.mark.parametrize("role", PEOPLE)
async def test_a_machine_reaches_its_own_token_and_no_other(api: Api, role: Role) -> None:
    mine, other = await a_token(api, role=role), await a_token(api)
    seen = (await ask(api, mine, "GET", "/tokens")).json()["items"]
    if role is Role.ADMIN:
        assert len(seen) > 1
        return
    assert [each["id"] for each in seen] == [mine["id"]]
    assert (await ask(api, mine, "GET", "/users")).json()["items"] == []
    assert (await ask(api, mine, "GET", "/sessions")).json()["items"] == []
    assert (await ask(api, mine, "DELETE", f"/tokens/{other['id']}")).status_code == 404
    assert (await ask(api, mine, "DELETE", f"/tokens/{mine['id']}")).status_code == 200
    assert (await ask(api, mine, "GET", "/me")).status_code == 401


async def test_a_refusal_for_want_of_a_token_says_what_to_send(api: Api) -> None:
    answer = await api.as_role(None).get("/runs")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "Authorization" in answer.json()["remedy"]


async def test_what_is_no_token_is_refused_before_the_body_is_read(api: Api) -> None:
    for header in ("Bearer", "Bearer x", "Basic YTpi", "Bearer pn_admin_" + "x" * 43):
        answer = await api.as_role(None).post(
            "/runs", content=b"{broken", headers={"Authorization": header}
        )
        assert answer.status_code == 401, header


async def test_a_revoked_token_is_refused_at_once(api: Api, db: AsyncConnection) -> None:
    assert (await api.admin.get("/runs")).status_code == 200
    await db.execute("update tokens set revoked_at = now() where role = 'admin'")
    await db.commit()
    assert (await api.admin.get("/runs")).status_code == 401


async def test_the_clear_text_of_a_token_is_nowhere_in_the_database(
    api: Api, db: AsyncConnection
) -> None:
    cursor = await db.execute("select row_to_json(t)::text from tokens t")
    rows = " ".join([row[0] for row in await cursor.fetchall()])
    assert rows
    for token in api.tokens.values():
        assert token.split("_", 2)[2] not in rows


async def test_the_use_of_a_token_is_noted(api: Api, db: AsyncConnection) -> None:
    await api.admin.get("/runs")
    cursor = await db.execute("select last_used_at from tokens where role = 'admin'")
    row = await cursor.fetchone()
    assert row is not None
    assert row[0] is not None


def test_a_route_without_a_verdict_stops_the_server_from_starting() -> None:
    app = FastAPI()

    @app.get("/ghosts")
    async def list_ghosts() -> None: ...

    names = [route.name for route in app.routes if isinstance(route, APIRoute)]
    with pytest.raises(LookupError, match="list_ghosts"):
        require_verdicts(names)


def test_the_table_names_no_route_that_does_not_exist() -> None:
    assert {name for name, _, _ in routes()} == set(VERDICTS)
    assert PREFIX == "/api/v1"


async def test_the_first_admin_token_is_made_once_and_for_its_owner_alone(
    dsn: str, tmp_path: Path
) -> None:
    file = tmp_path / "admin.token"
    async with await connections.connect(dsn, name="test") as conn:
        assert await access.ensure_admin(conn, file)
        assert not await access.ensure_admin(conn, tmp_path / "another")
        caller = await access.authenticate(conn, file.read_text().strip())

    assert caller.role is Role.ADMIN
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "another").exists()


async def test_a_start_that_was_cut_short_is_completed_with_the_token_it_left(
    dsn: str, tmp_path: Path
) -> None:
    file = tmp_path / "admin.token"
    left = access.first_token(file)
    async with await connections.connect(dsn, name="test") as conn:
        await access.ensure_admin(conn, file)
        assert (await access.authenticate(conn, left)).role is Role.ADMIN


@pytest.mark.parametrize("what", ["open to others", "not a token", "a link"])
async def test_a_token_file_that_somebody_may_have_planted_is_refused(
    dsn: str, tmp_path: Path, what: str
) -> None:
    file = tmp_path / "admin.token"
    token = access.first_token(file)
    if what == "open to others":
        file.chmod(0o644)
    elif what == "not a token":
        file.write_text("hello\n")
    else:
        (tmp_path / "elsewhere").write_text(token)
        file.unlink()
        file.symlink_to(tmp_path / "elsewhere")
    async with await connections.connect(dsn, name="test") as conn:
        with pytest.raises(Conflict, match="remove it"):
            await access.ensure_admin(conn, file)


async def test_nobody_is_let_in_from_outside_while_there_is_no_admin(
    dsn: str, tmp_path: Path
) -> None:
    async with await connections.connect(dsn, name="test") as conn:
        await access.require_admin_beyond_loopback(conn, "127.0.0.1")
        await access.require_admin_beyond_loopback(conn, "::1")
        with pytest.raises(Invalid, match="no admin token"):
            await access.require_admin_beyond_loopback(conn, "0.0.0.0")
        await access.ensure_admin(conn, tmp_path / "admin.token")
        await access.require_admin_beyond_loopback(conn, "0.0.0.0")
