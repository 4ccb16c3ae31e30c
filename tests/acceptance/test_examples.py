"""The examples do what their pages say, in a system of server, workers and commands."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from scheduler.domain import trials
from scheduler.domain.process_types import parse
from scheduler.embedded import binaries
from tests.support.postgres import Databases
from tests.support.system import Asking, System, a_system

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parents[2] / "examples"
TESTS = sorted(EXAMPLES.rglob("*.test.yaml"))


@pytest.fixture(scope="module")
def system(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with a_system(databases, tmp_path_factory.mktemp("examples")) as system:
        yield system


@asynccontextmanager
async def a_story(system: System, name: str, queue: str = "default") -> AsyncIterator[Asking]:
    """The example of that name is published, and there is a worker."""
    [file] = EXAMPLES.glob(f"{name}/{name}.yaml")
    async with system.asking() as ask, system.worker(f"of-{name}", queue):
        answer = await ask.http.post("/process-types", content=file.read_bytes())
        assert answer.is_success, answer.text
        yield ask


async def begun(ask: Asking, type: str, **input: Any) -> str:
    return str((await ask.post("/runs", {"type": type, "input": input}))["id"])


async def ended(ask: Asking, type: str, **input: Any) -> dict[str, Any]:
    return await ask.ended(await begun(ask, type, **input), within=120)


async def states(ask: Asking, run: str) -> dict[str, str]:
    items = (await ask.get(f"/runs/{run}/tasks", limit=200))["items"]
    return {task["name"]: task["status"] for task in items}


async def reached(ask: Asking, run: str, path: str, wanted: Any) -> Any:
    """What a look at the run shows, once it shows this."""
    async with asyncio.timeout(60):
        while True:
            found = await ask.get(f"/runs/{run}{path}")
            if wanted(found):
                return found
            await asyncio.sleep(0.05)


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def mode_of(file: Path) -> int:
    return file.stat().st_mode & 0o777


def test_every_story_has_a_page_that_says_how_to_try_it() -> None:
    folders = [folder for folder in sorted(EXAMPLES.iterdir()) if folder.is_dir()]
    assert len(folders) >= 8
    for folder in folders:
        page = (folder / "README.md").read_text()
        assert "procession apply" in page or "/worker.py" in page, folder


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_tests_that_come_with_examples_succeed(file: Path) -> None:
    [definition] = parse(file.with_name(file.name.replace(".test.", ".")).read_text())
    for trial in trials.read(file.read_text(), file.name).tests:
        assert list(trials.differences(definition, trial)) == [], trial.name


async def test_a_production_order_waits_for_its_workstation_and_goes_through(
    system: System,
) -> None:
    order = {"product": "cap", "quantity": 5}
    async with a_story(system, "production-order") as ask:
        run = await begun(ask, "production-order", number="AB-1", **order)
        await reached(ask, run, "/tasks/press", lambda task: task["status"] == "READY")
        async with system.worker("press-1", "press"):
            done = await ask.ended(run)
            assert done["output"] == {"pieces": 5, "shipped": "shipping 5 cap of AB-1"}
            jammed = await ended(ask, "production-order", number="AB-2", jam_at=3, **order)
        assert (jammed["status"], jammed["output"]["pieces"]) == ("COMPLETED", 0)
        [ticket] = (await ask.get(f"/runs/{jammed['id']}/children"))["items"]
        assert ticket["type"] == "service-ticket"
        told = await ask.get(f"/runs/{ticket['id']}")
        assert told["output"] == "ticket for press, order AB-2, code 17"


async def test_onboarding_gives_all_or_takes_it_back(system: System, tmp_path: Path) -> None:
    async with a_story(system, "onboarding") as ask:
        home = str(tmp_path)
        done = await ended(ask, "onboarding", name="anna", home=home)
        assert (done["status"], done["output"]) == ("COMPLETED", "Welcome, anna@example.org")
        refused = await ended(ask, "onboarding", name="eva", home=home, payroll_accepts=False)
    assert (refused["status"], refused["compensated"]) == ("FAILED", "yes")
    assert names_in(tmp_path) == {"account-anna", "mail-anna", "badge-anna", "log"}
    assert (tmp_path / "log").read_text() == "mail to eva@example.org ends\n"


async def test_three_steps_hand_on_what_they_brought_about(system: System) -> None:
    items = [{"price": 2, "count": 3}, {"price": 7, "count": 0}, {"price": 5, "count": 1}]
    async with a_story(system, "three-steps") as ask:
        done = await ended(ask, "three-steps", customer=" anna ", items=items)
    assert done["output"] == {"confirmation": "anna pays 6 + 5", "prices": [6, 5]}


async def test_a_long_batch_is_held_gone_on_with_and_stopped(system: System) -> None:
    async with a_story(system, "long-batch") as ask:
        quick = await begun(ask, "long-batch", seconds=0.3)
        await reached(ask, quick, "/tasks/batch[0]", lambda task: task["status"] == "COMPLETED")
        await ask.post(f"/runs/{quick}/hold")
        await reached(ask, quick, "", lambda run: run["status"] == "HELD")
        held = await states(ask, quick)
        assert "IN_PROGRESS" not in held.values()
        assert "COMPLETED" not in {held["batch[9]"], held["close"]}
        await ask.post(f"/runs/{quick}/resume")
        assert (await ask.ended(quick))["output"] == "all 10 batches are through"

        slow = await begun(ask, "long-batch", seconds=60)
        await reached(ask, slow, "/tasks/batch[0]", lambda task: task["status"] == "IN_PROGRESS")
        await ask.post(f"/runs/{slow}/stop")
        assert (await ask.ended(slow))["status"] == "STOPPED"


async def test_a_nightly_job_has_its_schedule_and_does_its_commands(system: System) -> None:
    async with a_story(system, "nightly-report") as ask:
        done = await ended(ask, "nightly-report", day="2026-01-31", title="a; rm -rf $HOME")
        assert done["status"] == "COMPLETED"
        schedules = (await ask.get("/schedules"))["items"]
        assert [each["type"] for each in schedules] == ["nightly-report"]
        assert "30 2 * * *" in str(schedules)


async def test_side_by_side_ends_with_a_summary(system: System) -> None:
    async with a_story(system, "side-by-side") as ask:
        done = await ended(ask, "side-by-side", customer="acme")
        assert done["status"] == "COMPLETED"
        assert (await states(ask, done["id"]))["clear-away"] == "SKIPPED"


async def test_one_becomes_a_thousand_and_a_thousand_become_one(system: System) -> None:
    async with a_story(system, "fan-out") as ask:
        done = await ended(ask, "fan-out", count=1000)
    assert done["output"] == {"squares": 1000, "sum": sum(n * n for n in range(1, 1001))}


async def test_a_backup_is_kept_when_it_was_read_back(
    system: System, databases: Databases, tmp_path: Path
) -> None:
    place = {
        "database": databases.admin,
        "folder": str(tmp_path),
        "programs": str(binaries.packaged().folder),
    }
    async with a_story(system, "backup") as ask:
        secret = {"value": "*:*:*:*:not-needed-here", "grants": ["backup"]}
        answer = await ask.http.put("/secrets/backup/pgpass", json=secret)
        assert answer.is_success, answer.text
        with databases.cloned() as dsn:
            done = await ended(ask, "backup", **{**place, "database": dsn})
        assert done["status"] == "COMPLETED", done
        lost = await ended(ask, "backup", **{**place, "database": "dbname=gone host=/nowhere"})
        assert lost["status"] == "FAILED"
    kept = Path(done["output"]["file"])
    assert names_in(tmp_path) == {kept.name}
    assert done["output"]["tables"] > 10
    assert mode_of(kept) == 0o400


async def test_a_large_expense_waits_for_a_person_and_a_small_one_does_not(
    system: System,
) -> None:
    async with a_story(system, "approval") as ask:
        small = await ended(ask, "expense", amount=20, purpose="pens")
        assert small["output"] == "paid 20 from petty cash"
        run = await begun(ask, "expense", amount=900, purpose="a chair")
        await reached(ask, run, "/tasks/agree", lambda task: task["status"] == "WAITING")
        [asked] = (await ask.get("/approvals", status="OPEN"))["items"]
        assert asked["message"] == "Pay 900 for a chair?"
        await ask.post(f"/approvals/{asked['id']}/approve", {"data": {"cost_centre": "4711"}})
        assert (await ask.ended(run))["output"] == "paid 900 from 4711"
