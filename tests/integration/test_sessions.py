"""Signing in: nobody learns who is there, nobody guesses for long, and a session ends when it is
to end."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.domain.errors import NotFound, TooMany, Unauthenticated
from scheduler.services import sessions
from scheduler.services.access import Role
from scheduler.settings import SignInSettings
from scheduler.store import connections
from scheduler.store import sessions as stored
from tests.support.api import Api, serving
from tests.support.people_api import (
    HOME,
    a_token,
    a_user,
    ask,
    sign_in,
    signed_in,
    with_password,
)

pytestmark = pytest.mark.anyio
ELSEWHERE = "198.51.100.9"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


async def session_of(api: Api, token: str) -> sessions.Session:
    found = await signed_in(api, token)
    assert found is not None
    return found


async def test_whoever_signs_in_is_known_until_they_sign_out(api: Api) -> None:
    await with_password(api)
    token = await sign_in(api, " Anna ")
    found = await session_of(api, token)
    assert (found.name, found.role, found.source) == ("anna", Role.OPERATOR, HOME)
    assert (found.caller.name, found.caller.user, found.caller.id) == ("anna", found.user, None)
    async with await connections.connect(api.url, name="test") as conn:
        await sessions.end(conn, found.id, of=found.user)
        await sessions.end(conn, found.id)
        with pytest.raises(NotFound):
            await sessions.end(conn, found.id, of=found.user + 1)
    assert await signed_in(api, token) is None


async def test_each_time_is_a_session_of_its_own(api: Api) -> None:
    await with_password(api)
    first, second = await sign_in(api), await sign_in(api)
    assert first != second
    kept = await session_of(api, second)
    async with await connections.connect(api.url, name="test") as conn:
        assert await sessions.end_all(conn, kept.user, except_for=kept.id) == 1
    assert await signed_in(api, first) is None
    assert await signed_in(api, second) is not None


async def test_a_session_is_put_off_by_use_and_never_beyond_its_end(
    api: Api, db: AsyncConnection
) -> None:
    await with_password(api)
    token = await sign_in(api)
    await db.set_autocommit(True)
    await db.execute(
        "update sessions set seen_at = now() - interval '20 min',"
        " expires_at = now() + interval '5 min', ends_at = now() + interval '10 min'"
    )
    await session_of(api, token)
    after = await session_of(api, token)
    assert after.expires_at == after.ends_at
    await db.execute("update sessions set expires_at = now()")
    assert await signed_in(api, token) is None


async def test_a_session_is_of_no_use_as_a_token(api: Api) -> None:
    await with_password(api)
    assert (await ask(api, {"token": await sign_in(api)}, "GET", "/me")).status_code == 401
    answer = await api.as_role(None).get("/me", headers={"Cookie": "session=x"})
    assert answer.status_code == 401


async def refusal(api: Api, name: str, password: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await sign_in(api, name, password)
    return str(refused.value)


async def test_an_unknown_name_and_a_wrong_password_are_told_the_same(
    api: Api, db: AsyncConnection
) -> None:
    await with_password(api, "anna")
    await a_user(api, "berit")
    await with_password(api, "carl")
    await api.admin.patch("/users/carl", json={"disabled": True})
    told = {
        await refusal(api, name, "wrong horse for this")
        for name in ("anna", "berit", "carl", "nobody", "x" * 500, "a\nb")
    }
    assert len(told) == 1


async def test_an_unknown_name_takes_as_long_as_a_wrong_password(api: Api) -> None:
    await with_password(api)
    settings = SignInSettings(tries=1000, tries_of_address=1000)
    took: dict[str, list[float]] = {"anna": [], "nobody": []}
    async with await connections.connect(api.url, name="test") as conn:
        for name in ("anna", "nobody") * 20:
            begun = time.process_time()
            with pytest.raises(Unauthenticated):
                await sessions.begin(conn, name, "wrong", source=HOME, agent="", settings=settings)
            took[name].append(time.process_time() - begun)
    known, unknown = (statistics.median(took[name]) for name in ("anna", "nobody"))
    assert abs(known - unknown) < 0.25 * max(known, unknown)


async def test_of_many_guesses_at_once_no_more_than_five_are_looked_at(api: Api) -> None:
    await with_password(api)

    async def guess(number: int) -> type[Exception] | None:
        try:
            await sign_in(api, password=f"a guess, number {number}", source=f"10.0.{number}.1")
        except (Unauthenticated, TooMany) as error:
            return type(error)
        return None

    answers = await asyncio.gather(*map(guess, range(40)))
    assert answers.count(Unauthenticated) == 5
    assert answers.count(TooMany) == 35


async def test_an_address_cannot_try_many_names(api: Api) -> None:
    settings = SignInSettings(tries_of_address=3)
    for number in range(3):
        with pytest.raises(Unauthenticated):
            await sign_in(api, f"name{number}", settings=settings)
    with pytest.raises(TooMany) as refused:
        await sign_in(api, "another", settings=settings)
    assert 0 < refused.value.seconds <= 900


async def test_a_stranger_locks_nobody_out_of_where_they_are_at_home(api: Api) -> None:
    await with_password(api)
    await sign_in(api, source=HOME)
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await sign_in(api, password="a stranger's guess", source=ELSEWHERE)
    with pytest.raises(TooMany):
        await sign_in(api, source=ELSEWHERE)
    assert await sign_in(api, source=HOME)


async def test_tries_that_were_right_do_not_count(api: Api) -> None:
    await with_password(api)
    for _ in range(8):
        await sign_in(api, settings=SignInSettings(tries=2, tries_of_address=2))


async def test_the_count_begins_anew_when_the_window_is_over(api: Api, db: AsyncConnection) -> None:
    await with_password(api)
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await sign_in(api, password="not this one")
    with pytest.raises(TooMany):
        await sign_in(api)
    await db.execute("update sign_ins set since = since - interval '15 min'")
    await db.commit()
    assert await sign_in(api)


async def test_addresses_of_one_network_of_version_6_count_together() -> None:
    assert sessions.network_of("2001:db8::1") == sessions.network_of("2001:db8::ffff:1")
    assert sessions.network_of("2001:db8::1") != sessions.network_of("2001:db8:0:1::1")
    assert sessions.network_of("192.0.2.1") == "192.0.2.1"


async def test_a_password_that_is_changed_while_somebody_signs_in_lets_nobody_in(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was let in is looked at once more before the session begins."""
    await with_password(api)
    look: Any = sessions.proven

    async def then_disabled(*given: object, **more: object) -> object:
        found = await look(*given, **more)
        await api.admin.patch("/users/anna", json={"disabled": True})
        return found

    monkeypatch.setattr(sessions, "proven", then_disabled)
    with pytest.raises(Unauthenticated):
        await sign_in(api)


async def test_people_see_and_end_their_own_sessions_and_admins_all(api: Api) -> None:
    for name in ("anna", "berit"):
        await with_password(api, name)
    mine, theirs = await sign_in(api, "anna"), await sign_in(api, "berit")
    token = await a_token(api, "anna")
    seen = (await ask(api, token, "GET", "/sessions")).json()["items"]
    assert [each["user"] for each in seen] == ["anna"]
    assert seen[0]["agent"] == "a browser"
    everybody = (await api.admin.get("/sessions")).json()["items"]
    assert [each["user"] for each in everybody] == ["berit", "anna"]
    of_berit, of_anna = (each["id"] for each in everybody)
    assert (await ask(api, token, "DELETE", f"/sessions/{of_berit}")).status_code == 404
    assert (await ask(api, token, "DELETE", f"/sessions/{of_anna}")).status_code == 204
    assert await signed_in(api, mine) is None
    assert await signed_in(api, theirs) is not None
    assert (await api.admin.delete(f"/sessions/{of_berit}")).status_code == 204
    assert await signed_in(api, theirs) is None


async def test_what_is_long_over_is_forgotten(api: Api, db: AsyncConnection) -> None:
    await with_password(api)
    await sign_in(api)
    with pytest.raises(Unauthenticated):
        await sign_in(api, password="no")
    await db.set_autocommit(True)
    await stored.forget(db)
    cursor = await db.execute("select (select count(*) from sessions), count(*) from sign_ins")
    assert await cursor.fetchone() == (1, 2)
    month = timedelta(days=31)
    await db.execute(
        "update sessions set expires_at = now() - %s, ends_at = now() - %s", [month, month]
    )
    await db.execute("update sign_ins set since = since - %s", [month])
    await stored.forget(db)
    cursor = await db.execute("select (select count(*) from sessions), count(*) from sign_ins")
    assert await cursor.fetchone() == (0, 0)
