"""Schedules on the dashboard: seen, made, changed, paused, started, run after all, stopped."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.services.access import Role
from tests.support.api import Api, serving
from tests.support.browser import Browser, Page, signed_in
from tests.support.following import following
from tests.support.statements import counted

pytestmark = pytest.mark.anyio

REPORT = """
name: report
input: {type: object, properties: {day: {type: string}}}
tasks: [{name: collect, noop: true}]
"""
NEW = "/ui/schedules/new"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish(REPORT)
        yield api


@pytest.fixture
async def someone(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api, Role.AUTHOR) as browser:
        yield browser


async def made(api: Api, **spec: Any) -> int:
    wish = {"type": "report", "spec": {"cron": "30 2 * * mon-fri", "zone": "Europe/Rome", **spec}}
    answer = await api.admin.post("/schedules", json=wish)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def get(api: Api, schedule: int) -> Any:
    return (await api.admin.get(f"/schedules/{schedule}")).json()


async def test_a_draft_shows_its_next_times_before_anything_is_stored(
    api: Api, someone: Browser
) -> None:
    form = (await someone.open(f"{NEW}?type=report")).form("/new")
    wish = {"type": "report", "kind": "cron", "cron": "30 2 * * mon-fri", "zone": "Europe/Rome"}
    page = Page(await someone.post(NEW, {**dict(form.fields), **wish, "do": "check"}))
    assert "at 02:30 on Monday to Friday (Europe/Rome)" in page.text
    assert page.answer.text.count("<time") >= 10
    assert dict(page.forms[-1].fields)["cron"] == "30 2 * * mon-fri"
    assert (await api.admin.get("/schedules")).json()["items"] == []
    page = await following(someone, page.forms[-1], type="report", kind="cron", do="save")
    assert "The schedule is made" in page.text
    [found] = (await api.admin.get("/schedules")).json()["items"]
    assert found["spec"] == {"cron": "30 2 * * mon-fri", "zone": "Europe/Rome"}
    assert found["created_by"] == "the author"


WRONG: list[tuple[dict[str, str], str, str]] = [
    ({"cron": "61 * * * *"}, "cron", "61"),
    ({"cron": ""}, "", "is needed"),
    ({"zone": "Europe/Rom"}, "zone", "Europe/Rome"),
    ({"kind": "every", "every": "soon"}, "every", "soon"),
    ({"input": "[1"}, "input", "not JSON"),
    ({"input": '{"day": 7}'}, "", "day"),
    ({"blackouts": "- {days: [someday]}"}, "blackouts", "someday"),
    ({"window": "never", "catch_up": "all"}, "catch_up", "never"),
    ({"per_minute": "x"}, "per_minute", "is no number"),
    ({"type": ""}, "type", "which type or which record"),
    ({"type": "unknown"}, "", "unknown"),
]


async def test_what_is_wrong_is_said_at_its_field_and_all_that_was_written_is_kept(
    api: Api, someone: Browser
) -> None:
    form = (await someone.open(NEW)).form("/new")
    for wrong, field, said in WRONG:
        wish = {"type": "report", "kind": "cron", "cron": "0 4 * * *", "name": "kept", **wrong}
        answer = await someone.post(NEW, {**dict(form.fields), **wish, "do": "save"})
        page = Page(answer)
        assert answer.status_code in (404, 422), answer.text
        assert said in page.text, wrong
        assert dict(page.form("/new").fields)["name"] == "kept"
        if field:
            assert f'id="fault-{field}"' in answer.text, wrong
    assert (await api.admin.get("/schedules")).json()["items"] == []


async def test_two_who_edit_at_once_see_each_others_and_nothing_is_lost(
    api: Api, someone: Browser
) -> None:
    schedule = await made(api)
    path = f"/ui/schedules/{schedule}/edit"
    form = (await someone.open(path)).forms[-1]
    theirs = {"spec": {"cron": "0 5 * * *"}}
    assert (await api.admin.put(f"/schedules/{schedule}", json=theirs)).status_code == 200
    mine = {**dict(form.fields), "kind": "cron", "cron": "0 6 * * *", "do": "save"}
    answer = await someone.post(path, mine)
    page = Page(answer)
    assert answer.status_code == 409
    assert "0 5 * * *" in page.text
    assert dict(page.forms[-1].fields)["cron"] == "0 6 * * *"
    assert (await get(api, schedule))["spec"]["cron"] == "0 5 * * *"
    again = {**dict(page.forms[-1].fields), "kind": "cron", "do": "save"}
    assert (await someone.post(path, again)).status_code == 303
    assert (await get(api, schedule))["spec"]["cron"] == "0 6 * * *"


async def test_a_schedule_that_is_saved_unchanged_says_what_it_said(
    api: Api, someone: Browser
) -> None:
    spec = {
        "blackouts": [{"dates": ["12-25"], "why": "closed"}],
        "catch_up": {"policy": "all", "window": "6h", "per_minute": 10},
        "overlap": "queue_one",
        "input": {"day": "${{ tick.date }}"},
        "priority": 7,
        "description": "what it is for",
    }
    schedule = await made(api, **spec)
    before = (await get(api, schedule))["spec"]
    path = f"/ui/schedules/{schedule}/edit"
    page = await someone.open(path)
    texts = {"input": json.dumps(before["input"]), "blackouts": json.dumps(before["blackouts"])}
    picked = {"kind": "cron", "overlap": "queue_one", "catch_up": "all", **texts, "do": "save"}
    answer = await someone.post(path, {**dict(page.forms[-1].fields), **picked})
    assert answer.status_code == 303, answer.text
    assert (await get(api, schedule))["spec"] == before


async def test_a_schedule_is_paused_with_a_note_and_goes_on(api: Api, someone: Browser) -> None:
    schedule = await made(api)
    here = f"/ui/schedules/{schedule}"
    form = (await someone.open(here)).form("/pause")
    answer = await someone.send(form, until="2020-01-01T00:00", note="holidays")
    assert answer.status_code == 422
    assert "holidays" in answer.text
    page = await following(someone, form, note="holidays", until="2199-01-01T00:00")
    assert "Paused since" in page.text
    assert "holidays" in page.text
    found = await get(api, schedule)
    assert (found["note"], found["paused_until"]) == ("holidays", "2198-12-31T23:00:00Z")
    await following(someone, page.form("/resume"))
    assert (await get(api, schedule))["paused_at"] is None


async def test_a_run_is_started_now_once_however_often_the_form_is_sent(
    api: Api, someone: Browser
) -> None:
    schedule = await made(api)
    form = (await someone.open(f"/ui/schedules/{schedule}")).form("/trigger")
    first = await someone.send(form, input='{"day": "monday"}')
    again = await someone.send(form, input='{"day": "monday"}')
    assert first.headers["location"] == again.headers["location"]
    [run] = (await api.admin.get("/runs")).json()["items"]
    assert run["input"]["day"] == "monday"
    page = await someone.open(f"/ui/schedules/{schedule}/ticks")
    assert "by hand" in page.text


async def test_times_are_told_in_both_zones_and_clocks_that_change_are_marked(
    api: Api, someone: Browser
) -> None:
    schedule = await made(api, cron="0 12 1 * *")
    someone.client.cookies.set("zone", "Asia:Tokyo")
    page = await someone.open(f"/ui/schedules/{schedule}")
    assert "For you, Asia/Tokyo" in page.text
    assert "JST" in page.text
    assert page.text.count("clocks go") in (1, 2)
    assert "it starts even if the run before still goes on" in page.text.lower()
    assert "the last one is caught up" in page.text


async def test_a_range_is_run_after_all_only_when_its_count_was_seen(
    api: Api, someone: Browser
) -> None:
    schedule = await made(api, cron="0 * * * *", zone="UTC")
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    wish = {"from": f"{end - timedelta(hours=5):%Y-%m-%dT%H:%M}", "until": f"{end:%Y-%m-%dT%H:%M}"}
    path = f"/ui/schedules/{schedule}/backfills"
    page = await someone.open(f"{path}?from={wish['from']}&until={wish['until']}&per_minute=120")
    assert "5 runs of 5 times" in page.text
    assert (await api.admin.get(f"/schedules/{schedule}/backfills")).json()["items"] == []
    form = next(each for each in page.forms if each.action == path and "_form" in dict(each.fields))
    page = await following(someone, form)
    assert "The backfill has begun" in page.text
    [row] = (await api.admin.get(f"/schedules/{schedule}/backfills")).json()["items"]
    assert (row["per_minute"], row["at_once"]) == (120, 1)
    page = await following(someone, page.form("/cancel"))
    assert "ended early" in page.text
    await someone.open(f"{path}?from=nonsense&until={wish['until']}", 422)
    await someone.open(f"{path}?from={wish['until']}&until={wish['from']}", 422)


async def test_all_are_stopped_with_a_note_that_each_page_shows(api: Api, someone: Browser) -> None:
    schedule = await made(api)
    form = (await someone.open("/ui/schedules")).form("/stop-all")
    page = await following(someone, form, note="the press is being serviced")
    assert "the press is being serviced" in page.text
    assert "All schedules are stopped" in (await someone.open(f"/ui/schedules/{schedule}")).text
    await following(someone, page.form("/resume-all"))
    assert not (await api.admin.get("/schedules/stopped")).json()["stopped"]


async def test_a_schedule_is_deleted_only_after_a_page_that_names_it(
    api: Api, someone: Browser
) -> None:
    schedule = await made(api)
    page = await someone.open(f"/ui/schedules/{schedule}/delete")
    assert "Delete this schedule?" in page.text
    page = await following(someone, page.form("/delete"))
    assert "Nothing is started by the clock yet" in page.text
    await someone.open(f"/ui/schedules/{schedule}", 404)


async def ticks(dsn: str, schedule: int) -> None:
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute(
            "insert into ticks (schedule_id, tick, kind, state, reason, due_at)"
            " select %s, now() - n * interval '1 hour', 'time',"
            " (array['MISSED', 'SKIPPED', 'MERGED'])[1 + n %% 3]::tick_state,"
            " 'reason ' || n, now() - n * interval '1 hour' from generate_series(1, 120) n",
            [schedule],
        )


async def test_ticks_are_rows_with_their_reasons_by_pages_and_as_a_file(
    api: Api, dsn: str, someone: Browser
) -> None:
    schedule = await made(api)
    await ticks(dsn, schedule)
    path = f"/ui/schedules/{schedule}/ticks"
    page = await someone.open(path)
    assert {"missed", "skipped", "merged"} <= set(page.text.split())
    seen, href = 0, path
    while href:
        page = await someone.open(href)
        seen += page.answer.text.count("reason ")
        href = next((each for each in page.links if "cursor=" in each), "")
        seen -= sum("reason" in each for each in page.links)
    assert seen == 120
    only = await someone.open(f"{path}?status=MISSED")
    assert "skipped" not in only.answer.text.split("<tbody>")[1]
    told = await someone.client.get(f"{path}?status=MISSED&format=json")
    assert [each["state"] for each in told.json()] == ["MISSED"] * 40
    lines = (await someone.client.get(f"{path}?format=csv")).text.splitlines()
    assert len(lines) == 121


async def test_pages_of_schedules_pass_over_none_and_repeat_none(
    api: Api, dsn: str, someone: Browser
) -> None:
    ids = {await made(api, name=f"s{n}", cron=f"{n % 60} {n % 24} * * *") for n in range(60)}
    for schedule in sorted(ids)[:3]:
        assert (await api.admin.post(f"/schedules/{schedule}/pause")).status_code == 200
    seen: list[int] = []
    href = "/ui/schedules"
    while href:
        page = await someone.open(href)
        body = page.answer.text.split("<tbody>")[1]
        seen += [
            int(part.split('"')[0])
            for part in body.split('href="/ui/schedules/')[1:]
            if part.split('"')[0].isdecimal()
        ]
        href = next((each for each in page.links if "cursor=" in each), "")
    assert sorted(seen) == sorted(ids)
    assert seen[-3:] == sorted(ids)[:3]  # those that come to nothing by themselves stand last
    told = (await someone.client.get("/ui/schedules?format=json")).json()
    assert [each["id"] for each in told] == seen
    paused = (await someone.client.get("/ui/schedules?paused=true&format=json")).json()
    assert {each["id"] for each in paused} == set(sorted(ids)[:3])
    await someone.open("/ui/schedules?cursor=nonsense", 422)


async def test_a_week_shows_what_was_and_what_is_to_come(
    api: Api, dsn: str, someone: Browser
) -> None:
    schedule = await made(api, cron="0 9 * * *", zone="UTC")
    often = await made(api, name="often", every="5m", cron=None)
    await ticks(dsn, schedule)
    for path in ("/ui/schedules/calendar", f"/ui/schedules/{schedule}/calendar"):
        page = await someone.open(path)
        assert "<svg" in page.answer.text
        ahead = await someone.open(f"{path}?week=2030-01-08")
        assert "Week from Monday 07 January 2030" in ahead.text
        assert ahead.answer.text.count("to come</title>") == 7
        await someone.open(f"{path}?week=never", 422)
        await someone.open(f"{path}?week=9999-12-31", 422)
    page = await someone.open("/ui/schedules/calendar")
    assert f"/ui/schedules/{often}" in page.links
    assert "Too often to be drawn" in page.text


async def test_whoever_only_looks_is_told_why_buttons_are_grey(api: Api) -> None:
    schedule = await made(api)
    async with signed_in(api, Role.VIEWER) as viewer:
        page = await viewer.open(f"/ui/schedules/{schedule}")
        assert "This takes an operator" in page.text
        assert not [each for each in page.forms if "/schedules/" in each.action]
        await viewer.open(NEW, 403)
        await viewer.open(f"/ui/schedules/{schedule}/edit", 403)
        form = {"_form": await viewer.form_token()}
        answer = await viewer.post(f"/ui/schedules/{schedule}/pause", form)
        assert answer.status_code == 403
    assert (await get(api, schedule))["paused_at"] is None


@pytest.mark.parametrize("many", [1, 30])
async def test_pages_of_schedules_ask_the_database_no_more_for_more(
    api: Api, dsn: str, someone: Browser, many: int
) -> None:
    ids = [await made(api, name=f"s{n}") for n in range(many)]
    await ticks(dsn, ids[0])
    here = f"/ui/schedules/{ids[0]}"
    paths = ["/ui/schedules", "/ui/schedules/calendar", here, f"{here}/ticks", f"{here}/calendar"]
    for path in [*paths, f"{here}/backfills", f"{here}/edit", NEW]:
        with counted() as sent:
            await someone.open(path)
        assert 0 < len(sent) <= 9, (path, sent)
