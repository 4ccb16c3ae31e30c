"""Stopping commands, and what definitions say about how they may run, through a whole system."""

import asyncio
import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.people import plain_user
from tests.support.runners import is_dead, processes_of
from tests.support.standing import stand_still, states_of
from tests.support.system import Asking, System
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


# Two processes that listen to TERM, and three that do not: in the group and out of it.
TREE = """
trap 'echo leaving; exit 9' TERM
setsid sh -c 'trap "" TERM; sleep 300 & sleep 300' &
sleep 300 &
touch {folder}/ready
while :; do sleep 0.05; done
"""
DEAF = "trap '' TERM; touch {folder}/ready; while :; do sleep 0.05; done"


async def planted(api: Asking, name: str, script: str, folder: Path, **task: Any) -> str:
    run = await api.script(name, "default", script.format(folder=folder), **task)
    await until((folder / "ready").exists)
    return run


async def only_attempt(api: Asking, run: str, name: str = "it") -> dict[str, Any]:
    [attempt] = await api.attempts(run, name)
    return attempt


def left_of(run: str) -> list[int]:
    return processes_of(f"PROCESSION_RUN={run}")


async def test_a_stop_lets_a_command_end_itself_and_takes_the_whole_tree_with_it(
    system: System, api: Asking, tmp_path: Path
) -> None:
    run = await planted(api, "asked", TREE, tmp_path, grace="1s")
    shown = await asyncio.to_thread(system.cli, "stop", run, "--why", "enough")
    assert b"STOPPING" in shown.stdout
    ended = await api.ended(run)
    assert (ended["status"], ended["error"]) == ("STOPPED", "enough")
    attempt = await only_attempt(api, run)
    assert (attempt["status"], attempt["exit_code"]) == ("STOPPED", 9)
    assert attempt["error"] == "stopped on request; it left with exit code 9"
    assert b"leaving\n" in await api.output(run)  # beside what its shell says of its children
    assert left_of(run) == []


async def test_what_is_deaf_to_a_stop_is_killed_when_its_grace_is_over(
    api: Asking, tmp_path: Path
) -> None:
    run = await planted(api, "deaf", DEAF, tmp_path, grace="0.5s")
    began = time.monotonic()
    await api.post(f"/runs/{run}/stop")
    await api.ended(run)
    assert time.monotonic() - began >= 0.5
    attempt = await only_attempt(api, run)
    assert (attempt["status"], attempt["exit_code"]) == ("STOPPED", 137)
    assert attempt["error"] == "stopped on request; it ended by SIGKILL"
    assert left_of(run) == []


async def test_a_kill_waits_for_no_grace_and_overtakes_a_stop(api: Asking, tmp_path: Path) -> None:
    run = await planted(api, "long-grace", DEAF, tmp_path, grace="10m")
    await api.post(f"/runs/{run}/stop")
    assert (await api.get(f"/runs/{run}"))["status"] == "STOPPING"
    await api.post(f"/runs/{run}/stop", {"kill": True})
    assert (await api.ended(run, within=5))["status"] == "STOPPED"
    assert "SIGKILL" in (await only_attempt(api, run))["error"]
    assert left_of(run) == []


async def test_an_attempt_that_takes_too_long_is_timed_out_and_tried_again_by_its_policy(
    api: Asking, tmp_path: Path
) -> None:
    script = f"trap '' TERM; if mkdir {tmp_path}/first; then setsid sleep 300; fi; echo quick"
    run = await api.script(
        "slow", "default", script, timeout="0.4s", grace="0.3s", retries={"max": 1, "delay": "10ms"}
    )
    assert (await api.ended(run))["status"] == "COMPLETED"
    first, second = await api.attempts(run)
    assert (first["status"], first["exit_code"]) == ("TIMED_OUT", 137)
    assert first["error"] == "timed out after 0.4 s; it ended by SIGKILL"
    assert second["status"] == "SUCCEEDED"
    assert left_of(run) == []


async def test_the_timeout_of_a_run_stops_its_commands(api: Asking, tmp_path: Path) -> None:
    task = {"name": "it", "run": ["sleep", "300"]}
    await api.publish({"name": "brief", "timeout": "0.5s", "tasks": [task]})
    run = str((await api.post("/runs", {"type": "brief"}))["id"])
    ended = await api.ended(run, within=3)
    assert (ended["status"], ended["error"]) == ("FAILED", "the run did not end within 0.5 s")
    assert (await only_attempt(api, run))["status"] == "STOPPED"
    assert left_of(run) == []


async def test_a_command_that_somebody_else_killed_says_so(api: Asking) -> None:
    run = await api.script("murdered", "default", "kill -KILL $$")
    await api.ended(run)
    attempt = await only_attempt(api, run)
    assert (attempt["status"], attempt["exit_code"]) == ("FAILED", 137)
    assert attempt["error"].startswith("137: ended by SIGKILL")
    assert attempt["detail"]["signal"] == "SIGKILL"


async def test_a_command_that_cannot_be_killed_is_shown_and_its_place_is_used_again(
    system: System,
) -> None:
    """A tracer that does not look keeps the dead from being buried."""
    libc = ctypes.CDLL(None, use_errno=True)
    async with system.worker("one-slot", PROCESSION_WORKER__SLOTS="1"), system.asking() as api:
        run = await api.start("undead", "one-slot", run=["sleep", "300"])
        [pid] = await until(lambda: left_of(run))
        if libc.ptrace(0x4206, pid, 0, 0) != 0:  # PTRACE_SEIZE
            pytest.skip("this machine does not let us trace")
        await api.post(f"/runs/{run}/stop", {"kill": True})
        assert (await api.ended(run))["status"] == "STOPPED"
        attempt = await only_attempt(api, run)
        assert attempt["detail"]["unkillable"] == pid
        assert "does not die" in attempt["error"]
        shown = await asyncio.to_thread(system.cli, "show", run)
        assert b"does not die" in shown.stdout
        after = await api.start("after", "one-slot", run=["true"])
        assert (await api.ended(after))["status"] == "COMPLETED"
        libc.waitpid(pid, None, 0x40000000)  # __WALL


LIMITS: dict[str, tuple[dict[str, Any], str, str]] = {
    "cpu": ({"cpu_seconds": 1}, "while :; do :; done", "ended by SIG"),
    "file": ({"file_bytes": "64KiB"}, "exec head -c 1000000 /dev/zero > {folder}/big", "SIGXFSZ"),
    "files": ({"open_files": 8}, "ulimit -n; false", "exit code 1"),
    "memory": ({"memory_bytes": "64MiB"}, "exec {python} -c 'bytearray(1 << 28)'", "exit code 1"),
}


@pytest.mark.parametrize("name", LIMITS)
async def test_limits_of_a_definition_hold(api: Asking, tmp_path: Path, name: str) -> None:
    limits, script, reason = LIMITS[name]
    script = script.format(folder=tmp_path, python=sys.executable)
    run = await api.script(f"limited-{name}", "default", script, resource_limits=limits)
    assert (await api.ended(run))["status"] == "FAILED"
    assert reason in (await only_attempt(api, run))["error"]
    if name == "files":
        assert await api.output(run) == b"8\n"
    if name == "file":
        assert (tmp_path / "big").stat().st_size == 64 << 10
    if name == "memory":
        assert b"MemoryError" in await api.output(run)


async def test_a_task_may_run_as_another_user(api: Asking) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can run commands as somebody else")
    user = plain_user()
    run = await api.script("as-user", "default", "id -u; echo $HOME; umask", user=user.pw_name)
    assert (await api.ended(run))["status"] == "COMPLETED"
    assert (await api.output(run)).decode().split() == [str(user.pw_uid), user.pw_dir, "0077"]


async def test_standard_input_place_and_environment_are_those_of_the_definition(
    api: Asking, tmp_path: Path
) -> None:
    await api.publish(
        {
            "name": "placed",
            "input": {"type": "object", "properties": {"who": {"type": "string"}}},
            "tasks": [
                {
                    "name": "it",
                    "run": ["sh", "-c", 'cat; pwd; echo "$WHO"'],
                    "cwd": str(tmp_path),
                    "env": {"WHO": "${{ input.who }}"},
                    "stdin": "dear ${{ input.who }}\n",
                }
            ],
        }
    )
    run = (await api.post("/runs", {"type": "placed", "input": {"who": "$(id) ;é"}}))["id"]
    await api.ended(run)
    assert (await api.output(run)).decode() == f"dear $(id) ;é\n{tmp_path}\n$(id) ;é\n"
    nothing = await api.script("nothing", "default", "cat; echo end")
    await api.ended(nothing)
    assert await api.output(nothing) == b"end\n"


CANNOT: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"run": ["no-such-program"]}, "no-such-program"),
    "not executable": ({"run": ["./plain"]}, "EACCES"),
    "no folder": ({"run": ["true"], "cwd": "/no/such/folder"}, "/no/such/folder"),
    "no user": ({"run": ["true"], "user": "nobody-of-that-name"}, "nobody-of-that-name"),
}


@pytest.mark.parametrize("name", CANNOT)
async def test_what_cannot_begin_fails_for_good_and_says_why(
    api: Asking, tmp_path: Path, name: str
) -> None:
    task, reason = CANNOT[name]
    (tmp_path / "plain").write_text("text\n")
    given = {"cwd": str(tmp_path), "retries": {"max": 5, "delay": "10ms"}, **task}
    run = await api.start(name.replace(" ", "-"), "default", **given)
    assert (await api.ended(run))["status"] == "FAILED"
    attempt = await only_attempt(api, run)
    assert (attempt["status"], attempt["exit_code"]) == ("FAILED", None)
    assert reason in attempt["error"]


async def test_a_worker_that_is_interrupted_stops_its_commands_and_hands_them_back(
    system: System, tmp_path: Path
) -> None:
    async with system.worker("leaving") as leaving, system.asking() as api:
        script = f"echo $$ >> {tmp_path}/pids; [ -e {tmp_path}/second ] || exec sleep 300"
        run = await api.script("leaving", "leaving", script)
        await until((tmp_path / "pids").exists)
        [pid] = left_of(run)
        (tmp_path / "second").touch()
        leaving.signal(signal.SIGINT)
        assert (await api.ended(run))["status"] == "COMPLETED"
        assert is_dead(pid)
        stopped, done = await api.attempts(run)
        assert (stopped["status"], done["status"]) == ("STOPPED", "SUCCEEDED")
        assert (await api.task(run))["retries_used"] <= 1


TICKING = "while :; do echo tick; touch {folder}/ready; sleep 0.02; done"


def is_frozen(run: str) -> bool:
    return stand_still(states_of(left_of(run)))


async def test_a_frozen_command_stands_still_and_so_does_its_timeout(
    api: Asking, tmp_path: Path
) -> None:
    run = await planted(api, "frozen", TICKING, tmp_path, timeout="5s")
    held = await api.post(f"/runs/{run}/hold", {"freeze": True})
    assert held["status"] == "HELD"
    await until(lambda: is_frozen(run))
    frozen_for = 6.0  # longer than its timeout
    began = time.monotonic()
    await until(lambda: not is_frozen(run) or time.monotonic() - began > frozen_for)
    assert is_frozen(run)

    await api.post(f"/runs/{run}/resume")

    await until(lambda: "T" not in states_of(left_of(run)))
    ended = await api.ended(run)
    assert "timed out after 5 s" in ended["error"]
    assert time.monotonic() - began > frozen_for


async def test_a_frozen_command_can_be_stopped(api: Asking, tmp_path: Path) -> None:
    run = await planted(api, "stopped-cold", TICKING, tmp_path)
    await api.post(f"/runs/{run}/hold", {"freeze": True})
    await until(lambda: is_frozen(run))
    await api.post(f"/runs/{run}/stop")
    assert (await api.ended(run))["status"] == "STOPPED"
    assert left_of(run) == []
