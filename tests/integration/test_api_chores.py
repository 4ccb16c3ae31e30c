from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.services import chores
from scheduler.services.access import Role
from scheduler.store import connections
from tests.support.api import Api, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


async def put_off(api: Api, kind: str = "export") -> int:
    async with await connections.connect(api.url, name="test") as conn:
        return await chores.defer(conn, kind, {"n": 1}, at=datetime.now(UTC) + timedelta(hours=1))


async def fail(api: Api, *jobs: int) -> None:
    async with await connections.connect(api.url, name="test") as conn:
        await conn.execute(
            "update procrastinate_jobs set status = 'failed', attempts = 10 where id = any(%s)",
            [list(jobs)],
        )


async def test_chores_are_listed_counted_and_filtered(api: Api) -> None:
    one, other = await put_off(api), await put_off(api, "retention")
    await fail(api, other)
    listed = (await api.admin.get("/chores")).json()["items"]
    assert [(each["id"], each["status"]) for each in listed] == [
        (other, "FAILED"),
        (one, "SCHEDULED"),
    ]
    for filters, found in (({"status": "FAILED"}, other), ({"chore": "export"}, one)):
        items = (await api.admin.get("/chores", params=filters)).json()["items"]
        assert [each["id"] for each in items] == [found]
    counts = (await api.admin.get("/chores/counts")).json()["items"]
    assert [(each["chore"], each["scheduled"], each["failed"]) for each in counts] == [
        ("export", 1, 0),
        ("retention", 0, 1),
    ]
    first = (await api.admin.get("/chores", params={"limit": 1})).json()
    second = (await api.admin.get("/chores", params={"cursor": first["next"]})).json()
    assert [each["id"] for each in second["items"]] == [one]


async def test_a_chore_that_was_put_off_can_be_run_now_and_one_that_was_not_cannot(
    api: Api,
) -> None:
    job = await put_off(api)
    answer = await api.admin.post(f"/chores/{job}/run-now")
    assert answer.json()["status"] == "WAITING"
    await fail(api, job)
    refused = await api.admin.post(f"/chores/{job}/run-now")
    assert refused.status_code == 409
    assert "FAILED" in refused.json()["detail"]


async def test_failed_chores_are_retried_one_by_one_or_all_of_a_kind(api: Api) -> None:
    jobs = [await put_off(api) for _ in range(3)]
    assert (await api.admin.post(f"/chores/{jobs[0]}/retry")).status_code == 409
    await fail(api, *jobs)
    found = (await api.admin.post(f"/chores/{jobs[0]}/retry")).json()
    assert (found["status"], found["attempts"]) == ("WAITING", 0)
    answer = await api.admin.post("/chores/retry", json={"chore": "export"})
    assert answer.json() == {"retried": 2}


async def test_a_deleted_chore_leaves_its_history(api: Api) -> None:
    job = await put_off(api)
    assert (await api.admin.delete(f"/chores/{job}")).status_code == 204
    assert (await api.admin.get(f"/chores/{job}")).status_code == 404
    history = (await api.admin.get("/chores/history", params={"job": job})).json()["items"]
    assert [(each["status"], each["error"]) for each in history] == [
        ("DELETED", "deleted by the admin")
    ]


async def test_viewers_see_chores_and_change_none(api: Api) -> None:
    job = await put_off(api)
    viewer = api.as_role(Role.VIEWER)
    assert (await viewer.get(f"/chores/{job}")).status_code == 200
    assert (await viewer.delete(f"/chores/{job}")).status_code == 403
    assert (await viewer.post("/chores/retry", json={"chore": "export"})).status_code == 403
