from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from scheduler.services.access import Role
from tests.support import builders
from tests.support.api import YAML, Api, serving
from tests.support.timetables import due_since, tick_all

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
NIGHTLY = {"cron": "30 2 * * *", "zone": "Europe/Rome", "name": "nightly"}


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        yield api


async def create(api: Api, spec: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    wish = {"spec": spec or NIGHTLY, **(more or {"type": "two"})}
    answer = await api.admin.post("/schedules", json=wish)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def after_hours(api: Api, schedule: int, hours: int) -> None:
    """As if nobody had been there for so long; then a clock looks."""
    async with await builders.engine(api.url) as conn:
        await due_since(conn, schedule, hours * HOUR)
        await tick_all(conn)


async def test_a_schedule_is_made_read_listed_changed_and_deleted(api: Api) -> None:
    made = await create(api)
    path = f"/schedules/{made['id']}"
    assert made["words"] == "at 02:30 every day (Europe/Rome)"
    assert made["spec"] == NIGHTLY
    read = await api.admin.get(path)
    assert read.json() == made
    assert (await api.admin.get("/schedules", params={"type": "two"})).json()["items"] == [made]
    assert (await api.admin.get("/schedules", params={"record": "two"})).json()["items"] == []
    assert (await api.admin.get("/schedules", params={"paused": "true"})).json()["items"] == []
    changed = await api.admin.put(
        path, json={"spec": {"every": "6h"}}, headers={"If-Match": read.headers["etag"]}
    )
    assert changed.json()["spec"] == {"every": "6h"}
    assert changed.json()["version"] == 2
    assert (await api.admin.delete(path)).status_code == 204
    assert (await api.admin.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("target", "overlap", "holds"),
    [
        ({"type": "two"}, None, "allow"),
        ({"record": "it"}, None, "skip"),
        ({"record": "it"}, "allow", "skip"),
        ({"record": "it"}, "queue_one", "queue_one"),
    ],
)
async def test_the_answer_says_what_holds_for_runs_that_overlap(
    api: Api, target: dict[str, str], overlap: str | None, holds: str
) -> None:
    """A record has one living run at most, whatever its schedule allows."""
    await api.admin.post("/process-records", json={"id": "it", "type": "two"})
    made = await create(api, {"every": "1h", **({"overlap": overlap} if overlap else {})}, **target)
    assert made["overlap"] == holds
    assert (await api.admin.get(f"/schedules/{made['id']}")).json()["overlap"] == holds


async def test_an_edit_of_what_was_changed_since_is_refused(api: Api) -> None:
    made = await create(api)
    path = f"/schedules/{made['id']}"
    etag = (await api.admin.get(path)).headers["etag"]
    for status in (200, 412):
        answer = await api.admin.put(
            path, json={"spec": {"every": "6h"}}, headers={"If-Match": etag}
        )
        assert answer.status_code == status
    assert (await api.admin.get(path, headers={"If-None-Match": etag})).status_code == 200
    etag = (await api.admin.get(path)).headers["etag"]
    assert (await api.admin.get(path, headers={"If-None-Match": etag})).status_code == 304


@pytest.mark.parametrize(
    ("wish", "part"),
    [
        ({"type": "two", "spec": {"cron": "x"}}, "no cron expression"),
        ({"type": "two", "spec": {"cron": "@daily", "zone": "Mars/Base"}}, "no time zone"),
        ({"type": "two", "spec": {}}, "one of 'cron', 'every' and 'at'"),
        ({"spec": {"every": "1h"}}, "either `type` or `record`"),
        ({"type": "two", "record": "x", "spec": {"every": "1h"}}, "either `type` or `record`"),
        ({"type": "two", "spec": {"every": "1h", "evry": "1h"}}, "evry"),
        ({"type": "two", "spec": {"at": "2001-01-01"}}, "in the past"),
    ],
)
async def test_what_is_no_schedule_is_refused_with_its_field(
    api: Api, wish: dict[str, Any], part: str
) -> None:
    answer = await api.admin.post("/schedules", json=wish)
    assert answer.status_code == 422, answer.text
    assert part in answer.text


async def test_a_preview_says_in_words_and_in_both_zones_what_would_be(api: Api) -> None:
    wish = {"type": "two", "spec": NIGHTLY, "count": 3, "zone": "America/New_York"}
    found = (await api.admin.post("/schedules/preview", json=wish)).json()
    assert found["words"] == "at 02:30 every day (Europe/Rome)"
    assert len(found["items"]) == 3
    first = found["items"][0]
    assert "02:30:00 CE" in first["in_zone"] or "03:00:00 CEST" in first["in_zone"]
    assert first["for_you"].endswith(("EST", "EDT"))
    assert first["in_words"].startswith("in ")
    assert (await api.admin.get("/schedules")).json()["items"] == []
    unknown = await api.admin.post("/schedules/preview", json={**wish, "zone": "Mars"})
    assert unknown.status_code == 422


async def test_the_next_ten_are_listed(api: Api) -> None:
    made = await create(api, {"every": "1h", "jitter": "10m"})
    found = (await api.admin.get(f"/schedules/{made['id']}/next", params={"zone": "UTC"})).json()
    assert found["words"] == "every hour"
    assert len(found["items"]) == 10
    assert found["items"][0]["tick"] == made["next_tick"]
    assert found["items"][0]["starts_at"] >= found["items"][0]["tick"]


async def test_ticks_are_listed_in_pages_with_their_reasons(api: Api) -> None:
    catch_up = {"policy": "last", "window": "2h"}
    made = await create(api, {"every": "1h", "catch_up": catch_up})
    await after_hours(api, made["id"], 5)
    path = f"/schedules/{made['id']}/ticks"
    page = (await api.admin.get(path, params={"limit": 2})).json()
    rest = (await api.admin.get(path, params={"limit": 2, "cursor": page["next"]})).json()
    ticks = page["items"] + rest["items"]
    assert [tick["status"] for tick in ticks] == ["STARTED", "MISSED", "MISSED"]
    assert ticks[1]["reason"] == "a later tick took its place"
    run = (await api.admin.get(f"/runs/{ticks[0]['run']}")).json()
    assert run["triggered_by"] == "schedule two/main"
    missed = (await api.admin.get(path, params={"status": "MISSED"})).json()
    assert len(missed["items"]) == 2
    assert (await api.admin.get(path, params={"cursor": "MTI"})).status_code == 422


async def test_a_pause_has_a_note_and_an_end_in_the_zone_of_the_schedule(api: Api) -> None:
    made = await create(api)
    path = f"/schedules/{made['id']}"
    paused = await api.admin.post(
        f"{path}/pause", json={"note": "audit", "until": "2099-07-01T12:00"}
    )
    assert paused.json()["note"] == "audit"
    assert paused.json()["paused_until"] == "2099-07-01T10:00:00Z"
    assert (await api.admin.get("/schedules", params={"paused": "true"})).json()["items"]
    past = await api.admin.post(f"{path}/pause", json={"until": "2001-01-01"})
    assert (past.status_code, past.json()["field"]) == (422, "until")
    resumed = await api.admin.post(f"{path}/resume")
    assert resumed.json()["paused_at"] is None
    assert (await api.admin.post(f"{path}/resume")).status_code == 409


async def test_a_trigger_with_a_key_gives_the_same_run_again(api: Api) -> None:
    made = await create(api)
    path, key = f"/schedules/{made['id']}/trigger", {"Idempotency-Key": "now"}
    first = await api.admin.post(path, json={"input": {"n": 1}}, headers=key)
    again = await api.admin.post(path, json={"input": {"n": 1}}, headers=key)
    other = await api.admin.post(path, json={"input": {"n": 2}}, headers=key)
    assert first.status_code == 201, first.text
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert other.status_code == 409
    [tick] = (await api.admin.get(f"/schedules/{made['id']}/ticks")).json()["items"]
    assert (tick["kind"], tick["run"]) == ("trigger", first.json()["id"])


async def test_a_backfill_is_previewed_started_followed_and_ended(api: Api) -> None:
    made = await create(api, {"every": "1h"})
    path = f"/schedules/{made['id']}"
    wish = {"from": "2026-01-01T00:00:00Z", "until": "2026-01-01T10:00:00Z"}
    preview = (await api.admin.post(f"{path}/backfill/preview", json=wish)).json()
    assert (preview["ticks"], preview["to_run"]) == (10, 10)
    started = await api.admin.post(f"{path}/backfill", json={**wish, "per_minute": 6})
    assert started.status_code == 201, started.text
    one = started.json()
    assert (await api.admin.get(f"{path}/backfills")).json()["items"] == [one]
    assert (await api.admin.get(f"{path}/backfills/{one['id']}")).json()["from"] == wish["from"]
    ended = await api.admin.post(f"{path}/backfills/{one['id']}/cancel")
    assert ended.json()["ended_by"] == "the admin"
    assert (await api.admin.post(f"{path}/backfills/{one['id']}/cancel")).status_code == 409


async def test_all_schedules_are_stopped_and_resumed_once(api: Api) -> None:
    stopped = await api.admin.post("/schedules/stop-all", json={"note": "moving"})
    assert stopped.json()["stopped_by"] == "the admin"
    assert (await api.admin.post("/schedules/stop-all")).status_code == 409
    assert (await api.admin.get("/schedules/stopped")).json()["note"] == "moving"
    assert (await api.admin.post("/schedules/resume-all")).json()["stopped"] is False
    assert (await api.admin.post("/schedules/resume-all")).status_code == 409


async def test_operators_run_schedules_and_authors_write_them(api: Api) -> None:
    made = await create(api)
    path = f"/schedules/{made['id']}"
    viewer, operator = api.as_role(Role.VIEWER), api.as_role(Role.OPERATOR)
    author = api.as_role(Role.AUTHOR)
    assert (await viewer.get(path)).status_code == 200
    assert (await viewer.post(f"{path}/pause")).status_code == 403
    assert (await operator.post(f"{path}/pause")).status_code == 200
    assert (await operator.put(path, json={"spec": NIGHTLY})).status_code == 403
    assert (await author.put(path, json={"spec": NIGHTLY})).status_code == 200


async def test_who_changed_a_schedule_is_in_the_audit_log_and_the_clock_is_not(api: Api) -> None:
    made = await create(api, {"every": "1h"})
    await api.admin.post(f"/schedules/{made['id']}/pause", json={"note": "audit"})
    await api.admin.post(f"/schedules/{made['id']}/resume")
    await after_hours(api, made["id"], 2)
    lines = (await api.admin.get("/audit", params={"entity": "schedules"})).json()["items"]
    assert [line["operation"] for line in lines] == [
        "resume_schedule",
        "pause_schedule",
        "create_schedule",
    ]


async def test_a_schedule_kept_with_a_record_by_an_earlier_path_starts_it(api: Api) -> None:
    wish = {"id": "nightly", "type": "two", "inputData": "", "schedule": "0 2 * * *"}
    path = "http://server/process-records"
    assert (await api.admin.post(path, json={**wish, "schedule": "x"})).status_code == 422
    assert (await api.admin.post(path, json=wish)).status_code == 200
    [kept] = (await api.admin.get("/schedules", params={"record": "nightly"})).json()["items"]
    assert (kept["name"], kept["origin"]) == ("kept", "record")
    await after_hours(api, kept["id"], 24)
    [tick] = (await api.admin.get(f"/schedules/{kept['id']}/ticks")).json()["items"]
    assert tick["status"] == "STARTED"
    for schedule, expected in (("0 3 * * *", 1), ("", 0)):
        edited = await api.admin.put(f"{path}/nightly", json={"schedule": schedule})
        assert edited.status_code == 200, edited.text
        found = (await api.admin.get("/schedules", params={"record": "nightly"})).json()["items"]
        assert [each["spec"]["cron"] for each in found] == [schedule] * expected


PLANNED = """
name: planned
input: {type: object, properties: {day: {type: string}}, required: [day]}
tasks: [{name: it, noop: true}]
schedules:
  - {cron: "30 2 * * *", zone: Europe/Rome, input: {day: "${{ tick.date }}"}, overlap: skip}
  - {name: hourly, every: 1h, input: {day: now}}
"""


async def declared(api: Api) -> dict[str, Any]:
    found = (await api.admin.get("/schedules", params={"type": "planned"})).json()["items"]
    return {each["name"]: each for each in found}


async def test_a_definition_brings_its_schedules_along(api: Api) -> None:
    await api.publish(PLANNED)
    first = await declared(api)
    assert {name: each["origin"] for name, each in first.items()} == {
        "main": "definition",
        "hourly": "definition",
    }
    await api.publish(PLANNED.replace("  - {name: hourly, every: 1h, input: {day: now}}\n", ""))
    assert {name: each["id"] for name, each in (await declared(api)).items()} == {
        "main": first["main"]["id"]
    }
    without_day = PLANNED.replace("input: {day: now}", "input: {}")
    refused = await api.admin.post("/process-types", content=without_day, headers=YAML)
    assert refused.status_code == 422
    assert list(await declared(api)) == ["main"]


async def test_a_fault_of_a_schedule_in_a_definition_is_told_with_its_place(api: Api) -> None:
    wrong = PLANNED.replace("Europe/Rome", "Europe/Roma")
    answer = await api.admin.post("/process-types/validate", content=wrong, headers=YAML)
    [fault] = answer.json()["faults"]
    assert (fault["line"], fault["column"]) == (6, 32)
    assert fault["message"].startswith("schedules[0].zone: there is no time zone 'Europe/Roma'")
