"""Chores, retention and exports from the command line, against a whole server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.builders import chain
from tests.support.postgres import Databases
from tests.support.system import System, a_system, facts
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

LATER = """
insert into procrastinate_jobs (queue_name, task_name, args, status, scheduled_at)
select 'chores', kind, '{}', 'todo', now() + interval '1 hour'
  from unnest(array['rollups', 'rollups', 'export', 'export', 'export']) kind
returning id
"""
FAILED = """
update procrastinate_jobs set status = 'failed', scheduled_at = null where id = any(%s)
"""


@pytest.fixture(scope="module")
def system(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("chores")
    (folder / "one.yaml").write_text(chain("one", ""))
    with a_system(databases, folder) as system:
        facts(system.cli("apply", "one.yaml", "--json"))
        yield system


def database(system: System) -> Any:
    return psycopg.connect(system.environment["PROCESSION_DATABASE_URL"], autocommit=True)


async def lines_about(system: System, entity: str) -> list[Any]:
    """What the audit log says of what people did, the newest first."""
    async with system.asking() as asking:
        answer = await asking.http.get("/audit", params={"entity": entity})
        found: list[Any] = answer.json()["items"]
        return found


def ended(system: System, chore: int) -> list[str]:
    rows = facts(system.cli("chores", "history", f"--chore={chore}", "--json"))
    return [row["status"] for row in rows]


async def test_chores_are_looked_after_from_the_command_line(system: System) -> None:
    with database(system) as owner:
        ids = [row[0] for row in owner.execute(LATER).fetchall()]
        later, dropped, *failed = ids
        owner.execute(FAILED, [failed])
    listed = facts(system.cli("chores", "--status=failed", "--json"))
    assert sorted(row["id"] for row in listed) == failed
    counts = {row["chore"]: row for row in facts(system.cli("chores", "counts", "--json"))}
    assert counts["export"]["failed"] == 3
    assert counts["rollups"]["scheduled"] >= 2
    assert system.cli("chores", "run-now", str(later)).returncode == 0
    await until(lambda: ended(system, later) == ["SUCCEEDED"])
    refused = system.cli("chores", "retry", str(dropped))
    assert refused.returncode == 2
    assert b"only what failed can be retried" in refused.stderr
    assert facts(system.cli("chores", "delete", str(dropped), "--json"))["deleted"]
    assert ended(system, dropped) == ["DELETED"]
    # These exports name no file: each tries again, and fails again.
    assert system.cli("chores", "retry", str(failed[0])).returncode == 0
    assert facts(system.cli("chores", "retry", "--all=export", "--json"))["retried"] == 2
    await until(lambda: all("RETRIED" in ended(system, each) for each in failed))
    traces = facts(system.cli("chores", "history", "--kind=export", "--status=retried", "--json"))
    assert all("Traceback" in row["trace"] for row in traces)
    assert b"export" in system.cli("chores", "history").stdout
    both = system.cli("chores", "retry", "7", "--all=export")
    assert both.returncode == 2
    assert b"Traceback" not in both.stderr
    told = await lines_about(system, "chores")
    assert {row["operation"] for row in told} >= {
        "run_chore_now",
        "delete_chore",
        "retry_chore",
        "retry_chores",
    }
    assert {row["after"]["status"] for row in told if row["operation"] == "retry_chores"} == {
        "todo"
    }


async def test_what_is_kept_for_how_long_is_said_from_the_command_line(system: System) -> None:
    keep = ("retention", "keep", "--status=completed", "--type=one", "--keep-last=3", "7d")
    made = facts(system.cli(*keep, "--json"))
    assert system.cli("retention", "keep-details", "30d").returncode == 0
    assert system.cli("retention", "keep-others", "ticks", "45d").returncode == 0
    assert system.cli("retention", "keep-others", "rollups", "ever").returncode == 0
    shown = system.cli("retention").stdout.decode()
    assert "COMPLETED" in shown
    assert "rollups: for ever" in shown
    assert "ticks: P45D" in shown
    short = system.cli("retention", "keep-others", "audit", "8d")
    assert short.returncode == 2
    assert b"30 days at least" in short.stderr
    chore = facts(system.cli("retention", "run", "--json"))["chore"]
    await until(lambda: ended(system, chore) == ["SUCCEEDED"])
    assert system.cli("retention", "forget", str(made["id"])).returncode == 0
    assert b"no run is ever removed" in system.cli("retention").stdout
    told = await lines_about(system, "retention_rules")
    assert [row["action"] for row in told] == ["delete", "create"]


async def test_a_file_of_runs_is_asked_for_saved_and_deleted(system: System) -> None:
    for _ in range(3):
        facts(system.cli("start", "one", "--json"))
    export = facts(system.cli("exports", "create", "runs", "--type=one", "--json"))["id"]
    await until(lambda: facts(system.cli("exports", "list", "--json"))[0]["done_at"])
    lines = system.cli("exports", "save", export).stdout.splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["one"] * 3
    assert system.cli("exports", "save", export, "runs.ndjson").returncode == 0
    assert (Path(system.folder) / "runs.ndjson").read_bytes().splitlines() == lines
    assert system.cli("exports", "delete", export).returncode == 0
    gone = system.cli("exports", "save", export)
    assert gone.returncode == 2
    assert b"Traceback" not in gone.stderr
