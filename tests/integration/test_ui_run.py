"""A run on the dashboard: why it waits, what it left, and what can be done about each of it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from executor.base import Ending, Outcome
from scheduler.services.access import Role
from scheduler.store import output
from scheduler.store.output import Chunk
from tests.support.api import Api, serving
from tests.support.browser import Browser, Page, signed_in
from tests.support.builders import (
    FAILURE,
    SUCCESS,
    a_holder,
    a_promoter,
    carry_out,
    claimed,
    engine,
    record,
)
from tests.support.printing import printing
from tests.support.statements import counted

pytestmark = pytest.mark.anyio

EACH = """
name: each
tasks:
  - {name: all, for_each: {in: "${{ [1, 2, 3, 4] }}", max_parallel: 9}, noop: true}
"""
UNDONE = """
name: undone
tasks:
  - {name: make, noop: true, undo: {run: "rm made"}}
  - {name: use, noop: true}
"""
TABS = (
    "", "/graph", "/timeline", "/logs", "/data", "/files", "/events", "/undo", "/related",
    "/compare", "/again",
)  # fmt: skip


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        yield api


@pytest.fixture
async def someone(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api, Role.OPERATOR) as browser:
        yield browser


async def settle(conn: Any) -> None:
    while await a_promoter().tick(conn):
        pass


async def ended(api: Api, dsn: str, *outcomes: Outcome, type: str = "two", **more: Any) -> str:
    run = (await api.start(type, **more))["id"]
    async with await engine(dsn) as conn:
        holder = await a_holder(conn, run)
        for outcome in outcomes:
            await carry_out(conn, holder, outcome)
    return f"/ui/runs/{run}"


async def test_a_command_that_is_refused_comes_back_with_what_was_typed(
    api: Api, dsn: str, someone: Browser
) -> None:
    here = await ended(api, dsn, FAILURE)
    token = await someone.form_token(here)
    values = {"_form": token, "task": "1", "why": " ", "output": '{"a": '}
    page = Page(await someone.post(f"{here}/skip", values))
    assert page.answer.status_code == 422
    assert "say why" in page.text
    assert any(told.get("value") == '{"a": ' for _, told in page.tags)
    page = Page(await someone.post(f"{here}/stop", {"_form": token, "why": "because"}))
    assert page.answer.status_code == 409
    assert "already FAILED" in page.text


async def test_a_task_is_skipped_or_marked_done_from_its_row(
    api: Api, dsn: str, someone: Browser
) -> None:
    here = await ended(api, dsn, FAILURE)
    page = await someone.open(here)
    form = page.form("/skip")
    assert ("task", "0") in form.fields
    form.action = f"{here}/complete"
    answer = await someone.send(form, why="seen by hand", output='{"n": 1}')
    page = await someone.open(answer.headers["location"])
    assert "The task counts as done" in page.text
    tasks = (await api.admin.get(here[3:] + "/tasks")).json()["items"]
    assert (tasks[0]["status"], tasks[0]["output"]) == ("COMPLETED", {"n": 1})


async def test_another_round_begins_from_a_chosen_task_with_another_input(
    api: Api, dsn: str, someone: Browser
) -> None:
    here = await ended(api, dsn, SUCCESS, FAILURE, input={"a": 1})
    form = (await someone.open(f"{here}/again?task=first")).form("/again")
    refused = Page(await someone.send(form, **{"from": "first", "input": "[1"}))
    assert refused.answer.status_code == 422
    assert "[1" in refused.text
    answer = await someone.send(form, **{"from": "first", "input": '{"a": 2}'})
    page = await someone.open(answer.headers["location"])
    assert "round 2" in page.text
    run = (await api.admin.get(here[3:])).json()
    assert (run["input"], run["tasks_open"]) == ({"a": 2}, 2)


async def test_items_stand_with_their_task_by_state(api: Api, dsn: str, someone: Browser) -> None:
    await api.publish(EACH)
    run = (await api.start("each"))["id"]
    here = f"/ui/runs/{run}"
    async with await engine(dsn) as conn:
        await settle(conn)
        holder = await a_holder(conn)
        mine = await claimed(conn, holder, 4)
        await record(conn, holder, mine[:1], FAILURE)
    page = await someone.open(here)
    assert "4 items" in page.text
    assert f"{here}?of=0&state=FAILED" in page.links
    page = await someone.open(f"{here}?of=0&state=FAILED")
    assert page.answer.text.count('data-name="Task"') == 1
    assert (await someone.open(f"{here}?of=7", 404)).answer.status_code == 404
    for tab in ("/graph", "/timeline", "/timeline?of=0"):
        await someone.open(here + tab)


async def test_logs_of_all_tasks_are_read_together(api: Api, dsn: str, someone: Browser) -> None:
    run = (await api.start("two"))["id"]
    async with await engine(dsn) as conn:
        holder = await a_holder(conn)
        for name in ("first", "second"):
            [mine] = await claimed(conn, holder)
            parts = [
                Chunk(task_id=mine.id, attempt=1, start=0, stream=1, data=f"of {name}\n".encode()),
                Chunk(task_id=mine.id, attempt=1, start=9, stream=2, data=b"<b>oh\n"),
            ]
            for part in parts:
                await output.append(conn, holder, [part])
            await record(conn, holder, [mine], SUCCESS)
    page = await someone.open(f"/ui/runs/{run}/logs")
    log = page.text.split("What the tasks printed", 1)[-1]
    assert log.index("of first") < log.index("of second")
    assert "&lt;b&gt;oh" in page.answer.text
    [earlier] = [each for each in page.links if "before=" in each]
    assert "Nothing was printed before that" in (await someone.open(earlier)).text
    links = [each for each in page.links if "/log?from=0" in each]
    assert links == [f"/ui/runs/{run}/tasks/{n}/1/log?from=0" for n in (0, 1)]


async def test_undo_is_shown_as_a_plan_and_then_as_what_became_of_it(
    api: Api, dsn: str, someone: Browser
) -> None:
    await api.publish(UNDONE)
    here = await ended(api, dsn, SUCCESS, type="undone")
    page = await someone.open(f"{here}/undo")
    assert "rm made" in page.text
    assert "not yet" in page.text
    await someone.send((await someone.open(here)).form("/stop"), undo="on")
    async with await engine(dsn) as conn:
        await settle(conn)
    assert "is being undone" in (await someone.open(f"{here}/undo")).text
    plain = await ended(api, dsn, SUCCESS)
    assert "No task of this version" in (await someone.open(f"{plain}/undo")).text


async def test_a_run_is_compared_with_the_last_good_one(
    api: Api, dsn: str, someone: Browser
) -> None:
    first = await ended(api, dsn, SUCCESS, input={"day": "monday"})
    assert "came to a good end before" in (await someone.open(f"{first}/compare")).text
    async with await engine(dsn) as conn:
        await carry_out(conn, await a_holder(conn))
    second = await ended(api, dsn, FAILURE, input={"day": "tuesday"})
    page = await someone.open(f"{second}/compare")
    assert first in page.links
    assert "monday" in page.text
    assert "differs" in page.text
    assert (await someone.open(f"{second}/compare?with={first[9:]}")).answer.status_code == 200
    await someone.open(f"{second}/compare?with=00000000-0000-7000-8000-000000000000", 404)


async def test_rounds_and_dead_letters_are_related(api: Api, dsn: str, someone: Browser) -> None:
    here = await ended(api, dsn, FAILURE)
    await someone.send((await someone.open(here)).form("/retry"))
    page = await someone.open(f"{here}/related")
    assert "what failed" in page.text
    assert any(each.startswith("/ui/dead-letters/") for each in page.links)


async def test_why_it_waits_names_the_place_in_the_queue_and_who_holds_it(
    api: Api, dsn: str, someone: Browser
) -> None:
    runs = [(await api.start())["id"] for _ in range(3)]
    page = await someone.open(f"/ui/runs/{runs[2]}")
    assert "2 stand before it in queue default" in page.text
    assert "next one of queue default" in (await someone.open(f"/ui/runs/{runs[0]}")).text
    await someone.send(page.form("/hold"))
    page = await someone.open(f"/ui/runs/{runs[2]}")
    assert "Held by the operator" in page.text


async def test_a_full_limit_names_those_that_have_its_places(
    api: Api, dsn: str, someone: Browser
) -> None:
    await api.publish("name: one\nmax_parallel: 1\ntasks: [{name: only, noop: true}]")
    first, second = [(await api.start("one"))["id"] for _ in range(2)]
    page = await someone.open(f"/ui/runs/{second}")
    assert "The places are taken by" in page.text
    assert f"/ui/runs/{first}/tasks/0" in page.links


async def test_an_attempt_says_how_it_ended_what_it_cost_and_who_had_it(
    api: Api, dsn: str, someone: Browser
) -> None:
    detail = {"max_rss_bytes": 5 << 20, "cpu_seconds": 1.5, "signal": "SIGKILL"}
    killed = Outcome(ending=Ending.FAILED, exit_code=137, error="killed", detail=detail)
    here = await ended(api, dsn, killed)
    page = await someone.open(f"{here}/tasks/0")
    for said in ("137 (killed, likely out of memory)", "5.0 MiB", "1.50 s", "SIGKILL",
                 "epoch 1", "on here, process 1", "task.failed"):  # fmt: skip
        assert said in page.text, said


async def test_what_a_command_said_of_itself_leads_to_its_line(
    api: Api, dsn: str, someone: Browser
) -> None:
    said = b'begin\n::procession:: {"progress": 0.5, "text": "<i>half"}\n::procession:: nonsense\n'
    here, _ = await printing(api, dsn, (0, 1, said))
    page = await someone.open(here.removesuffix("/1/log"))
    assert f"{here}?from=6#b6" in page.links
    assert "&lt;i&gt;half" in page.answer.text
    assert "nonsense" not in page.text


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_every_tab_opens_for_who_may_look_with_few_statements(
    api: Api, dsn: str, role: Role
) -> None:
    here = await ended(api, dsn, FAILURE)
    async with signed_in(api, role) as browser:
        for tab in TABS:
            status = 403 if tab == "/again" and role is Role.VIEWER else 200
            with counted() as sent:
                await browser.open(here + tab, status)
            assert len(sent) <= 20, (tab, len(sent))


async def test_a_page_of_a_run_sends_no_more_statements_for_more_tasks(
    api: Api, dsn: str, someone: Browser
) -> None:
    counts = []
    for number in (2, 60):
        tasks = "\n".join(f"  - {{name: t{n}, noop: true}}" for n in range(number))
        await api.publish(f"name: many-{number}\ntasks:\n{tasks}\n")
        run = (await api.start(f"many-{number}"))["id"]
        sent_of = []
        for tab in TABS:
            with counted() as sent:
                await someone.open(f"/ui/runs/{run}{tab}")
            sent_of.append(len(sent))
        counts.append(sent_of)
    assert counts[0] == counts[1]
