"""Lists of runs by every filter, page by page, and what their plans read."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from scheduler.services import run_lists
from tests.support import builders
from tests.support.api import Api, serving

pytestmark = pytest.mark.anyio
FRAIL = "name: frail\ntasks: [{name: only, noop: true}]"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        await api.publish(FRAIL)
        yield api


async def listed(api: Api, **params: Any) -> dict[str, Any]:
    answer = await api.admin.get("/runs", params=params)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def found(api: Api, **params: Any) -> list[str]:
    return [run["id"] for run in (await listed(api, **params))["items"]]


async def all_pages(api: Api, **params: Any) -> tuple[list[str], int]:
    """The runs of all pages, and how many pages there were."""
    ids: list[str] = []
    cursor, count = None, 0
    while True:
        given = {**params, "cursor": cursor} if cursor else params
        page = await listed(api, **given)
        ids += [run["id"] for run in page["items"]]
        count += 1
        if (cursor := page["next"]) is None:
            return ids, count


async def with_error(api: Api, error: str, *, type: str = "frail") -> str:
    """A run that failed so."""
    run = await api.start(type)
    async with await builders.engine(api.url) as conn:
        await conn.execute(
            "update runs set state = 'FAILED', open = 0, finished_at = clock_timestamp(), "
            "error = %s where id = %s",
            [error, run["id"]],
        )
    return str(run["id"])


async def moved_to(api: Api, run: str, day: datetime, *, ended: timedelta | None = None) -> str:
    """The same run as if it had been started on that day; its new id."""
    id = UUID(int=(int(day.timestamp() * 1000) << 80) | UUID(run).int & (2**80 - 1))
    async with await builders.engine(api.url) as conn:
        await conn.execute("delete from tasks where run_id = %s", [run])
        await conn.execute(
            "update runs set id = %s, created_at = %s, state = %s, open = %s, finished_at = %s "
            "where id = %s",
            [
                id,
                day,
                "COMPLETED" if ended else "IN_PROGRESS",
                0 if ended else 2,
                day + ended if ended else None,
                run,
            ],
        )
    return str(id)


async def test_runs_are_found_by_all_the_labels_that_are_named(api: Api) -> None:
    one = await api.start(labels={"team": "reports", "line": "2"})
    other = await api.start(labels={"team": "reports", "at": "10:30"})
    await api.start()
    assert await found(api, label="team:reports") == [other["id"], one["id"]]
    assert await found(api, label=["team:reports", "line:2"]) == [one["id"]]
    assert await found(api, label="at:10:30") == [other["id"]]
    assert await found(api, label="team:press") == []


async def test_a_label_with_two_values_or_without_one_is_refused(api: Api) -> None:
    for label in (["team:a", "team:b"], ["team"], [":a"]):
        answer = await api.admin.get("/runs", params={"label": label})
        assert answer.status_code == 422, label


async def test_runs_are_found_by_when_they_were_created_and_when_they_ended(api: Api) -> None:
    day = datetime(2026, 1, 31, 8, tzinfo=UTC)
    early = await moved_to(api, (await api.start())["id"], day, ended=timedelta(hours=5))
    late = await moved_to(
        api, (await api.start())["id"], day + timedelta(hours=3), ended=timedelta(minutes=1)
    )
    living = await moved_to(api, (await api.start())["id"], day + timedelta(hours=4))
    assert await found(api, created_from="2026-01-31T08:00:00Z") == [living, late, early]
    assert await found(api, created_from="2026-01-31T08:00:00.001Z") == [living, late]
    assert await found(api, created_to="2026-01-31T11:00:00Z") == [early]
    assert await found(api, created_to="2026-01-31T12:00:00+01:00") == [early]
    assert await found(api, finished_from="2026-01-31T12:00:00Z") == [early]
    assert await found(api, finished_to="2026-01-31T12:00:00Z") == [late]
    assert await found(api, finished_from="2027-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    "moment", ["yesterday", "1769846400", "2026-01-31", "2026-01-31T08:00:00", "2026-13-01T08:00Z"]
)
async def test_a_time_without_its_zone_is_refused(api: Api, moment: str) -> None:
    for name in ("created_from", "created_to", "finished_from", "finished_to"):
        answer = await api.admin.get("/runs", params={name: moment})
        assert answer.status_code == 422, name


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_time_at_the_end_of_the_calendar_is_a_time(api: Api, moment: str) -> None:
    for name in ("created_from", "created_to", "finished_from", "finished_to"):
        await listed(api, **{name: moment})


async def test_a_text_is_looked_for_in_errors_in_whatever_case(api: Api) -> None:
    one = await with_error(api, "load: Exit code 3, 100% lost")
    other = await with_error(api, "load: EXIT CODE 4")
    await api.start()
    assert await found(api, error="exit CODE") == [other, one]
    assert await found(api, error="100% l") == [one]
    assert await found(api, error="_") == []


async def test_a_search_that_is_cut_short_goes_on_where_it_ended(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lists, "SEARCHED", 3)
    wanted = [await with_error(api, "needle"), await with_error(api, "Needle")]
    for _ in range(7):
        await with_error(api, "hay")
    wanted.append(await with_error(api, "needles"))
    ids, pages = await all_pages(api, error="needle")
    assert ids == wanted[::-1]
    assert pages > 2
    assert (await all_pages(api, error="needle", limit=1))[0] == wanted[::-1]
    assert (await all_pages(api, error="nothing"))[0] == []


@pytest.mark.parametrize("glanced", [1, 3, 1000])
async def test_runs_with_a_label_in_a_state_are_found_however_far_back_they_are(
    api: Api, monkeypatch: pytest.MonkeyPatch, glanced: int
) -> None:
    monkeypatch.setattr(run_lists, "GLANCED", glanced)
    wanted = []
    for number in range(8):
        run = await api.start(labels={"team": "reports" if number % 3 else "others"})
        if number % 2:
            await api.admin.post(f"/runs/{run['id']}/stop")
        if number % 2 and number % 3:
            wanted.append(run["id"])
    given = {"label": "team:reports", "status": "STOPPED"}
    assert await found(api, **given) == wanted[::-1]
    assert (await all_pages(api, **given, limit=1))[0] == wanted[::-1]
    assert (await all_pages(api, **given, limit=2))[0] == wanted[::-1]


async def test_filters_narrow_each_other(api: Api) -> None:
    one = await with_error(api, "broken", type="two")
    await with_error(api, "broken")
    await api.start("two")
    assert await found(api, type="two", status="FAILED", error="broken") == [one]
    assert await found(api, type="two", status=["FAILED", "STOPPED"]) == [one]
    assert await found(api, type="two", status="FAILED", label="a:b") == []


async def test_a_list_says_how_long_it_is_as_far_as_anybody_counts(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        await api.start(labels={"team": "reports"})
    await with_error(api, "broken")
    whole = await listed(api, count="true", limit=1)
    some = await listed(api, count="true", label="team:reports", limit=1)
    failed = await listed(api, count="true", error="broken")
    monkeypatch.setattr(run_lists, "MOST", 3)
    monkeypatch.setattr("scheduler.domain.counts.MOST", 3)
    capped = await listed(api, count="true", limit=1)
    assert (whole["count"], whole["count_is_capped"]) == (5, False)
    assert (some["count"], failed["count"]) == (4, 1)
    assert (capped["count"], capped["count_is_capped"]) == (3, True)
    assert (await listed(api))["count"] is None


async def test_labels_are_laid_over_taken_away_or_put_in_place_of_all(api: Api) -> None:
    run = await api.start(labels={"team": "reports", "line": "2"})
    path = f"/runs/{run['id']}"
    over = await api.admin.patch(path, json={"labels": {"line": None, "urgent": "yes"}})
    instead = await api.admin.patch(path, json={"labels": {"a": "b"}, "replace_labels": True})
    none = await api.admin.patch(path, json={"labels": {}, "replace_labels": True})
    assert over.json()["labels"] == {"team": "reports", "urgent": "yes"}
    assert instead.json()["labels"] == {"a": "b"}
    assert none.json()["labels"] == {}
    assert none.json()["priority"] == run["priority"]
    assert (await api.admin.patch(path, json={"replace_labels": True})).status_code == 422


async def test_a_change_of_a_run_is_in_its_history_and_in_the_audit_log(api: Api) -> None:
    run = await api.start(labels={"team": "reports"})
    path = f"/runs/{run['id']}"
    await api.admin.patch(path, json={"labels": {"team": "press"}, "priority": 9})
    await api.admin.patch(path, json={"labels": {"team": "press"}, "priority": 9})
    await api.admin.patch(path, json={})
    history = (await api.admin.get(f"{path}/events")).json()["items"]
    lines = (await api.admin.get("/audit", params={"entity_id": run["id"]})).json()["items"]
    assert [event["seq"] for event in history] == [1, 2]
    assert history[1]["kind"] == "run.changed"
    assert history[1]["data"] == {
        "by": "the admin",
        "labels": [{"team": "reports"}, {"team": "press"}],
        "priority": [4, 9],
    }
    assert lines[0]["operation"] == "change_run"
    assert lines[0]["before"] == {"labels": {"team": "reports"}, "priority": 4}


async def test_more_labels_than_a_run_may_have_are_refused(api: Api) -> None:
    run = await api.start(labels={f"a{n}": "x" for n in range(32)})
    path = f"/runs/{run['id']}"
    answer = await api.admin.patch(path, json={"labels": {"one": "more"}})
    assert (answer.status_code, answer.json()["field"]) == (422, "labels")
    moved = {"one": "more", "a0": None}
    assert (await api.admin.patch(path, json={"labels": moved})).status_code == 200


async def test_a_run_that_nobody_started_is_not_changed(api: Api) -> None:
    answer = await api.admin.patch(f"/runs/{UUID(int=1)}", json={"priority": 1})
    assert answer.status_code == 404
