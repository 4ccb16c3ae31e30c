"""Types and records on the dashboard: how they do, what is published, saved, changed, deleted."""

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from scheduler.services.access import Role
from tests.integration.test_ui_screens import counted, failed, following
from tests.support.api import Api, serving
from tests.support.browser import Browser, Page, signed_in
from tests.support.builders import SUCCESS, a_holder, carry_out, engine

pytestmark = pytest.mark.anyio

ONE = """
name: report
description: Collects and sends
labels: {owner: anna, team: books}
input:
  type: object
  required: [day]
  properties: {day: {type: string}, copies: {type: integer, default: 2}}
tasks:
  - {name: fetch, noop: true}
  - {name: send, needs: [fetch], noop: true}
"""
TWO = ONE.replace("- {name: send", "- {name: check, needs: [fetch], noop: true}\n  - {name: send")
HOSTILE = "<b>x</b>" + "long" * 490


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


@pytest.fixture
async def someone(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api, Role.AUTHOR) as browser:
        yield browser


async def saved(api: Api, id: str, **more: Any) -> None:
    body = {"id": id, "type": "report", "input": {"day": "monday"}, **more}
    answer = await api.admin.post("/process-records", json=body)
    assert answer.status_code == 201, answer.text


async def completed(dsn: str) -> None:
    async with await engine(dsn) as conn:
        await carry_out(conn, await a_holder(conn), SUCCESS)


async def latest(api: Api, type: str) -> int:
    return int((await api.admin.get(f"/process-types/{type}")).json()["latest"])


async def test_types_are_found_by_a_part_of_their_name_and_by_a_label(
    api: Api, someone: Browser
) -> None:
    await api.publish(ONE)
    await api.publish("name: other\ntasks: [{name: t, noop: true}]")
    page = await someone.open("/ui/processes")
    assert "2 types" in page.text
    assert "/ui/processes/report/start" in page.links
    for query in ("q=epor", "label=owner:anna", "label=team:books&q=collects"):
        page = await someone.open(f"/ui/processes?{query}")
        assert "/ui/processes/report" in page.links
        assert "/ui/processes/other" not in page.links
    assert "No type fits" in (await someone.open("/ui/processes?label=owner:bert")).text
    await someone.open("/ui/processes?label=nothing", 422)


async def test_pages_of_types_and_of_records_pass_over_none(api: Api, someone: Browser) -> None:
    names = [f"type-{number:02}" for number in range(52)]
    await api.publish("---\n".join(f"name: {n}\ntasks: [{{name: t, noop: true}}]\n" for n in names))
    for name in names:
        answer = await api.admin.post("/process-records", json={"id": f"r {name}", "type": name})
        assert answer.status_code == 201
    for kind, known in (("processes", names), ("records", [f"r {each}" for each in names])):
        page, seen = await someone.open(f"/ui/{kind}"), set[str]()
        while True:
            seen |= {each for each in known if f"/ui/{kind}/{quote(each)}" in page.links}
            more = [each for each in page.links if "cursor=" in each]
            if not more:
                break
            page = await someone.open(more[-1])
        assert seen == set(known)


async def test_a_list_is_exported_as_it_is_filtered(api: Api, someone: Browser) -> None:
    await api.publish(ONE)
    await saved(api, "=cmd|'calc'", description="night")
    await saved(api, "day")
    told = await someone.client.get("/ui/records?q=night&format=csv")
    [row] = csv.DictReader(io.StringIO(told.text))
    assert row["id"] == "'=cmd|'calc'"  # which no spreadsheet takes for a formula
    assert json.loads(row["input"]) == {"day": "monday"}
    told = await someone.client.get("/ui/processes?format=json")
    assert [each["labels"] for each in told.json()] == [{"owner": "anna", "team": "books"}]


async def test_a_type_says_how_it_does_and_what_is_next(
    api: Api, dsn: str, someone: Browser
) -> None:
    await api.publish(ONE + "schedules: [{name: nightly, cron: '30 2 * * *', input: {day: x}}]")
    for _ in range(2):
        await api.start("report", input={"day": "x"})
        await completed(dsn)
        await completed(dsn)
    await api.start("report", input={"day": "x"})
    page = await someone.open("/ui/processes/report")
    assert "at 02:30 every day" in page.text
    assert "100%" in page.text
    assert "of the last 2 runs" in page.text
    assert "Going on 1" in page.text
    assert "owner: anna" in page.text
    for tab, said in (
        ("grid", "3 runs, the newest on the right"), ("runs", "completed"),
        ("schedules", "nightly"), ("definition", "newest"), ("inputs", '"day": "x"'),
    ):  # fmt: skip
        assert said in (await someone.open(f"/ui/processes/report/{tab}")).text, tab


async def test_the_grid_names_each_task_of_each_run_with_its_state(
    api: Api, dsn: str, someone: Browser
) -> None:
    run = await failed(api, dsn)
    page = await someone.open("/ui/processes/fails/grid")
    cells = {
        told["href"]: told["title"]
        for tag, told in page.tags
        if tag == "a" and told.get("href", "").startswith(f"/ui/runs/{run}/tasks/")
    }
    assert cells[f"/ui/runs/{run}/tasks/0"].startswith("breaks: failed")
    assert cells[f"/ui/runs/{run}/tasks/1"].startswith("rest: stopped")
    assert (
        "There are no older runs"
        in (await someone.open(f"/ui/processes/fails/grid?cursor={run}")).text
    )


async def test_a_definition_is_checked_and_each_fault_is_placed(api: Api, someone: Browser) -> None:
    page = await someone.open("/ui/publish")
    text = "name: new\ntasks:\n  - {name: a, noop: true}\nwrong: 1\n"
    answer = await someone.send(page.form("/publish"), text=text, action="check")
    found = Page(answer)
    assert answer.status_code == 422
    assert "Line 4, column 1" in found.text
    assert "no key 'wrong'" in found.text
    assert text in answer.text  # what was written is there again
    fine = text.replace("wrong: 1\n", "")
    answer = await someone.send(page.form("/publish"), text=fine, action="check")
    assert "new would be a new type" in Page(answer).text
    assert (await api.admin.get("/process-types/new")).status_code == 404
    page = await following(someone, page.form("/publish"), text=fine, action="publish")
    assert "Published" in page.text
    assert await latest(api, "new") == 1


async def test_whoever_was_overtaken_sees_what_the_other_changed_before_publishing(
    api: Api, someone: Browser
) -> None:
    await api.publish(ONE)
    form = (await someone.open("/ui/publish?type=report")).form("/publish")
    await api.publish(TWO)
    mine = ONE.replace("Collects", "Gathers")
    answer = await someone.send(form, text=mine, action="publish")
    page = Page(answer)
    assert answer.status_code == 409
    assert "report was published meanwhile: version 2" in page.text
    assert "tasks[check] is new" in page.text
    assert mine in answer.text
    assert await latest(api, "report") == 2
    await following(someone, page.form("/publish"), text=mine, action="publish")
    assert await latest(api, "report") == 3


async def test_a_new_type_does_not_take_the_place_of_one_that_is_there(
    api: Api, someone: Browser
) -> None:
    await api.publish(ONE)
    form = (await someone.open("/ui/publish")).form("/publish")
    answer = await someone.send(form, text=TWO, action="publish")
    assert answer.status_code == 409
    assert "There is a type of this name already" in Page(answer).text
    assert await latest(api, "report") == 1


async def test_two_versions_stand_side_by_side(api: Api, someone: Browser) -> None:
    await api.publish(ONE)
    await api.publish(TWO)
    page = await someone.open("/ui/processes/report/diff?from=1&to=2")
    assert "tasks[check] is new" in page.text
    assert "added: - name: check" in page.text
    other = await someone.open("/ui/processes/report/diff?from=2&to=1")
    assert "removed: - name: check" in other.text
    await someone.open("/ui/processes/report/diff?from=7&to=1", 404)


async def test_an_old_version_is_published_again_and_runs_stay_on_theirs(
    api: Api, someone: Browser
) -> None:
    await api.publish(ONE)
    await api.publish(TWO)
    run = await api.start("report", input={"day": "x"})
    page = await someone.open("/ui/processes/report/definition")
    assert "1 run that goes on" in page.text
    page = await following(someone, page.form("/publish-again"))
    assert "Published" in page.text
    found = (await api.admin.get("/process-types/report")).json()
    assert (found["version"], len(found["definition"]["tasks"])) == (3, 2)
    assert (await api.admin.get(f"/runs/{run['id']}")).json()["version"] == 2


async def test_an_old_version_is_not_put_over_one_that_nobody_has_seen(
    api: Api, someone: Browser
) -> None:
    await api.publish(ONE)
    await api.publish(TWO)
    form = (await someone.open("/ui/processes/report/definition")).form("/publish-again")
    await api.publish(TWO.replace("Collects", "Gathers"))
    answer = await someone.send(form)
    assert answer.status_code == 409
    assert await latest(api, "report") == 3


async def test_a_retired_type_is_started_by_nobody_until_it_is_reinstated(
    api: Api, someone: Browser
) -> None:
    await api.publish(ONE)
    form = (await someone.open("/ui/processes/report")).form("/retire")
    page = await following(someone, form, note="replaced by <b>books</b>")
    assert "replaced by <b>books</b>" in page.text
    assert "/ui/processes/report/start" not in page.links
    assert "/ui/processes/report" not in (await someone.open("/ui/processes")).links
    assert "/ui/processes/report" in (await someone.open("/ui/processes?retired=only")).links
    await someone.open("/ui/processes/report/start", 409)
    page = await following(someone, page.form("/reinstate"))
    assert "/ui/processes/report/start" in page.links


async def test_a_record_is_saved_by_a_form_of_its_schema(api: Api, someone: Browser) -> None:
    await api.publish(ONE)
    assert "/ui/new-record?type=report" in (await someone.open("/ui/processes/report")).links
    form = (await someone.open("/ui/new-record?type=report")).form("/new-record")
    answer = await someone.send(form, id="north", **{"input.copies": "x", "input.day": "kept"})
    page = Page(answer)
    assert answer.status_code == 422
    assert "'x' is no number" in page.text
    assert dict(page.form("/new-record").fields)["input.day"] == "kept"
    given = {"id": "north", "input.day": "monday", "vars": '{"host": "a"}', "priority": "7"}
    page = await following(someone, page.form("/new-record"), **{**given, "input.copies": "3"})
    assert "Saved." in page.text
    found = (await api.admin.get("/process-records/north")).json()
    assert found["input"] == {"day": "monday", "copies": 3}
    assert (found["vars"], found["priority"]) == ({"host": "a"}, 7)
    answer = await someone.send(form, **given)
    assert answer.status_code == 409
    assert "already exists" in Page(answer).text


async def test_whoever_was_overtaken_sees_both_editions_of_a_record(
    api: Api, someone: Browser
) -> None:
    await api.publish(ONE)
    await saved(api, "north")
    form = (await someone.open("/ui/records/north/edit")).form("/edit")
    assert dict(form.fields)["input.day"] == "monday"
    await api.admin.patch("/process-records/north", json={"changes": {"day": "tuesday"}})
    answer = await someone.send(form, **{"input.day": "friday"})
    page = Page(answer)
    assert answer.status_code == 409
    assert "Somebody else changed it meanwhile" in page.text
    assert "tuesday" in page.text
    assert dict(page.form("/edit").fields)["input.day"] == "friday"
    await following(someone, page.form("/edit"))
    found = (await api.admin.get("/process-records/north")).json()
    assert found["input"]["day"] == "friday"


async def test_a_record_is_deleted_after_a_page_that_names_what_goes(
    api: Api, someone: Browser
) -> None:
    await api.publish(ONE)
    await saved(api, "a / b".replace("/", "?"))
    here = "/ui/records/a%20%3F%20b"
    plan = {"record": "a ? b", "spec": {"name": "evening", "cron": "0 18 * * *"}}
    made = await api.admin.post("/schedules", json=plan)
    assert made.status_code == 201, made.text
    page = await someone.open(f"{here}/delete")
    assert "its schedule evening" in page.text
    await api.admin.patch("/process-records/a%20%3F%20b", json={"description": "new"})
    answer = await someone.send(page.form("/delete"))
    assert answer.status_code == 409  # not what was looked at any more
    page = await someone.open(f"{here}/delete")
    await following(someone, page.form("/delete"))
    await someone.open(here, 404)


async def test_the_run_of_a_record_is_held_goes_on_and_is_stopped(
    api: Api, someone: Browser
) -> None:
    await api.publish(ONE)
    await saved(api, "north")
    page = await someone.open("/ui/records/north")
    assert "It does not run" in page.text
    await api.admin.post("/process-records/north/start")
    for verb, state in (("hold", "HELD"), ("resume", "IN_PROGRESS"), ("stop", "STOPPED")):
        page = await someone.open("/ui/records/north")
        assert "/ui/records/north/start" not in page.links
        await following(someone, page.form(f"/do/{verb}"), why="enough")
        found = (await api.admin.get("/process-records/north")).json()
        assert found["current_status"] == state
    for tab in ("grid", "runs", "schedules", "inputs"):
        await someone.open(f"/ui/records/north/{tab}")


async def test_an_operator_starts_but_neither_publishes_nor_saves(api: Api) -> None:
    await api.publish(ONE)
    await saved(api, "north")
    async with signed_in(api, Role.OPERATOR) as operator:
        page = await operator.open("/ui/processes/report")
        assert "This takes an author, and you are operator" in page.text
        assert "/ui/processes/report/start" in page.links
        for path in ("/ui/publish", "/ui/new-record", "/ui/records/north/edit"):
            await operator.open(path, 403)
        page = await operator.open("/ui/records/north")
        assert "This takes an author, and you are operator" in page.text


async def test_long_and_hostile_names_are_cut_and_stay_text(api: Api, someone: Browser) -> None:
    await api.publish(ONE)
    await saved(api, "<i>" + "n" * 190, description=HOSTILE, input={"day": HOSTILE * 5})
    for path in ("/ui/records", f"/ui/records/{quote('<i>' + 'n' * 190)}"):
        page = await someone.open(path)
        assert "<b>x</b>" not in page.answer.text
        assert "<i>n" not in page.answer.text


MOST = {
    "/ui/processes": 9, "/ui/records": 10, "/ui/processes/report": 9,
    "/ui/processes/report/grid": 9, "/ui/processes/report/runs": 9,
    "/ui/processes/report/schedules": 9, "/ui/processes/report/definition": 9,
    "/ui/processes/report/diff": 10, "/ui/processes/report/inputs": 9,
    "/ui/processes/report/start": 13, "/ui/records/r0": 8, "/ui/records/r0/grid": 9,
    "/ui/records/r0/runs": 8, "/ui/records/r0/inputs": 8, "/ui/records/r0/edit": 6,
    "/ui/records/r0/delete": 6, "/ui/new-record?type=report": 5, "/ui/publish?type=report": 5,
}  # fmt: skip


async def test_a_page_asks_no_more_because_there_is_more_to_show(
    api: Api, dsn: str, someone: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, set[int]] = {path: set() for path in MOST}
    for many in (1, 9):
        await api.publish(ONE)
        for number in range(many):
            await api.publish(ONE.replace("Collects", f"Collects {many} {number}"))
            if many == 9 or number == 0:
                await saved(api, f"r{number}" if many == 1 else f"s{number}")
            await api.start("report", input={"day": f"day {number}"})
        for path, most in MOST.items():
            await someone.open(path)  # definitions are read once
            with counted(monkeypatch) as sent:
                await someone.open(path)
            assert 0 < len(sent) <= most, (path, len(sent))
            asked[path].add(len(sent))
    assert {path: numbers for path, numbers in asked.items() if len(numbers) > 1} == {}
