"""Schedules from the command line, against a whole server."""

from pathlib import Path

import pytest

from tests.support.builders import chain
from tests.support.postgres import Databases
from tests.support.system import a_system, facts

FILE = """
cron: "0 22 * * mon-sat"
zone: Europe/Rome
input: {number: 5, text: "22:00"}
blackouts: [{dates: ["12-25"]}, {from: 2099-08-01, until: 2099-09-01}]
"""


@pytest.mark.timeout(120)
def test_a_schedule_is_lived_with_from_the_command_line(
    databases: Databases, tmp_path: Path
) -> None:
    (tmp_path / "one.yaml").write_text(chain("one", ""))
    (tmp_path / "closing.yaml").write_text(FILE)
    with a_system(databases, tmp_path) as system:
        facts(system.cli("apply", "one.yaml", "--json"))
        made = facts(
            system.cli("schedules", "create", "--type=one", "--file=closing.yaml", "--json")
        )
        assert made["spec"]["input"] == {"number": 5, "text": "22:00"}
        id = str(made["id"])
        shown = system.cli("schedules", "show", id).stdout.decode()
        assert "at 22:00 on Monday to Saturday (Europe/Rome)" in shown
        listed = system.cli("schedules").stdout.decode()
        assert "at 22:00" in listed
        update = ("schedules", "update", id, "--every=1s", "--input=text=x", "--json")
        changed = facts(system.cli(*update))
        assert "cron" not in changed["spec"]
        assert changed["spec"]["every"] == "1s"
        assert changed["spec"]["input"] == {"number": 5, "text": "x"}
        run = facts(system.cli("schedules", "trigger", id, "--key=k", "--json"))
        assert facts(system.cli("schedules", "trigger", id, "--key=k", "--json"))["id"] == run["id"]
        assert facts(system.cli("schedules", "ticks", id, "--json"))
        paused = facts(system.cli("schedules", "pause", id, "--note=audit", "--json"))
        assert paused["note"] == "audit"
        assert system.cli("schedules", "resume", id).returncode == 0
        wish = ("--from=2026-01-01T00:00:00Z", "--until=2026-01-01T00:01:00Z", "--preview")
        assert facts(system.cli("schedules", "backfill", id, *wish, "--json"))["to_run"] == 60
        assert system.cli("schedules", "stop-all", "--note=moving").returncode == 0
        assert b"stopped by" in system.cli("schedules").stdout
        assert system.cli("schedules", "resume-all").returncode == 0
        wrong = system.cli("schedules", "preview", "--cron=x")
        assert wrong.returncode == 2
        assert b"no cron expression" in wrong.stderr
        assert b"Traceback" not in wrong.stderr
        assert system.cli("schedules", "delete", id).returncode == 0
