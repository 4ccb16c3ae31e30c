"""What people see and do on the dashboard, as a browser without a script would have it."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg import AsyncCursor

from executor.base import Ending, Outcome
from scheduler.services.access import Role
from scheduler.store import output
from scheduler.store.output import Chunk
from tests.support.api import Api, serving
from tests.support.browser import Browser, Form, Page, signed_in, unescaped
from tests.support.builders import FAILURE, a_holder, carry_out, claimed, engine, record
from tests.support.hostile import HOSTILE
from tests.support.statements import is_for_a_page
from ui.pages import now

pytestmark = pytest.mark.anyio

FLOW = """
name: report
description: Collects and sends
input:
  type: object
  required: [day]
  properties:
    day: {type: string}
    copies: {type: integer, minimum: 1, default: 2}
    dry: {type: boolean, default: false}
    region: {type: string, enum: [north, south], default: north}
    tags: {type: array, items: {type: string}}
tasks:
  - {name: fetch, noop: true}
  - {name: check, needs: [fetch], noop: true}
  - {name: send, needs: [check], noop: true}
"""
ASKING = """
name: asking
tasks:
  - name: may-i
    approval:
      message: May I?
      form: {type: object, properties: {amount: {type: integer, maximum: 9}}}
"""


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


@pytest.fixture
async def someone(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api, Role.OPERATOR) as browser:
        yield browser


async def following(someone: Browser, form: Form, **fields: Any) -> Page:
    """Send a form, and open the page that it leads to."""
    answer = await someone.send(form, **fields)
    assert answer.status_code == 303, answer.text[-800:]
    return await someone.open(answer.headers["location"])


async def failed(api: Api, dsn: str) -> str:
    """A run whose first task gave up."""
    await api.publish("name: fails\ntasks: [{name: breaks, noop: true}, {name: rest, noop: true}]")
    run = await api.start("fails")
    async with await engine(dsn) as conn:
        await carry_out(conn, await a_holder(conn), FAILURE)
    return str(run["id"])


async def test_a_run_is_started_by_a_form_of_its_schema(api: Api, someone: Browser) -> None:
    await api.publish(FLOW)
    page = await someone.open("/ui/processes")
    assert "/ui/processes/report/start" in page.links
    form = (await someone.open("/ui/processes/report/start")).form("/start")
    fields = {"input.day": "2026-05-17", "input.tags": '["a"]', "input.dry": "on"}
    page = await following(someone, form, **fields, **{"input.region": '"south"'})
    assert "The run has been started" in page.text
    run = (await api.admin.get("/runs")).json()["items"][0]
    assert run["input"] == {
        "day": "2026-05-17", "copies": 2, "dry": True, "region": "south", "tags": ["a"],
    }  # fmt: skip
    assert run["triggered_by"] == "the operator"


async def test_a_form_that_is_sent_twice_starts_one_run(api: Api, someone: Browser) -> None:
    await api.publish(FLOW)
    form = (await someone.open("/ui/processes/report/start")).form("/start")
    first = await someone.send(form, **{"input.day": "x"})
    again = await someone.send(form, **{"input.day": "x"})
    assert first.headers["location"] == again.headers["location"]
    assert len((await api.admin.get("/runs")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("copies", "many", "is no number"),
        ("copies", "0", "less than the minimum"),
        ("tags", "[1", "is not JSON"),
        ("tags", "[1]", "is not of type"),
        ("region", '"east"', "is not one of"),
    ],
)
async def test_what_is_wrong_in_a_form_is_told_and_what_was_written_is_kept(
    api: Api, someone: Browser, field: str, value: str, said: str
) -> None:
    await api.publish(FLOW)
    form = (await someone.open("/ui/processes/report/start")).form("/start")
    answer = await someone.send(form, **{"input.day": "kept", f"input.{field}": value})
    page = Page(answer)
    assert answer.status_code == 422
    assert said in page.text
    assert dict(page.form("/start").fields)["input.day"] == "kept"
    assert not (await api.admin.get("/runs")).json()["items"]


async def test_a_run_is_held_goes_on_is_stopped_and_tried_again(api: Api, someone: Browser) -> None:
    await api.publish(FLOW)
    run = await api.start("report", input={"day": "x"})
    here = f"/ui/runs/{run['id']}"
    for verb, state in (("hold", "HELD"), ("resume", "IN_PROGRESS"), ("stop", "STOPPED")):
        await following(someone, (await someone.open(here)).form(f"/{verb}"))
        assert (await api.admin.get(f"/runs/{run['id']}")).json()["status"] == state
    page = await following(someone, (await someone.open(here)).form("/retry"))
    assert "round 2" in page.text


async def test_a_button_that_does_not_fit_the_state_says_why(api: Api, someone: Browser) -> None:
    await api.publish(FLOW)
    run = await api.start("report", input={"day": "x"})
    page = await someone.open(f"/ui/runs/{run['id']}")
    assert "The run is running: only a run that is held can go on" in page.text
    answer = await someone.post(
        f"/ui/runs/{run['id']}/resume", {"_form": await someone.form_token()}
    )
    assert answer.status_code == 303  # what goes on already goes on


async def test_a_viewer_is_told_who_may_and_has_no_form(api: Api) -> None:
    await api.publish(FLOW)
    run = await api.start("report", input={"day": "x"})
    async with signed_in(api, Role.VIEWER) as viewer:
        page = await viewer.open(f"/ui/runs/{run['id']}")
        assert "Hold takes an operator, and you are viewer" in page.text
        assert {each.action for each in page.forms} <= {"/ui/find", "/ui/look", "/ui/logout"}
        assert not [each for each in page.links if "/start" in each]


async def test_a_refusal_is_a_page_that_says_what_to_do(api: Api, someone: Browser) -> None:
    await api.publish()
    run = await api.start()
    answer = await someone.post(f"/ui/runs/{run['id']}/undo", {"_form": await someone.form_token()})
    assert answer.status_code == 409
    assert "cannot undo a run that is IN_PROGRESS" in Page(answer).text


async def test_why_a_run_waits_stands_on_its_page(api: Api, someone: Browser) -> None:
    await api.publish()
    run = await api.start()
    page = await someone.open(f"/ui/runs/{run['id']}")
    assert "no worker serves queue default" in page.text


async def test_every_tab_of_a_run_shows_its_part(api: Api, dsn: str, someone: Browser) -> None:
    run = await failed(api, dsn)
    for tab, said in (
        ("", "breaks"), ("/graph", "breaks: failed"), ("/timeline", "attempt 1, failed"),
        ("/data", "Input"), ("/events", "task.failed"), ("/related", "started no other runs"),
    ):  # fmt: skip
        assert said in (await someone.open(f"/ui/runs/{run}{tab}")).text, tab
    page = await someone.open(f"/ui/runs/{run}/tasks/breaks")
    assert "Attempt 1" in page.text


async def test_filters_live_in_the_address_and_each_can_be_taken_away(
    api: Api, dsn: str, someone: Browser
) -> None:
    await failed(api, dsn)
    await api.publish()
    await api.start(labels={"team": "a"})
    page = await someone.open("/ui/runs?status=FAILED&type=fails")
    assert "1 run" in page.text
    assert "/ui/runs?type=fails" in page.links
    assert "/ui/runs?status=FAILED" in page.links
    assert "two" in (await someone.open("/ui/runs?label=team:a")).text
    assert "No run fits" in (await someone.open("/ui/runs?error=nothing-like-it")).text
    answer = await someone.client.get("/ui/runs?status=FAILED&type=&record=&error=")
    assert answer.headers["location"] == "/ui/runs?status=FAILED"


async def test_pages_of_runs_pass_over_none_and_repeat_none(api: Api, someone: Browser) -> None:
    await api.publish()
    ids = {(await api.start())["id"] for _ in range(53)}
    page, seen = await someone.open("/ui/runs"), list[str]()
    while True:
        seen += [
            each.split("/")[3] for each in page.links if re.match("/ui/runs/[0-9a-f-]{36}$", each)
        ]
        older = [each for each in page.links if "cursor=" in each]
        if not older:
            break
        page = await someone.open(older[0])
    assert sorted(seen) == sorted(ids)


@pytest.mark.parametrize(
    "query",
    ["status=NONE", "created_from=yesterday", "cursor=17", "label=x", "error=" + "x" * 201],
)
async def test_an_address_that_makes_no_sense_is_told_so(someone: Browser, query: str) -> None:
    await someone.open(f"/ui/runs?{query}", 422)


async def test_a_run_is_found_by_the_end_of_its_id(api: Api, someone: Browser) -> None:
    await api.publish()
    run = await api.start()
    answer = await someone.client.get(f"/ui/find?q={run['id'][-8:]}")
    assert answer.headers["location"] == f"/ui/runs/{run['id']}"
    assert "Nothing has these words" in (await someone.open("/ui/find?q=warehouse")).text


async def test_an_approval_is_answered_with_its_form(api: Api, someone: Browser) -> None:
    await api.publish(ASKING)
    run = await api.start("asking")
    page = await someone.open("/ui/inbox")
    assert "May I?" in page.text
    form = next(each for each in page.forms if each.action.startswith("/ui/inbox/"))
    answer = await someone.send(form, decision="approve", **{"data.amount": "10"})
    assert answer.status_code == 422
    assert "greater than the maximum" in Page(answer).text
    page = await following(someone, form, decision="approve", **{"data.amount": "7"})
    assert "Approved" in page.text
    assert (await api.admin.get(f"/runs/{run['id']}")).json()["status"] == "COMPLETED"


async def test_a_rejection_says_why(api: Api, someone: Browser) -> None:
    await api.publish(ASKING)
    await api.start("asking")
    form = next(f for f in (await someone.open("/ui/inbox")).forms if "/inbox/" in f.action)
    answer = await someone.send(form, decision="reject")
    assert "say why it is rejected" in Page(answer).text
    await following(someone, form, decision="reject", note="too dear")
    assert "too dear" in (await someone.open("/ui/inbox?status=REJECTED")).text


async def test_a_dead_letter_is_taken_up_again_with_another_input(
    api: Api, dsn: str, someone: Browser
) -> None:
    run = await failed(api, dsn)
    page = await someone.open("/ui/dead-letters")
    [letter] = [each for each in page.links if re.fullmatch(r"/ui/dead-letters/\d+", each)]
    form = (await someone.open(letter)).form("/redrive")
    answer = await someone.send(form, input="[1")
    assert answer.status_code == 422
    assert "[1" in answer.text
    page = await following(someone, form, input='{"mended": true}')
    assert "round 2" in page.text
    assert (await api.admin.get(f"/runs/{run}")).json()["input"] == {"mended": True}


async def test_many_dead_letters_are_shown_before_anything_becomes_of_them(
    api: Api, dsn: str, someone: Browser
) -> None:
    runs = [await failed(api, dsn) for _ in range(3)]
    letters = (await api.admin.get("/dead-letters")).json()["items"]
    token = await someone.form_token()
    nothing = await someone.post(
        "/ui/dead-letters/chosen/decide", {"_form": token, "action": "redrive"}
    )
    assert nothing.status_code == 422  # none is never all
    ids = [str(each["id"]) for each in letters if each["run"] != runs[0]]
    preview = Page(
        await someone.post("/ui/dead-letters/chosen/confirm", {"_form": token, "id": ids})
    )
    form = preview.form("/decide")
    assert [value for name, value in form.fields if name == "id"] == ids
    values = {"_form": token, "id": ids, "action": "redrive"}
    done = Page(await someone.post(form.action, values))
    assert "2 redriven" in done.text
    left = (await api.admin.get("/dead-letters")).json()["items"]
    assert [each["run"] for each in left] == [runs[0]]


async def test_what_is_hostile_is_shown_as_the_text_that_it_is(
    api: Api, dsn: str, someone: Browser
) -> None:
    async with signed_in(api) as admin:
        for number, payload in enumerate(HOSTILE):
            await plant(api, dsn, payload, number)
        opened = await crawl(
            admin, ["/ui", "/ui/runs", "/ui/processes", "/ui/dead-letters", "/ui/inbox"]
        )
    assert len(opened) > 40
    for page in opened:
        assert unescaped(page, HOSTILE) == [], page.answer.url


async def plant(api: Api, dsn: str, payload: str, number: int) -> None:
    """In every field that somebody may choose."""
    text = json.dumps(payload)
    name = f"hostile-{number}"
    await api.publish(
        f"name: {name}\ndescription: {text}\n"
        f"input: {{type: object, properties: {{field: {{type: string, title: {text}, "
        f"description: {text}, default: {text}}}}}}}\n"
        f"tasks: [{{name: says, noop: true}}]\n"
    )
    await api.publish(
        f"name: {name}-asks\ntasks: [{{name: asks, approval: {{message: {text}}}}}]\n"
    )
    await api.start(f"{name}-asks")
    record = {"id": payload.replace("/", "|")[:200], "type": name, "description": payload}
    made = await api.admin.post(
        "/process-records", json={**record, "input": {payload[:40]: payload}}
    )
    assert made.status_code in (201, 422), made.text
    await api.start(name, input={"field": payload}, labels={"label": payload[:100]})
    async with await engine(dsn) as conn:
        holder = await a_holder(conn, f"holder {number}")
        [mine] = await claimed(conn, holder)
        chunk = Chunk(task_id=mine.id, attempt=1, start=0, stream=2, data=payload.encode())
        await output.append(conn, holder, [chunk])
        ended = Outcome(ending=Ending.FAILED, error=payload, retryable=False)
        await record_one(conn, holder, mine, ended)


async def record_one(conn: Any, holder: int, mine: Any, ended: Outcome) -> None:
    await record(conn, holder, [mine], ended)


async def crawl(someone: Browser, todo: list[str]) -> list[Page]:
    """Every page that links lead to, each kind of address a few times."""
    kinds: dict[str, int] = {}
    seen, opened = set(todo), []
    while todo:
        path = todo.pop()
        kind = re.sub(r"[0-9a-f-]{36}|\d+|=.*", "*", path.replace("hostile-", ""))
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] > 4:
            continue
        page = Page(await someone.client.get(path))
        if "html" not in page.answer.headers.get("content-type", ""):
            continue
        assert page.answer.status_code < 500, path
        opened.append(page)
        for link in page.links:
            if link.startswith("/ui") and link not in seen and "/raw" not in link:
                seen.add(link)
                todo.append(link)
    return opened


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every statement that is sent."""
    sent: list[str] = []
    execute = AsyncCursor.execute

    async def counting(self: Any, query: Any, *more: Any, **how: Any) -> Any:
        if is_for_a_page(query):
            sent.append(str(query))
        return await execute(self, query, *more, **how)

    with monkeypatch.context() as patch:
        patch.setattr(AsyncCursor, "execute", counting)
        yield sent


MOST = {
    "/ui": 20, "/ui/runs": 8, "/ui/processes": 9, "/ui/inbox": 6, "/ui/dead-letters": 9,
    "/ui/processes/fails": 9, "/ui/processes/fails/start": 12,
}  # fmt: skip


@pytest.mark.parametrize("many", [1, 12])
async def test_a_page_asks_the_database_no_more_because_there_is_more_to_show(
    api: Api, dsn: str, someone: Browser, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    runs = [await failed(api, dsn) for _ in range(many)]
    of_run = {f"/ui/runs/{runs[0]}{tab}": 16 for tab in ("", "/graph", "/timeline", "/events")}
    of_log = {f"/ui/runs/{runs[0]}/tasks/breaks/1/log": 22}
    now.DAY.forget()
    for path, most in {**MOST, **of_run, **of_log}.items():
        with counted(monkeypatch) as sent:
            await someone.open(path)
        assert 0 < len(sent) <= most, (path, len(sent), sent)


async def test_the_figures_of_the_day_are_looked_up_once_for_all_who_look(
    api: Api, someone: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await someone.open("/ui")
    with counted(monkeypatch) as sent:
        for _ in range(5):
            await someone.open("/ui")
    assert len(sent) <= 5 * 12


async def test_records_are_started_with_their_input_and_show_their_runs(
    api: Api, someone: Browser
) -> None:
    await api.publish(FLOW)
    record = {"id": "north / 1".replace("/", "-"), "type": "report", "input": {"day": "monday"}}
    assert (await api.admin.post("/process-records", json=record)).status_code == 201
    form = (await someone.open("/ui/records/north%20-%201/start")).form("/start")
    assert dict(form.fields)["input.day"] == "monday"
    page = await following(someone, form, **{"input.copies": "3"})
    assert "north - 1" in page.text
    [run] = (await api.admin.get("/runs", params={"record": "north - 1"})).json()["items"]
    assert run["input"]["copies"] == 3
    answer = await someone.send(
        (await someone.open("/ui/records/north%20-%201/start")).form("/start")
    )
    assert answer.status_code == 409
    assert "already running" in Page(answer).text
