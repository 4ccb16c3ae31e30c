"""Alerts that run commands of somebody's own, set up from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.system import Asking, System
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


def written(folder: Path, name: str, document: dict[str, Any]) -> str:
    file = folder / name
    file.write_text(json.dumps(document))
    return str(file)


def done(system: System, *words: str) -> str:
    answer = system.cli("notifications", *words)
    assert answer.returncode == 0, answer.stderr.decode()
    return answer.stdout.decode()


async def test_a_command_of_ones_own_is_told_what_failed_and_of_a_test(
    system: System, api: Asking, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    tell = {"run": ["sh", "-c", f'printf "%s\\n" "$1" >> {told}', "sh",
                        "${{ input.notification.title }}"]}  # fmt: skip
    await api.publish({"name": "tell", "tasks": [{"name": "it", **tell}]})
    channel = {"name": "command", "run": {"type": "tell"}}
    rule = {"name": "broken", "event": "missed", "channels": ["command"], "quiet": "0s"}
    done(system, "create-channel", written(tmp_path, "channel.json", channel))
    done(system, "create-rule", written(tmp_path, "rule.json", rule))
    changed = {**rule, "event": "failed", "type": "breaks"}
    assert "version 2" in done(system, "update-rule", "broken", written(tmp_path, "r", changed))
    other = written(tmp_path, "other", {**changed, "name": "another"})
    assert system.cli("notifications", "update-rule", "broken", other).returncode != 0
    done(system, "test-channel", "command")
    await until(lambda: told.exists() and "this is a test" in told.read_text(), within=60)
    run = await api.script("breaks", "default", "exit 3")
    assert (await api.ended(run))["status"] == "FAILED"
    await until(lambda: "a run failed: breaks" in told.read_text(), within=60)
    rows = json.loads(done(system, "deliveries", "--channel", "command", "--json"))
    assert {row["status"] for row in rows} <= {"DELIVERED", "PENDING"}
