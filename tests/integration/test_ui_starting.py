"""Starting by a form: what would come of it, what is refused where, now and later."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.domain.schedules import Plan
from scheduler.services.access import Role
from scheduler.services.ticking import spec_of
from tests.integration.test_ui_screens import failed, following
from tests.support.api import Api, serving
from tests.support.browser import Browser, Page, signed_in
from tests.support.builders import a_holder, engine
from ui.pages.start import literal

pytestmark = pytest.mark.anyio

TYPE = """
name: ship
input:
  type: object
  required: [order]
  properties:
    order: {type: string, pattern: "^B[0-9]+$"}
    copies: {type: integer, minimum: 1, default: 1}
    to:
      type: object
      required: [city]
      properties: {city: {type: string}, zone: {oneOf: [{const: 1, title: Inland}]}}
    lines:
      type: array
      items: {type: object, required: [what], properties: {what: {type: string}}}
concurrency: {key: "${{ input.order }}", on_conflict: skip}
tasks:
  - name: label
    run: [print-label, "${{ input.order }}"]
    secrets: {KEY: printer}
    limit: {key: printer, max: 1}
  - {name: tell, needs: [label], when: "${{ input.copies > 1 }}", noop: true}
"""
GIVEN = {"input.order": "B1", "input.to.city": "Bonn", "input.to.zone": "1"}


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


@pytest.fixture
async def someone(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api, Role.AUTHOR) as browser:
        yield browser


async def runs(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.admin.get("/runs")).json()["items"]
    return found


async def test_what_would_happen_is_shown_and_nothing_is_started(
    api: Api, someone: Browser
) -> None:
    await api.publish(TYPE)
    form = (await someone.open("/ui/processes/ship/start")).form("/start")
    page = Page(await someone.send(form, action="preview", **GIVEN))
    assert "print-label B1" in page.text
    assert '"KEY": "***"' in page.text
    assert "it is skipped: ${{ input.copies > 1 }} is false" in page.text
    assert "No worker serves queue default" in page.text
    assert "Limit key:printer: 0 of 1 taken" in page.text
    assert "0 of 1 runs with the same key" in page.text
    assert """-d '{"type": "ship", "input": {""" in page.text
    assert dict(page.form("/start").fields)["input.to.city"] == "Bonn"
    assert await runs(api) == []


async def test_who_would_carry_it_out_and_what_is_in_the_way_is_named(
    api: Api, dsn: str, someone: Browser
) -> None:
    await api.publish(TYPE)
    async with await engine(dsn) as conn:
        await a_holder(conn, "edge-7")
    await api.start("ship", input={"order": "B1"})
    form = (await someone.open("/ui/processes/ship/start")).form("/start")
    page = Page(await someone.send(form, action="preview", **GIVEN))
    assert "1 worker (edge-7)" in page.text
    assert "this one would be skipped" in page.text
    await api.admin.post("/queues/default/pause", json={"note": "stocktaking"})
    page = Page(await someone.send(form, action="preview", **GIVEN))
    assert "Queue default is paused : stocktaking" in page.text


async def test_each_fault_stands_at_its_field_and_what_was_written_is_kept(
    api: Api, someone: Browser
) -> None:
    await api.publish(TYPE)
    form = (await someone.open("/ui/processes/ship/start")).form("/start")
    wrong = {"input.order": "17", "input.copies": "0", "input.to.zone": "1"}
    answer = await someone.send(form, **wrong, **{"input.lines.0.what": "nail"})
    page = Page(answer)
    assert answer.status_code == 422
    assert "3 fields need another look. Nothing was started." in page.text
    invalid = {told["name"] for _, told in page.tags if told.get("aria-invalid")}
    assert invalid == {"input.order", "input.copies", "input.to.city"}
    assert "does not match the pattern" in page.text
    kept = dict(page.form("/start").fields)
    assert (kept["input.order"], kept["input.lines.0.what"]) == ("17", "nail")
    assert await runs(api) == []


async def test_one_more_row_is_added_without_starting_anything(api: Api, someone: Browser) -> None:
    await api.publish(TYPE)
    form = (await someone.open("/ui/processes/ship/start")).form("/start")
    rows = {"input.lines.0.what": "nail", "more": "input.lines"}
    page = Page(await someone.send(form, **GIVEN, **rows))
    assert await runs(api) == []
    form = page.form("/start")
    await following(someone, form, **{"input.lines.1.what": "screw"}, **GIVEN)
    [run] = await runs(api)
    assert run["input"]["lines"] == [{"what": "nail"}, {"what": "screw"}]
    assert run["input"]["to"] == {"city": "Bonn", "zone": 1}


async def test_labels_priority_and_a_key_of_ones_own_go_with_it(api: Api, someone: Browser) -> None:
    await api.publish(TYPE)
    form = (await someone.open("/ui/processes/ship/start")).form("/start")
    more = {"labels": "team: a b\n\nshift: 2", "priority": "9", "key": "order-1"}
    await following(someone, form, **GIVEN, **more)
    [run] = await runs(api)
    assert (run["labels"], run["priority"]) == ({"team": "a b", "shift": "2"}, 9)
    again = (await someone.open("/ui/processes/ship/start")).form("/start")
    await following(someone, again, **GIVEN, **more)
    assert len(await runs(api)) == 1
    answer = await someone.send(again, **GIVEN, **{**more, "priority": "3"})
    assert "was used for another request" in Page(answer).text
    for name, value in (("labels", "none"), ("key", "a b"), ("priority", "x")):
        answer = await someone.send(again, **GIVEN, **{name: value})
        assert answer.status_code == 422, name


async def test_a_form_is_filled_from_any_run_that_was(api: Api, dsn: str, someone: Browser) -> None:
    await api.publish(TYPE)
    first = await api.start("ship", input={"order": "B1", "copies": 4})
    await api.start("ship", input={"order": "B2"})
    page = await someone.open(f"/ui/processes/ship/start?run={first['id']}")
    assert dict(page.form("/start").fields)["input.copies"] == "4"
    page = await someone.open("/ui/processes/ship/start?fill=last")
    assert dict(page.form("/start").fields)["input.order"] == "B2"


async def test_an_author_starts_later_by_a_schedule_that_takes_every_word_as_it_is(
    api: Api, someone: Browser
) -> None:
    await api.publish("name: says\ntasks: [{name: a, noop: true}]")
    when = datetime.now(UTC) + timedelta(days=2)
    form = (await someone.open("/ui/processes/says/start")).form("/start")
    text = {"word": "${{ tick.date }} and $${{ x }}", "in": ["${{"]}
    sent = {"extra": json.dumps(text), "action": "later", "at": f"{when:%Y-%m-%dT%H:%M}"}
    page = await following(someone, form, **sent)
    assert "once, on" in page.text
    assert await runs(api) == []
    [row] = (await api.admin.get("/schedules")).json()["items"]
    plan = Plan(spec_of(json.dumps(row["spec"])), "any")
    assert plan.input_for(when) == text
    for at in ("", "tomorrow", "2001-01-01T00:00"):
        answer = await someone.send(form, **{**sent, "at": at})
        assert answer.status_code == 422, at


def test_words_of_a_schedule_are_escaped_at_every_depth() -> None:
    assert literal({"a": ["${{ x", {"b": 1}], "c": None}) == {"a": ["$${{ x", {"b": 1}], "c": None}


async def test_an_operator_is_told_who_may_start_later(api: Api) -> None:
    await api.publish("name: says\ntasks: [{name: a, noop: true}]")
    async with signed_in(api, Role.OPERATOR) as operator:
        page = await operator.open("/ui/processes/says/start")
        assert "To start later makes a schedule, which takes an author" in page.text
        answer = await operator.send(page.form("/start"), action="later", at="2999-01-01T00:00")
        assert answer.status_code == 403
    assert (await api.admin.get("/schedules")).json()["items"] == []


async def test_dead_letters_that_are_alike_are_decided_on_as_they_were_chosen(
    api: Api, dsn: str, someone: Browser
) -> None:
    for _ in range(3):
        await failed(api, dsn)
    page = await someone.open("/ui/dead-letters")
    chosen = await following(someone, page.form("/selections"))
    assert "3 dead letters: these and no others" in chosen.text
    assert "type fails" in chosen.text
    await failed(api, dsn)  # comes too late to be among them
    form = next(each for each in chosen.forms if "/selections/" in each.action)
    answer = await someone.send(form, action="discard")
    assert answer.status_code == 422
    assert "say why it is discarded" in Page(answer).text
    done = await following(someone, form, action="discard", note="known <b>fault</b>")
    assert "known <b>fault</b>" in done.text
    assert "3 of 3" in done.text
    assert "3 discarded" in done.text
    assert len((await api.admin.get("/dead-letters")).json()["items"]) == 1


async def test_what_is_not_filtered_is_never_taken_for_all(
    api: Api, dsn: str, someone: Browser
) -> None:
    await failed(api, dsn)
    token = await someone.form_token()
    answer = await someone.post("/ui/dead-letters/selections", {"_form": token})
    assert answer.status_code == 422
    answer = await someone.post("/ui/dead-letters/selections", {"_form": token, "type": "none"})
    assert answer.status_code == 409
    page = await someone.open("/ui/dead-letters")
    every = [each for each in page.forms if dict(each.fields).get("all")]
    chosen = await following(someone, every[0])
    assert "all that were open" in chosen.text


async def test_another_count_than_the_one_that_was_shown_is_refused(
    api: Api, dsn: str, someone: Browser
) -> None:
    await failed(api, dsn)
    page = await someone.open("/ui/dead-letters?type=fails")
    chosen = await following(someone, page.form("/selections"))
    form = next(each for each in chosen.forms if "/selections/" in each.action)
    answer = await someone.send(form, action="redrive", expected="2")
    assert answer.status_code == 409
    assert "holds 1 dead letters, not 2" in Page(answer).text
    done = await following(someone, form, action="redrive", changes='{"more": 1}')
    assert "1 redriven" in done.text
    [run] = await runs(api)
    assert (run["round"], run["input"]) == (2, {"more": 1})


async def test_the_chosen_ones_are_shown_before_anything_becomes_of_them(
    api: Api, dsn: str, someone: Browser
) -> None:
    for _ in range(2):
        await failed(api, dsn)
    ids = [each["id"] for each in (await api.admin.get("/dead-letters")).json()["items"]]
    token = await someone.form_token()
    answer = await someone.post("/ui/dead-letters/chosen/confirm", {"_form": token, "id": ids[0]})
    page = Page(answer)
    assert "1 dead letter: these and no others" in page.text
    form = page.form("/chosen/decide")
    answer = await someone.send(form, action="discard", note="")
    assert answer.status_code == 422
    answer = await someone.send(form, action="discard", note="seen")
    assert "1 discarded" in Page(answer).text
    answer = await someone.post("/ui/dead-letters/chosen/confirm", {"_form": token})
    assert answer.status_code == 422
    page = await someone.open("/ui/dead-letters?status=DISCARDED")
    assert "by the author" in page.text
    assert "seen" in page.text


async def test_held_runs_stand_in_the_inbox_and_go_on_from_there(
    api: Api, someone: Browser
) -> None:
    await api.publish()
    run = await api.start()
    await api.admin.post(f"/runs/{run['id']}/hold")
    page = await someone.open("/ui/inbox")
    assert "held now by the admin" in page.text or "ago by the admin" in page.text
    await following(someone, page.form("/resume"))
    assert (await api.admin.get(f"/runs/{run['id']}")).json()["status"] == "IN_PROGRESS"
    assert "Nothing waits for you" in (await someone.open("/ui/inbox")).text


async def test_a_question_that_has_a_form_keeps_what_was_written_and_says_when_it_gives_up(
    api: Api, someone: Browser
) -> None:
    await api.publish(
        "name: asks\ntasks:\n  - name: may-i\n    approval:\n      message: May I?\n"
        "      form: {type: object, required: [amount], properties: "
        "{amount: {type: integer, maximum: 9}, why: {type: string}}}\n"
        "    timeout: 30m\n"
    )
    await api.start("asks")
    page = await someone.open("/ui/inbox")
    assert "The task gives up in 29 min" in page.text or "gives up in 30 min" in page.text
    form = next(each for each in page.forms if each.action.startswith("/ui/inbox/"))
    answer = await someone.send(
        form, decision="approve", **{"data.amount": "10", "data.why": "kept"}
    )
    page = Page(answer)
    assert answer.status_code == 422
    invalid = {told["name"] for _, told in page.tags if told.get("aria-invalid")}
    assert invalid == {"data.amount"}
    form = next(each for each in page.forms if each.action.startswith("/ui/inbox/"))
    assert dict(form.fields)["data.why"] == "kept"
    answer = await someone.send(form, decision="")
    assert "say whether it is approved or rejected" in Page(answer).text
