"""Workstations on the dashboard and before the machine, in a real browser, with real agents."""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from scheduler.services.access import Role
from tests.acceptance.conftest import Visit
from tests.acceptance.test_ui_stories import BOTH, becomes, press
from tests.support import pages
from tests.support.agents import SHELL, Cable, Station, a_cable, a_station
from tests.support.pages import PHONE, Visitor
from tests.support.system import Asking, System
from tests.support.waiting import patience, until

pytestmark = pytest.mark.anyio

WAITS = "while [ ! -e {gate} ]; do sleep 0.1; done; echo done"


@pytest.fixture
async def api(system: System) -> AsyncIterator[Asking]:
    async with system.asking() as api:
        yield api


def a_pressing(type: str, station: str, gates: Path) -> dict[str, Any]:
    """Two steps at a machine, each until its gate is open, and somebody who looks in between."""
    on = {"workstation": station}

    def step(name: str, needs: list[str], text: str) -> dict[str, Any]:
        script = WAITS.format(gate=shlex.quote(str(gates / name)))
        step = {"name": name, "run": [SHELL, "-c", script], "needs": needs}
        return {**step, "description": text, "on": on}

    form = {
        "type": "object",
        "required": ["diameter"],
        "properties": {"diameter": {"type": "number", "title": "Diameter", "maximum": 90}},
    }
    return {
        "name": type,
        "input": {"type": "object", "properties": {"tool": {"type": "string"}}},
        "tasks": [
            step("change-tool", [], "Put tool ${{ input.tool }} in, and close the guard."),
            {
                "name": "quality",
                "needs": ["change-tool"],
                "approval": {"message": "Is the first piece good?", "form": form},
            },
            step("produce", ["quality"], "Watch the oil."),
            {"name": "tidy", "needs": ["produce"], "approval": {"message": "Is all tidy?"}},
        ],
    }


def of_command(shown: str) -> str:
    """The token in `echo TOKEN | procession edge join URL -`."""
    found = re.fullmatch(r"echo (\S+) \| procession edge join (\S+) -", shown.strip())
    assert found is not None, shown
    return found[1]


@BOTH
async def test_a_machine_is_added_compared_accepted_and_there(
    system: System, visit: Visit, scripts: bool
) -> None:
    name = f"added-{scripts}".lower()
    station = Station(system, name, system.url, system.folder / f"{name}.home")
    admin = await visit(Role.ADMIN, scripts=scripts)
    page = await admin.open("/ui/workstations")
    await page.get_by_role("link", name="Add a workstation").first.click()
    await page.get_by_role("textbox", name="Name empty").fill(name)
    await page.get_by_role("textbox", name="Labels").fill("line=2, site")
    await page.get_by_role("checkbox", name="Somebody accepts it here").check()
    await press(page, "Make the invitation")
    await expect(page.get_by_role("alert")).to_contain_text("'site' is no label")
    await page.get_by_role("textbox", name="Labels").fill("line=2, site=north")
    await press(page, "Make the invitation")
    token = of_command(await page.get_by_label("The join command").input_value())
    if not scripts:
        await page.get_by_role("link", name="I have pasted it").click()
    joined = page.locator("#joined")
    await expect(joined).to_contain_text("Nobody yet")
    try:
        done = await station.edge("join", system.url, "-", "--allow", SHELL, stdin=token)
        [fingerprint] = re.findall(r"fingerprint (\S+)", done.stdout)
        await becomes(admin, joined, "pending")
        shown = await page.locator(".fingerprint").inner_text()
        assert shown.split() == fingerprint.split(":")
        await press(page, "They are the same: accept it")
        await expect(page.locator(".said").first).to_contain_text("Accepted")
        await station.run()
        await becomes(admin, joined, re.compile(r"online.*It is there", re.DOTALL))
        await page.get_by_role("link", name=f"look at {name}").click()
        await expect(page.locator("#head")).to_contain_text("site: north")
        await expect(page.get_by_text(token)).to_have_count(0)
    finally:
        await station.leave_nothing()


@BOTH
async def test_work_is_held_goes_on_is_approved_and_drained_at_the_station(
    system: System, api: Asking, visit: Visit, tmp_path: Path, scripts: bool
) -> None:
    name = f"press-{scripts}".lower()
    async with a_station(system, api, name) as station:
        await station.run()
        await api.publish(a_pressing(f"pressing-{name}", name, tmp_path))
        wish = {"type": f"pressing-{name}", "input": {"tool": "W-204"}}
        run = (await api.post("/runs", wish))["id"]
        size = pages.WIDE if scripts else PHONE
        operator = await visit(Role.OPERATOR, scripts=scripts, size=size)
        page = await operator.open(f"/ui/stations/{name}")
        work = page.locator("#work")
        await becomes(operator, work, "Put tool W-204 in, and close the guard.")
        await press(page, "Hold")
        await expect(page.locator(".said")).to_contain_text("held")
        (tmp_path / "change-tool").touch()
        await becomes(operator, work.locator(".badge"), "held")
        await press(page, "Resume")
        asks = page.locator(".ask-big")
        await becomes(operator, page.locator("main"), "Is the first piece good?")
        await asks.get_by_label("Diameter").fill("91")
        await asks.get_by_role("button", name="Approve").click()
        if scripts:
            await expect(asks.get_by_label("Diameter")).to_have_value("91")
        await asks.get_by_label("Diameter").fill("41.5")
        await asks.get_by_role("button", name="Approve").click()
        await expect(page.locator(".said")).to_contain_text("Approved")
        await becomes(operator, work, "Watch the oil.")

        page = await operator.open(f"/ui/runs/{run}")
        await expect(page.locator("#tasks")).to_contain_text(f"at {name}")
        await expect(page.locator("#why").get_by_role("link", name=name)).to_be_visible()

        page = await operator.open(f"/ui/workstations/{name}")
        await page.locator("#do-drain > summary").click()
        await page.get_by_role("textbox", name="Why").fill("the oil leaks")
        await page.get_by_role("button", name="Drain it").click()
        await expect(page.locator(".said")).to_contain_text("It takes nothing more")
        await becomes(operator, page.locator("#commands"), re.compile(r"applied.*drain", re.DOTALL))
        page = await operator.open(f"/ui/stations/{name}")
        await expect(page.locator("#notices")).to_contain_text("the oil leaks")
        (tmp_path / "produce").touch()
        await becomes(operator, page.locator("main"), "Is all tidy?")  # while nobody does anything
        await asks.get_by_role("button", name="Approve").click()
        assert (await api.ended(run))["status"] == "COMPLETED"


@asynccontextmanager
async def before_it(browser: Browser, station: Station, **how: Any) -> AsyncIterator[Visitor]:
    """Somebody who stands before the machine, and looks at the page that it shows itself."""
    found: list[str] = []

    def is_there() -> bool:
        said = station.log.read_text() if station.log.exists() else ""
        found[:] = re.findall(r"the page is there address='(\S+)'", said)
        return bool(found)

    await until(is_there)
    async with pages.visitor(browser, f"http://{found[-1]}", **how) as someone:
        yield someone


def allow_page(station: Station) -> None:
    """What is said for the whole file stands before its tables."""
    policy = station.home / "policy.toml"
    policy.write_text('page = "127.0.0.1:0"\n' + policy.read_text())


async def shown(someone: Visitor, page: Page, said: str | re.Pattern[str]) -> None:
    await becomes(someone, page.locator("main"), said)


@BOTH
async def test_the_machine_shows_its_own_page_with_the_server_and_without(
    system: System, api: Asking, chromium: Browser, tmp_path: Path, scripts: bool
) -> None:
    name = f"alone-{scripts}".lower()
    async with (
        a_cable(system) as cable,
        a_station(system, api, name, server=cable.url) as station,
    ):
        allow_page(station)
        await station.run()
        await api.publish(a_pressing(f"pressing-{name}", name, tmp_path))
        wish = {"type": f"pressing-{name}", "input": {"tool": "W-7"}}
        run = (await api.post("/runs", wish))["id"]
        async with before_it(chromium, station, scripts=scripts) as operator:
            page = await operator.open("/")
            await shown(operator, page, re.compile(r"online.*Put tool W-7 in", re.DOTALL))
            if scripts:
                assert await operator.faults() == []
                assert await operator.width_beyond() == 0
            await alone(operator, cable, station, tmp_path)
        await ended_well(api, run, "change-tool")


async def alone(operator: Visitor, cable: Cable, station: Station, gates: Path) -> None:
    page = operator.page
    await cable.pull()
    await shown(operator, page, re.compile(r"working alone.*Working alone since", re.DOTALL))
    await press(page, "Hold")
    await expect(page.locator(".said")).to_contain_text("held")
    await shown(operator, page, re.compile(r"held.*Resume", re.DOTALL | re.I))
    await press(page, "Resume")
    (gates / "change-tool").touch()
    await shown(operator, page, re.compile(r"\d+ updates? to send.*Nothing is in hand", re.DOTALL))
    await cable.plug()
    await station.ask("connect")
    await station.connected()
    await shown(operator, page, re.compile(r"online", re.DOTALL))


async def ended_well(api: Asking, run: str, name: str) -> None:
    async with asyncio.timeout(patience(60)):
        while True:
            tasks = (await api.get(f"/runs/{run}/tasks"))["items"]
            if next(each["status"] for each in tasks if each["name"] == name) == "COMPLETED":
                return
            await asyncio.sleep(0.1)


async def test_a_run_that_was_handed_over_is_approved_before_the_machine_without_a_server(
    system: System, api: Asking, chromium: Browser, tmp_path: Path
) -> None:
    async with (
        a_cable(system) as cable,
        a_station(system, api, "handed", server=cable.url) as station,
    ):
        allow_page(station)
        await station.run()
        whole = a_pressing("handed-pressing", "handed", tmp_path)
        await api.publish(whole)
        child = {"type": "handed-pressing", "input": {"tool": "W-9"}}
        task = {"name": "press", "process": child, "on": {"workstation": "handed"}}
        await api.publish({"name": "order", "tasks": [task]})
        run = (await api.post("/runs", {"type": "order"}))["id"]
        async with before_it(chromium, station) as operator:
            page = await operator.open("/")
            await shown(operator, page, "Put tool W-9 in, and close the guard.")
            await cable.pull()
            await shown(operator, page, "Working alone since")
            (tmp_path / "change-tool").touch()
            await shown(operator, page, "Is the first piece good?")
            asks = page.locator(".ask-big")
            await asks.get_by_label("Diameter").fill("41.5")
            await asks.get_by_role("button", name="Approve").click()
            await expect(page.locator(".said")).to_contain_text("Approved")
            await shown(operator, page, "Watch the oil.")
            await press(page, "Hold")
            (tmp_path / "produce").touch()
            await shown(operator, page, re.compile("held.*Resume", re.DOTALL))
            await press(page, "Resume")
            await shown(operator, page, "Is all tidy?")
            await asks.get_by_role("button", name="Approve").click()
            await shown(operator, page, re.compile(r"to send.*Nothing is in hand", re.DOTALL))
            await cable.plug()
            await station.ask("connect")
        assert (await api.ended(run))["status"] == "COMPLETED"
