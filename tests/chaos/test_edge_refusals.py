"""What the owner of a machine does not allow is not done there, whatever the server asks for."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.agents import SHELL, Station, a_station
from tests.support.postgres import Databases
from tests.support.system import Asking, a_system

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

POLICY = """
roots = [{roots}]
env = ["JOB", "PRESS_*"]
max_runtime = 60

[[allow]]
program = "/bin/echo"
args = ["--job", "[0-9]{{1,9}}"]
"""
ALLOWED: dict[str, Any] = {"run": ["/bin/echo", "--job", "17"]}
REFUSED: dict[str, dict[str, Any]] = {
    "a shell": {"run": [SHELL, "-c", "echo --job 17"]},
    "a line of a shell": {"shell": "/bin/echo --job 17 ; reboot"},
    "another program": {"run": ["/bin/cat", "/etc/passwd"]},
    "a program by its name alone": {"run": ["echo", "--job", "17"]},
    "a way around": {"run": ["/bin/../bin/cat", "/etc/passwd"]},
    "an argument that does not fit": {"run": ["/bin/echo", "--job", "17; reboot"]},
    "an argument too many": {"run": ["/bin/echo", "--job", "17", "18"]},
    "an argument too few": {"run": ["/bin/echo", "--job"]},
    "a line more": {"run": ["/bin/echo", "--job", "17\n18"]},
    "a folder elsewhere": {**ALLOWED, "cwd": "/etc"},
    "a folder above": {**ALLOWED, "cwd": "{root}/../.."},
    "another user": {**ALLOWED, "user": "nobody"},
    "a variable": {**ALLOWED, "env": {"OTHER": "1"}},
    "what programs are loaded by": {**ALLOWED, "env": {"LD_PRELOAD": "/tmp/x.so"}},
}


@pytest.fixture(scope="module")
async def place(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Asking, Station, Path]]:
    folder = tmp_path_factory.mktemp("owner")
    with a_system(databases, folder) as system:
        async with system.asking() as api, a_station(system, api, "press") as station:
            yield api, station, folder


async def test_what_is_not_allowed_is_refused_and_the_run_says_why(
    place: tuple[Asking, Station, Path],
) -> None:
    api, station, folder = place
    root = folder / "work"
    root.mkdir()
    (station.home / "policy.toml").write_text(POLICY.format(roots=json.dumps(str(root))))
    await station.run()
    runs = {}
    for number, (what, task) in enumerate(REFUSED.items()):
        filled = json.loads(json.dumps(task).replace("{root}", str(root)))
        runs[what] = await ordered(api, f"refused-{number}", filled)
    runs["allowed"] = await ordered(api, "allowed", {**ALLOWED, "cwd": str(root)})

    assert (await api.ended(runs.pop("allowed")))["status"] == "COMPLETED"
    for what, run in runs.items():
        assert (await api.ended(run))["status"] == "FAILED", what
        task = await api.task(run)
        assert task["error"], what
        assert task["exit_code"] is None, what
        for attempt in await api.attempts(run):
            assert "pid" not in (attempt["detail"] or {}), what


async def ordered(api: Asking, type: str, task: dict[str, Any]) -> str:
    given = {"name": "it", "on": {"workstation": "press"}, **task}
    await api.publish({"name": type, "tasks": [given]})
    return str((await api.post("/runs", {"type": type}))["id"])
