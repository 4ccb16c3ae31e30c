"""What people do on the dashboard, in a real browser: with its script, and without."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from scheduler.services.access import Role
from tests.acceptance.conftest import Visit
from tests.support.pages import Visitor
from tests.support.system import Asking, System

pytestmark = pytest.mark.anyio

BOTH = pytest.mark.parametrize("scripts", [True, False], ids=["script", "no script"])

# Each task prints until somebody opens its gate, a file; so it goes on for as long as is looked at.
WAITING = """
n=0
while [ ! -e "$GATE" ]; do n=$((n+1)); echo "turn $n of the kiln"; sleep 0.2; done
echo "the gate is open"
"""


def a_kiln(name: str, gates: Path) -> dict[str, object]:
    def task(name: str) -> dict[str, object]:
        return {"name": name, "shell": WAITING, "env": {"GATE": str(gates / name)}}

    return {
        "name": name,
        "input": {
            "type": "object",
            "required": ["batch"],
            "properties": {
                "batch": {"type": "string", "title": "Batch"},
                "glazed": {"type": "boolean", "title": "Glazed"},
            },
        },
        "tasks": [task("heat"), task("cool")],
    }


async def becomes(someone: Visitor, place: Locator, said: str | re.Pattern[str]) -> None:
    """Without anybody's doing where there is a script; else by loading the page again."""
    if someone.scripts:
        await expect(place).to_contain_text(said)
        return
    async with asyncio.timeout(30):
        while not re.search(said, " ".join(await place.all_inner_texts())):
            await someone.page.reload()


async def press(page: Page, name: str, inside: str | None = None) -> None:
    """A button; one that is behind another is uncovered first."""
    if inside is not None:
        await page.locator(f"{inside} > summary").click()
    await page.locator(inside or "main").get_by_role("button", name=name, exact=True).click()


@BOTH
async def test_somebody_comes_in_looks_around_and_goes_out(visit: Visit, scripts: bool) -> None:
    viewer = await visit(Role.VIEWER, scripts=scripts)
    page = viewer.page
    await expect(page.get_by_role("heading", name="Now", level=1)).to_be_visible()
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Runs").click()
    await expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()
    await page.locator("details#who summary").click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.locator(".said")).to_have_text("You are signed out.")
    await page.goto(f"{viewer.url}/ui/runs")
    await expect(page).to_have_url(re.compile("/ui/login"))


@BOTH
async def test_a_record_gets_a_schedule_is_started_watched_held_stopped_and_done_again(
    system: System, api: Asking, visit: Visit, tmp_path: Path, scripts: bool
) -> None:
    name = f"kiln-{scripts}".lower()
    await api.publish(a_kiln(name, tmp_path))
    author = await visit(Role.AUTHOR, scripts=scripts)
    page = author.page

    await author.open(f"/ui/new-record?type={name}")
    await page.get_by_role("textbox", name="Id").fill(f"{name} 1")
    await page.get_by_role("textbox", name="Batch").fill("B-17")
    await press(page, "Save")
    await expect(page.get_by_role("heading", level=1)).to_contain_text(f"{name} 1")
    record = page.url.partition("?")[0]

    await author.open(f"/ui/schedules/new?record={name} 1")
    await page.get_by_role("radio", name="by a cron expression").check()
    await page.get_by_role("textbox", name="Cron").fill("30 2 * * mon-fri")
    await page.get_by_role("textbox", name="Time zone").fill("Europe/Rome")
    await press(page, "Make the schedule")
    await expect(page.get_by_role("main")).to_contain_text("30 2 * * mon-fri")

    await page.goto(f"{record}/start")
    await expect(page.get_by_role("textbox", name="Batch")).to_have_value("B-17")
    await press(page, "Start now")
    run = page.url.partition("?")[0]
    state, tasks = page.locator("#head .badge"), page.locator("#tasks")
    await becomes(author, state, "running")
    await becomes(author, tasks, re.compile(r"running.*heat", re.DOTALL))

    await tasks.get_by_role("link", name="Log").first.click()
    await becomes(author, page.locator("#log"), "turn 3 of the kiln")
    await becomes(author, page.locator("#log"), "turn 12 of the kiln")

    await page.goto(run)
    await press(page, "Hold the run", "#do-hold")
    (tmp_path / "heat").touch()
    await becomes(author, state, "held")
    await press(page, "Resume")
    await becomes(author, tasks, re.compile(r"completed.*heat.*running.*cool", re.DOTALL))

    await page.locator("#do-stop > summary").click()
    await page.get_by_role("textbox", name="Why").fill("the glaze runs")
    await page.get_by_role("button", name="Stop the run").click()
    await becomes(author, state, "stopped")

    (tmp_path / "cool").touch()
    await press(page, "Again from what failed", "#do-retry")
    await becomes(author, state, "completed")
    await expect(page.locator("#facts")).to_contain_text("round 2")
    done = {
        each["name"]: each["attempt"]
        for each in (await api.get(f"/runs/{run.rpartition('/')[2]}/tasks"))["items"]
    }
    assert done == {"heat": 1, "cool": 2}


A_CHECK = {
    "input": {"type": "object", "properties": {"thickness": {"type": "integer"}}},
    "tasks": [
        {"name": "fetch", "noop": True},
        {"name": "check", "shell": '[ "$T" -le 20 ]', "env": {"T": "${{ input.thickness }}"}},
    ],
}


async def failing(api: Asking, name: str, count: int) -> list[str]:
    await api.publish({"name": name, **A_CHECK})
    wish = {"type": name, "input": {"thickness": 99}}
    runs = [str((await api.post("/runs", wish))["id"]) for _ in range(count)]
    for run in runs:
        assert (await api.ended(run))["status"] == "FAILED"
    return runs


@BOTH
async def test_a_dead_letter_is_taken_up_again_with_another_input(
    api: Asking, visit: Visit, scripts: bool
) -> None:
    name = f"check-{scripts}".lower()
    [run] = await failing(api, name, 1)
    operator = await visit(Role.OPERATOR, scripts=scripts)
    page = await operator.open(f"/ui/dead-letters?type={name}")
    await page.locator("#letters").get_by_role("link", name="Look").click()
    field = page.get_by_role("textbox", name="Input of the run")
    await expect(field).to_have_value(re.compile('"thickness": 99'))
    await field.fill('{"thickness": 12')
    await press(page, "Re-drive")
    await expect(page.get_by_role("alert")).to_be_visible()
    await expect(field).to_have_value('{"thickness": 12')  # what was written is kept
    await field.fill('{"thickness": 12}')
    await press(page, "Re-drive")
    assert (await api.ended(run))["status"] == "COMPLETED"
    await operator.open(f"/ui/runs/{run}")
    await becomes(operator, page.locator("#head .badge"), "completed")


@BOTH
async def test_many_are_decided_on_after_a_look_at_exactly_these(
    api: Asking, visit: Visit, scripts: bool
) -> None:
    name = f"many-{scripts}".lower()
    runs = await failing(api, name, 4)
    operator = await visit(Role.OPERATOR, scripts=scripts)
    page = await operator.open(f"/ui/dead-letters?type={name}")
    for run in runs[:2]:
        await page.get_by_role("checkbox", name=run[-8:]).check()
    await press(page, "Discard …")
    main = page.get_by_role("main")
    await expect(main).to_contain_text("2 dead letters: these and no others")
    for run in runs:
        shown = expect(main.get_by_role("link", name=run[-8:]).first)
        await (shown.to_be_visible() if run in runs[:2] else shown.to_be_hidden())
    await main.get_by_role("textbox", name="Why").fill("made by hand")
    await page.get_by_role("button", name=re.compile("^Discard")).click()
    await expect(main).to_contain_text("2 discarded")

    await operator.open(f"/ui/dead-letters?type={name}")
    await press(page, "Decide on all that these filters find …")
    await expect(main).to_contain_text("2 dead letters: these and no others")
    later = await failing(api, name, 1)  # is not among them
    await page.get_by_role("button", name=re.compile("^Re-drive")).click()
    await becomes(operator, page.locator("#progress"), re.compile("Done.*2 redriven", re.DOTALL))
    rounds = [(await api.get(f"/runs/{run}"))["round"] for run in [*runs, *later]]
    assert rounds == [1, 1, 2, 2, 1]


ASKING = {
    "tasks": [
        {
            "name": "may-i",
            "approval": {
                "message": "Fire kiln 3?",
                "form": {
                    "type": "object",
                    "properties": {"degrees": {"type": "integer", "maximum": 1300}},
                },
            },
        }
    ]
}


@BOTH
async def test_who_may_answers_and_who_may_not_sees_why(
    api: Asking, visit: Visit, scripts: bool
) -> None:
    name = f"asking-{scripts}".lower()
    await api.publish({"name": name, **ASKING})
    run = (await api.post("/runs", {"type": name}))["id"]
    viewer = await visit(Role.VIEWER, scripts=scripts)
    page = await viewer.open("/ui/inbox?all=1")
    await becomes(viewer, page.get_by_role("main"), "Fire kiln 3?")
    await expect(page.get_by_role("main")).to_contain_text("To answer takes an operator")
    await expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    await viewer.open(f"/ui/processes/{name}/start", 403)

    operator = await visit(Role.OPERATOR, scripts=scripts)
    page = await operator.open("/ui/inbox")
    asked = page.locator("section.ask").filter(has_text=run[-8:])
    await asked.get_by_label("degrees").fill("1400")
    await asked.get_by_role("button", name="Approve").click()
    if scripts:
        await expect(asked.get_by_label("degrees")).to_have_value("1400")
    await asked.get_by_label("degrees").fill("1240")
    await asked.get_by_role("button", name="Approve").click()
    await expect(page.locator(".said")).to_contain_text("Approved")
    ended = await api.ended(run)
    assert ended["status"] == "COMPLETED"
