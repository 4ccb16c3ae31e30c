"""One thing done with many runs: with exactly those that were chosen, and with none by accident."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from scheduler.chores.catalog import KINDS
from scheduler.services import runs_in_bulk as bulk
from scheduler.services.access import Role
from scheduler.services.catalog import Catalog
from scheduler.store import connections
from scheduler.store import run_selections as selections
from tests.support.api import Api, becomes, serving
from tests.support.chores import a_plane, carrying

pytestmark = pytest.mark.anyio

OTHER = "name: other\ntasks: [{name: only, noop: true}]"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        await api.publish(OTHER)
        yield api


async def post(api: Api, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
    answer = await api.admin.post(f"/runs{path}", json=body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def select(api: Api, **wish: Any) -> dict[str, Any]:
    return await post(api, "/selections", wish, 201)


async def state(api: Api, run: str) -> str:
    return str((await api.admin.get(f"/runs/{run}")).json()["status"])


async def through(api: Api, selection: str) -> dict[str, Any]:
    """Until a chore has gone through all of it."""

    async def is_over() -> bool:
        return (await api.admin.get(f"/runs/selections/{selection}")).json()["ended_at"] is not None

    async with carrying(a_plane(api.url, KINDS)):
        await becomes(is_over)
    found: dict[str, Any] = (await api.admin.get(f"/runs/selections/{selection}")).json()
    return found


async def test_a_selection_holds_what_matched_then_and_nothing_that_came_later(api: Api) -> None:
    early = [(await api.start())["id"] for _ in range(3)]
    other = (await api.start("other"))["id"]
    chosen = await select(api, type="two")
    late = (await api.start())["id"]
    assert (chosen["count"], chosen["is_capped"]) == (3, False)
    begun = await post(api, f"/selections/{chosen['id']}/hold", {"expected_count": 3})
    assert (begun["action"], begun["begun_by"]) == ("hold", "the admin")
    done = await through(api, chosen["id"])
    assert done["progress"] == {"pending": 0, "done": 3, "skipped": 0, "refused": 0, "left": 0}
    assert [await state(api, each) for each in early] == ["HELD"] * 3
    assert [await state(api, each) for each in (other, late)] == ["IN_PROGRESS"] * 2


async def test_nothing_is_ever_taken_for_everything(api: Api) -> None:
    await api.start()
    wishes: tuple[dict[str, Any], ...] = (
        {}, {"type": None}, {"all": False}, {"ids": []}, {"all": True, "type": "two"},
    )  # fmt: skip
    for wish in wishes:
        await post(api, "/selections", wish, 422)
    assert (await select(api, type="none"))["count"] == 0
    assert (await select(api, all=True))["count"] == 1


async def test_a_run_that_is_not_there_cannot_be_chosen(api: Api) -> None:
    run = (await api.start())["id"]
    await post(api, "/selections", {"ids": [run, str(uuid4())]}, 404)
    assert (await select(api, ids=[run, run]))["count"] == 1


async def test_runs_are_chosen_by_every_filter_of_their_list(api: Api) -> None:
    run = await api.start("other", labels={"line": "2"})
    await api.start(labels={"line": "3"})
    made = run["created_at"]
    for wish, count in (
        ({"labels": {"line": "2"}}, 1),
        ({"status": ["IN_PROGRESS"]}, 2),
        ({"status": ["HELD"]}, 0),
        ({"triggered_by": "ADMIN"}, 2),
        ({"triggered_by": "schedule"}, 0),
        ({"longer_than": 3600}, 0),
        ({"shorter_than": 3600}, 2),
        ({"error": "x"}, 0),
        ({"created_to": made}, 0),
        ({"created_from": made}, 2),
    ):
        assert (await select(api, **wish))["count"] == count, wish


async def test_the_list_of_runs_knows_who_started_them_and_how_long_they_took(api: Api) -> None:
    await api.start()
    for query, count in (
        ({"triggered_by": "the admin"}, 1), ({"triggered_by": "nobody"}, 0),
        ({"longer_than": "60"}, 0), ({"shorter_than": "60", "count": "true"}, 1),
    ):  # fmt: skip
        answer = await api.admin.get("/runs", params=query)
        assert len(answer.json()["items"]) == count, query


async def test_another_number_than_it_holds_does_nothing(api: Api) -> None:
    run = (await api.start())["id"]
    chosen = await select(api, type="two")
    await post(api, f"/selections/{chosen['id']}/stop", {"expected_count": 2}, 409)
    await post(api, f"/selections/{chosen['id']}/stop", {}, 422)
    assert await state(api, run) == "IN_PROGRESS"


async def test_what_cannot_be_is_told_and_keeps_no_other_from_it(api: Api) -> None:
    held, running = (await api.start())["id"], (await api.start())["id"]
    await post(api, f"/{held}/hold")
    chosen = await select(api, ids=[held, running])
    await post(api, f"/selections/{chosen['id']}/retry", {"expected_count": 2})
    done = await through(api, chosen["id"])
    assert done["progress"]["refused"] == 2
    assert "retry" in done["troubles"][0]["detail"]
    again = await select(api, ids=[held, running])
    await post(api, f"/selections/{again['id']}/stop", {"expected_count": 2, "why": "enough"})
    assert (await through(api, again["id"]))["progress"]["done"] == 2
    run = (await api.admin.get(f"/runs/{running}")).json()
    assert (run["status"], run["error"]) == ("STOPPED", "enough")


async def test_what_was_begun_is_not_changed_on_the_way_and_may_be_ended(api: Api) -> None:
    runs = [(await api.start())["id"] for _ in range(3)]
    chosen = await select(api, type="two")
    path = f"/selections/{chosen['id']}"
    await post(api, f"{path}/end", status=409)
    await post(api, f"{path}/hold", {"expected_count": 3})
    await post(api, f"{path}/hold", {"expected_count": 3})
    await post(api, f"{path}/stop", {"expected_count": 3}, 409)
    async with await connections.connect(api.url, name="test") as conn:
        wish = bulk.Wish(action="hold")
        assert await bulk.advance(conn, Catalog(), chosen["id"], wish, by="test")
    ended = await post(api, f"{path}/end")
    assert (ended["progress"]["done"], ended["progress"]["left"]) == (1, 2)
    assert (await through(api, chosen["id"]))["progress"] == ended["progress"]
    assert sorted([await state(api, each) for each in runs]) == ["HELD"] + ["IN_PROGRESS"] * 2


async def test_two_who_go_through_a_selection_do_nothing_twice(api: Api) -> None:
    for _ in range(2):
        await api.start()
    chosen = await select(api, all=True)
    async with (
        await connections.connect(api.url, name="one") as one,
        await connections.connect(api.url, name="other") as other,
    ):
        async with one.transaction(), other.transaction():
            first = await selections.take(one, chosen["id"])
            second = await selections.take(other, chosen["id"])
            assert {first, second} == {first, second} - {None}
            assert first != second
            assert await selections.take(one, chosen["id"]) == first
        assert await selections.take(one, chosen["id"]) is not None


async def test_of_more_than_a_selection_holds_it_takes_the_newest(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [(await api.start())["id"] for _ in range(3)]
    monkeypatch.setattr(bulk, "MOST", 2)
    monkeypatch.setattr(bulk, "PAGE", 1)
    chosen = await select(api, type="two")
    assert (chosen["count"], chosen["is_capped"]) == (2, True)
    page = await api.admin.get(f"/runs/selections/{chosen['id']}/runs", params={"limit": 1})
    assert [each["id"] for each in page.json()["items"]] == [runs[2]]
    cursor = {"cursor": page.json()["next"]}
    rest = await api.admin.get(f"/runs/selections/{chosen['id']}/runs", params=cursor)
    assert [each["id"] for each in rest.json()["items"]] == [runs[1]]


async def test_a_selection_that_is_over_is_gone_and_cleared_away(api: Api) -> None:
    await api.start()
    chosen = await select(api, type="two")
    async with await connections.connect(api.url, name="test") as conn:
        await conn.execute("update run_selections set expires_at = clock_timestamp()")
        await post(api, f"/selections/{chosen['id']}/stop", {"expected_count": 1}, 404)
        await select(api, type="two")
        rows = await conn.execute("select count(*) from run_selections")
        assert await rows.fetchone() == (1,)


async def test_who_may_only_look_chooses_nothing(api: Api) -> None:
    viewer = api.as_role(Role.VIEWER)
    assert (await viewer.post("/runs/selections", json={"all": True})).status_code == 403
    chosen = await select(api, all=True)
    assert (await viewer.get(f"/runs/selections/{chosen['id']}")).status_code == 200
    path = f"/runs/selections/{chosen['id']}/stop"
    assert (await viewer.post(path, json={"expected_count": 0})).status_code == 403
