"""`procession exec` and its route: a command typed once, recorded like any run."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import Databases
from tests.support.runners import is_dead
from tests.support.system import PROCESSION, Asking, System, Worker, a_system, facts
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def worker(system: System) -> AsyncIterator[Worker]:
    async with system.worker("default", PROCESSION_SECRET="known to the worker") as worker:
        yield worker


async def exec_(system: System, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return await asyncio.to_thread(system.cli, "exec", *arguments)


async def test_a_command_is_seen_through_with_both_streams_and_its_exit_code(
    system: System, api: Asking
) -> None:
    script = "echo out; echo err >&2; printf '\\000\\377\\r50%%\\r100%%'; exit 42"
    done = await exec_(system, "--", "sh", "-c", script)
    assert done.returncode == 42
    assert done.stdout == b"out\n\x00\xff\r50%\r100%"
    assert b"err\n" in done.stderr
    assert b"exit code 42" in done.stderr
    [run] = (await api.get("/runs", type="exec", limit=1))["items"]
    assert run["status"] == "FAILED"


async def test_arguments_stay_arguments_whatever_characters_they_have(
    system: System, api: Asking
) -> None:
    words = ["a b", "", "$(id)", "${{ input.x }}", "$${{ 1 }}", "*", "'\"\\", "-n", "é\n\t;|&"]
    done = await exec_(system, "--", "printf", "%s\\0", *words)
    assert done.stdout == b"".join(word.encode() + b"\0" for word in words)


async def test_its_surroundings_are_those_that_were_given_and_no_others(
    system: System, api: Asking, tmp_path: Path
) -> None:
    (tmp_path / "given").write_text("standard input\n")
    options = ["--cwd", str(tmp_path), "--env", "A=x=${{ y }}", "--env", "B=", "--name", "look"]
    done = await exec_(
        system, *options, "--stdin", str(tmp_path / "given"), "sh", "-c", "pwd; env; cat"
    )
    lines = done.stdout.decode().splitlines()
    assert lines[0] == str(tmp_path)
    assert lines[-1] == "standard input"
    assert {"A=x=${{ y }}", "B=", "PROCESSION_TASK=look"} <= set(lines)
    assert "known to the worker" not in done.stdout.decode()
    assert "DATABASE" not in done.stdout.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--timeout", "0.3", "sleep", "60"], 124, "timed out after 0.3 s"),
        (["no-such-program"], 126, "no-such-program"),
        (["--cwd", "/no/such/folder", "true"], 126, "/no/such/folder"),
        (["sh", "-c", "kill -SEGV $$"], 139, "SIGSEGV"),
        (["sh", "-c", "kill -KILL $$"], 137, "SIGKILL"),
        (["--queue", "Not A Queue", "true"], 2, "queue"),
        (["--timeout", "soon", "true"], 2, "timeout"),
        (["--env", "1A=x", "true"], 2, "1A"),
        (["--env", "A", "true"], 2, "NAME=VALUE"),
        (["--", ""], 2, "argv"),
        ([], 2, "COMMAND"),
    ],
)
async def test_how_it_ended_is_said_in_words_and_as_a_code(
    system: System, api: Asking, arguments: list[str], code: int, reason: str
) -> None:
    done = await exec_(system, *arguments)
    assert (done.returncode, done.stdout) == (code, b"")
    assert reason in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


async def test_an_interrupt_stops_the_command_and_waits_for_its_end(
    system: System, api: Asking
) -> None:
    script = "trap 'echo bye; exit 5' TERM; echo here; while :; do sleep 0.05; done"
    done = await interrupted(system, "sh", "-c", script)
    assert (done.returncode, done.stdout) == (5, b"here\nbye\n")
    [run] = (await api.get("/runs", type="exec", limit=1))["items"]
    assert (run["status"], run["error"]) == ("STOPPED", "interrupted")


async def interrupted(system: System, *argv: str) -> subprocess.CompletedProcess[bytes]:
    """Interrupted as soon as the command has printed its first line."""
    process = await asyncio.create_subprocess_exec(
        *PROCESSION,
        "exec",
        *argv,
        env=system.asker,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    first = await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert process.returncode is not None
    return subprocess.CompletedProcess(argv, process.returncode, first + out, err)


async def test_it_can_be_looked_at_and_retried_like_any_run(system: System, api: Asking) -> None:
    once = await exec_(system, "--json", "--name", "flaky", "--", "sh", "-c", "echo x; exit 3")
    run = (await api.get("/runs", type="exec", limit=1))["items"][0]["id"]
    assert once.returncode == 3
    assert json.loads(once.stdout)["task"]["exit_code"] == 3
    assert b"x\n" in once.stderr
    shown = facts(system.cli("show", run, "--json"))
    assert [task["name"] for task in shown["task_list"]] == ["flaky"]
    again = await asyncio.to_thread(system.cli, "retry", run, "--wait")
    assert again.returncode == 1
    assert [each["round"] for each in await api.attempts(run, "flaky")] == [1, 2]
    assert system.cli("logs", run).stdout == b"x\n"


async def test_the_same_command_again_is_the_same_version(system: System, api: Asking) -> None:
    first, other, again = [
        await api.post("/commands", {"argv": ["true", word]}) for word in ("a", "b", "a")
    ]
    assert first["version"] == again["version"] != other["version"]
    assert first["id"] != again["id"]


async def test_a_key_gives_the_same_run_however_often_it_is_sent(
    system: System, api: Asking
) -> None:
    answers = [
        await api.http.post(
            "/commands", json={"argv": ["true"]}, headers={"Idempotency-Key": "once-7"}
        )
        for _ in range(3)
    ]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_command_that_was_lost_is_not_begun_again_behind_its_askers_back(
    system: System, api: Asking, worker: Worker, tmp_path: Path
) -> None:
    script = f"echo $$ >> {tmp_path}/pids; exec sleep 60"
    run = str((await api.post("/commands", {"argv": ["sh", "-c", script]}))["id"])
    await until((tmp_path / "pids").exists)
    before = worker.times_ready()
    os.kill(worker.runner, signal.SIGKILL)
    assert (await api.ended(run))["status"] == "FAILED"
    await until(lambda: worker.times_ready() > before)
    [pid] = (tmp_path / "pids").read_text().split()
    assert is_dead(int(pid))
    assert [each["status"] for each in await api.attempts(run, "command")] == ["LOST"]


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"argv": []}, "argv"),
        ({"argv": "true"}, "argv"),
        ({"argv": ["a\0b"]}, "argv"),
        ({"argv": ["true"], "shell": True}, "shell"),
        ({"argv": ["true"], "env": {"A=B": "x"}}, "env"),
        ({"argv": ["true"], "name": "A Name"}, "name"),
        ({"argv": ["true"], "timeout": "-1s"}, "timeout"),
        ({"argv": ["true"], "timeout": 0}, "timeout"),
        ({"argv": ["true"], "on_lost": "hope"}, "on_lost"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused_by_the_name_of_its_field(
    system: System, api: Asking, wish: dict[str, object], field: str
) -> None:
    answer = await api.http.post("/commands", json=wish)
    assert answer.status_code == 422, answer.text
    assert field in answer.text


async def test_the_name_of_ad_hoc_commands_is_nobody_elses(
    databases: Databases, tmp_path: Path
) -> None:
    with a_system(databases, tmp_path) as system:
        async with system.asking() as api:
            mine = {"name": "exec", "tasks": [{"name": "mine", "noop": True}]}
            answer = await api.http.post("/process-types", json=mine)
            assert answer.status_code == 422
            assert "choose another" in answer.json()["detail"]
            answer = await api.http.get("/process-types/exec")
            assert answer.status_code == 404
        with psycopg.connect(system.environment["PROCESSION_DATABASE_URL"]) as conn:
            assert conn.execute("select count(*) from runs").fetchone() == (0,)
