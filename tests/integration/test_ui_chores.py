"""Chores on the dashboard: what waits, what failed and why, and taking it up again."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.services import chores
from scheduler.services.access import Role
from scheduler.store import connections
from tests.support.api import Api, serving
from tests.support.browser import Browser, Page, signed_in
from tests.support.following import following
from tests.support.statements import counted

pytestmark = pytest.mark.anyio

Conn = AsyncConnection[Any]


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


@pytest.fixture
async def conn(api: Api) -> AsyncIterator[Conn]:
    async with await connections.connect(api.url, name="test") as conn:
        yield conn


@pytest.fixture
async def someone(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api, Role.OPERATOR) as browser:
        yield browser


async def failed(conn: Conn, kind: str = "export", error: str = "the disk is full") -> int:
    """One that has used up its attempts."""
    job = await chores.defer(conn, kind, {"export": 7})
    await conn.execute(
        "update procrastinate_jobs set status = 'failed', attempts = 10 where id = %s", [job]
    )
    await conn.execute(
        "insert into chore_history (job, chore, args, attempt, state, server, started_at, error,"
        " trace) values (%s, %s, '{}', 10, 'FAILED', 'here', now() - interval '3 seconds', %s,"
        " 'Traceback of ' || %s)",
        [job, kind, error, error],
    )
    return job


async def scheduled(conn: Conn) -> int:
    job = await chores.defer(conn, "retention", {})
    await conn.execute(
        "update procrastinate_jobs set scheduled_at = now() + interval '1 day' where id = %s", [job]
    )
    return job


async def status(api: Api, job: int) -> str:
    return str((await api.admin.get(f"/chores/{job}")).json()["status"])


async def test_what_failed_shows_its_error_and_trace_and_is_tried_again(
    api: Api, conn: Conn, someone: Browser
) -> None:
    job = await failed(conn)
    page = await someone.open("/ui/chores?status=FAILED")
    assert "the disk is full" in page.text
    page = await someone.open(f"/ui/chores/{job}")
    assert "Traceback of the disk is full" in page.text
    assert "It waits for no time: it is failed" in page.text
    page = await following(someone, page.form("/retry"))
    assert "waits again" in page.text
    assert await status(api, job) == "WAITING"
    answer = await someone.post(f"/ui/chores/{job}/retry", {"_form": await someone.form_token()})
    assert answer.status_code == 409
    assert "only what failed can be retried" in Page(answer).text


async def test_what_was_put_off_is_run_now(api: Api, conn: Conn, someone: Browser) -> None:
    job = await scheduled(conn)
    assert "put off" in (await someone.open("/ui/chores")).text
    await following(someone, (await someone.open(f"/ui/chores/{job}")).form("/run-now"))
    assert await status(api, job) == "WAITING"


async def test_all_that_failed_of_a_kind_wait_again_after_their_number_was_seen(
    api: Api, conn: Conn, someone: Browser
) -> None:
    jobs = [await failed(conn) for _ in range(3)]
    other = await failed(conn, "retention")
    page = await someone.open("/ui/chores")
    assert "/ui/chores/retry?chore=export" in page.links
    page = await someone.open("/ui/chores/retry?chore=export")
    assert "Retry 3 chores of the kind export?" in page.text
    await following(someone, page.form("/retry"))
    assert [await status(api, job) for job in (*jobs, other)] == ["WAITING"] * 3 + ["FAILED"]
    await someone.open("/ui/chores/retry?chore=export", 404)


async def test_exactly_those_that_were_ticked_are_decided_on(
    api: Api, conn: Conn, someone: Browser
) -> None:
    first, second, third = [await failed(conn) for _ in range(3)]
    token = await someone.form_token()
    nothing = {"_form": token, "action": "delete"}
    for path in ("/ui/chores/chosen/confirm", "/ui/chores/chosen/decide"):
        assert (await someone.post(path, nothing)).status_code == 422  # none is never all
    chosen = {**nothing, "id": [str(first), str(third)]}
    page = Page(await someone.post("/ui/chores/chosen/confirm", chosen))
    form = page.form("/decide")
    assert [value for name, value in form.fields if name == "id"] == [str(first), str(third)]
    await conn.execute("update procrastinate_jobs set status = 'doing' where id = %s", [third])
    done = Page(await someone.post(form.action, chosen))
    assert "1 of 2 done" in done.text
    assert "is RUNNING" in done.text
    left = (await api.admin.get("/chores")).json()["items"]
    assert [each["id"] for each in left] == [third, second]


async def test_a_chore_is_deleted_after_a_page_that_names_it_and_leaves_its_history(
    api: Api, conn: Conn, someone: Browser
) -> None:
    job = await failed(conn)
    page = await someone.open(f"/ui/chores/{job}/delete")
    await following(someone, page.form("/delete"))
    page = await someone.open(f"/ui/chores/{job}")
    assert "deleted by the operator" in page.text
    assert "It is done, and stands in the history alone" in page.text
    page = await someone.open(f"/ui/chores/history?job={job}")
    assert page.text.count("the disk is full") >= 1
    await someone.open("/ui/chores/999999", 404)


async def test_lists_of_chores_go_on_by_pages_and_as_files(conn: Conn, someone: Browser) -> None:
    jobs = [await failed(conn) for _ in range(52)]
    for path, ours in (("/ui/chores", "id"), ("/ui/chores/history", "job")):
        seen: list[str] = []
        href = path
        while href:
            page = await someone.open(href)
            seen += [each for each in page.links if each.removeprefix("/ui/chores/").isdecimal()]
            href = next((each for each in page.links if "cursor=" in each), "")
        assert sorted(seen) == sorted(f"/ui/chores/{job}" for job in jobs)
        told = (await someone.client.get(f"{path}?format=json&chore=export")).json()
        assert [each[ours] for each in told] == sorted(jobs, reverse=True)


async def test_whoever_only_looks_changes_nothing(api: Api, conn: Conn) -> None:
    job = await failed(conn)
    async with signed_in(api, Role.VIEWER) as viewer:
        page = await viewer.open(f"/ui/chores/{job}")
        assert "This takes an operator" in page.text
        await viewer.open(f"/ui/chores/{job}/delete", 403)
        form = {"_form": await viewer.form_token()}
        assert (await viewer.post(f"/ui/chores/{job}/retry", form)).status_code == 403
    assert await status(api, job) == "FAILED"


async def test_pages_of_chores_ask_the_database_no_more_for_more(
    conn: Conn, someone: Browser
) -> None:
    for many in (1, 20):
        for _ in range(many):
            job = await failed(conn)
        for path in (
            "/ui/chores",
            "/ui/chores/history",
            f"/ui/chores/{job}",
            "/ui/chores/retry?chore=export",
        ):
            with counted() as sent:
                await someone.open(path)
            assert 0 < len(sent) <= 6, (path, sent)
