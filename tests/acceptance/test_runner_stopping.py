"""Timeouts, stops, kills, freezes and the end of a lease: to all of a command, and no more."""

import asyncio
import ctypes
import os
import signal
import time
from pathlib import Path

import pytest

from executor.base import Ending
from tests.support.runners import (
    Client,
    a_runner,
    all_gone,
    children_of,
    is_dead,
    is_stopped,
    parent_of,
    processes_of,
)
from tests.support.waiting import patience, until

pytestmark = pytest.mark.anyio

STUBBORN = "trap '' TERM HUP INT; "
FAMILY = {
    "plain": "exec sleep 300",
    "group": "sleep 300 & sleep 300 & wait",
    "session": "setsid sleep 300 & wait",
    "daemon": "(setsid sh -c 'sleep 300 & sleep 300' &) ; exec sleep 300",
    "deaf": STUBBORN
    + "(setsid sh -c 'trap \"\" TERM; sleep 300; sleep 300' &) ; sleep 300; sleep 300",
    "unmarked": "setsid env -i sleep 300 & wait",
}
BOOTTIME = time.CLOCK_BOOTTIME


def boottime(seconds: float) -> float:
    return time.clock_gettime(BOOTTIME) + seconds


async def begun(client: Client, key: str, script: str, **options: object) -> None:
    client.script(key, f"echo begun; {script}", **options)
    await client.printed(key, b"begun\n")


@pytest.mark.parametrize("family", FAMILY)
async def test_a_stop_reaches_all_of_a_command_and_what_left_its_group(
    tmp_path: Path, family: str
) -> None:
    async with a_runner(tmp_path) as client:
        await begun(client, f"stop-{family}.1", FAMILY[family], grace=0.3)
        client.link.stop(f"stop-{family}.1")
        ended = await client.end(f"stop-{family}.1")
        assert ended.outcome.ending is Ending.STOPPED
        assert "stopped on request" in (ended.outcome.error or "")
        assert processes_of(f"PROCESSION_ATTEMPT=stop-{family}.1", tmp_path) == []
        await until(lambda: children_of(client.link.hello.pid) == [], within=2)


async def test_a_stop_gives_the_grace_and_a_kill_gives_none(tmp_path: Path) -> None:
    polite = "trap 'sleep 0.2; echo cleaned; exit 9' TERM; while :; do sleep 0.05; done"
    async with a_runner(tmp_path) as client:
        await begun(client, "stop.1", polite, grace=20)
        await begun(client, "kill.1", polite, grace=20)
        client.link.stop("stop.1")
        client.link.kill("kill.1")
        stopped, killed = await client.end("stop.1"), await client.end("kill.1")
    assert (stopped.outcome.ending, stopped.outcome.exit_code) == (Ending.STOPPED, 9)
    assert client.output("stop.1").endswith(b"cleaned\n")
    assert (killed.outcome.ending, killed.outcome.exit_code) == (Ending.STOPPED, 137)
    assert b"cleaned" not in client.output("kill.1")


async def test_a_stopped_child_is_woken_to_take_its_signal(tmp_path: Path) -> None:
    async with a_runner(tmp_path) as client:
        await begun(client, "a.1", "trap 'exit 5' TERM; kill -STOP $$; sleep 300", grace=30)
        await until(lambda: any(map(is_stopped, processes_of("PROCESSION_ATTEMPT=a.1", tmp_path))))
        client.link.stop("a.1")
        ended = await client.end("a.1", 10)
    assert ended.outcome.exit_code == 5


async def test_a_timeout_is_told_apart_from_a_failure(tmp_path: Path) -> None:
    async with a_runner(tmp_path) as client:
        late = await client.run("a.1", "sleep", "300", timeout=0.2)
        deaf = await client.run(
            "b.1", "sh", "-c", STUBBORN + "sleep 300; sleep 300", timeout=0.2, grace=0.2
        )
        in_time = await client.run("c.1", "sh", "-c", "exit 143", timeout=20)
    assert late.outcome.ending is deaf.outcome.ending is Ending.TIMED_OUT
    assert "timed out after 0.2 s" in (late.outcome.error or "")
    assert late.outcome.exit_code == 143
    assert deaf.outcome.exit_code in (137, 143)
    assert in_time.outcome.ending is Ending.FAILED


async def test_a_command_that_waits_for_a_slot_is_withdrawn_and_not_counted(
    tmp_path: Path,
) -> None:
    async with a_runner(tmp_path, slots=1) as client:
        await begun(client, "a.1", "exec sleep 300")
        client.script("b.1", "echo never")
        client.link.stop("b.1")
        ended = await client.end("b.1")
        client.link.kill("a.1")
        await client.end("a.1")
    assert ended.outcome.ending is Ending.STOPPED
    assert not ended.outcome.counted
    assert client.output("b.1") == b""


async def test_a_frozen_command_stands_still_and_so_does_its_timeout(tmp_path: Path) -> None:
    async with a_runner(tmp_path) as client:
        await begun(client, "a.1", "sleep 300 & wait", timeout=1.0)
        began = time.monotonic()
        client.link.freeze("a.1")
        mark = "PROCESSION_ATTEMPT=a.1"
        await until(lambda: all(map(is_stopped, processes_of(mark, tmp_path))))
        await client.run("b.1", "sleep", "1.2")
        assert "a.1" not in client.ends
        client.link.thaw("a.1")
        ended = await client.end("a.1")
    assert ended.outcome.ending is Ending.TIMED_OUT
    assert time.monotonic() - began >= 2.0


async def test_a_frozen_command_can_be_stopped(tmp_path: Path) -> None:
    async with a_runner(tmp_path) as client:
        await begun(client, "a.1", "trap 'exit 4' TERM; sleep 300 & wait", grace=20)
        client.link.freeze("a.1")
        client.link.stop("a.1")
        assert (await client.end("a.1", 10)).outcome.exit_code == 4


async def test_a_command_that_cannot_be_killed_is_named_and_its_slot_is_free(
    tmp_path: Path,
) -> None:
    """A tracer that does not look keeps the dead from being reaped: a zombie nobody may bury."""
    libc = ctypes.CDLL(None, use_errno=True)
    async with a_runner(tmp_path, slots=1) as client:
        await begun(client, "a.1", "exec sleep 300")
        (pid,) = processes_of("PROCESSION_ATTEMPT=a.1", tmp_path)
        if libc.ptrace(0x4206, pid, 0, 0) != 0:  # PTRACE_SEIZE
            pytest.skip("this machine does not let us trace")
        client.link.kill("a.1")
        ended = await client.end("a.1", 15)
        after = await client.run("b.1", "true")
        again = await Client(client.spool).connect()
        assert list(again.link.hello.undead) == [pid]
        libc.waitpid(pid, None, 0x40000000)  # __WALL
        client.link = again.link
    assert ended.outcome.ending is Ending.STOPPED
    assert ended.outcome.detail is not None
    assert ended.outcome.detail["unkillable"] == pid
    assert "does not die" in (ended.outcome.error or "")
    assert after.outcome.ending is Ending.SUCCEEDED


async def test_the_end_of_the_lease_ends_commands_as_lost_unless_they_wait(
    tmp_path: Path,
) -> None:
    async with a_runner(tmp_path, slots=3) as client:
        client.link.lease(boottime(60))
        await begun(client, "retry.1", STUBBORN + "sleep 300; sleep 300", grace=60)
        await begun(client, "fail.1", "exec sleep 300", on_lost="fail")
        await begun(
            client,
            "wait.1",
            "while ! [ -e go ]; do sleep 0.05; done; echo true",
            on_lost="wait",
            cwd=str(tmp_path),
        )
        client.script("queued.1", "echo never")
        client.link.lease(boottime(0.3), grace=0.5)
        await client.link.close()
        assert await all_gone("PROCESSION_ATTEMPT=retry.1", tmp_path)
        assert await all_gone("PROCESSION_ATTEMPT=fail.1", tmp_path)
        assert processes_of("PROCESSION_ATTEMPT=wait.1", tmp_path)
        await client.connect()
        refused = await client.run("late.1", "true")
        client.link.lease(boottime(60))
        fine = await client.run("renewed.1", "true")
        (tmp_path / "go").touch()
        waited = await client.end("wait.1")
        lost = [await client.end(key) for key in ("retry.1", "fail.1", "queued.1")] + [refused]
    assert {ended.outcome.ending for ended in lost} == {Ending.LOST}
    assert [ended.outcome.counted for ended in lost] == [True, True, False, False]
    assert all("lease" in (ended.outcome.error or "") for ended in lost)
    assert lost[0].outcome.exit_code == 137
    assert waited.outcome.ending is fine.outcome.ending is Ending.SUCCEEDED


async def test_a_stopped_worker_does_not_hold_up_the_end_of_its_lease(tmp_path: Path) -> None:
    """Its socket stays open while it stands still; the runner keeps the time itself."""
    async with a_runner(tmp_path) as client:
        await begun(client, "a.1", "exec sleep 300")
        client.link.lease(boottime(0.2))
        assert client.link.transport is not None
        client.link.transport.pause_reading()
        assert await all_gone("PROCESSION_ATTEMPT=a.1", tmp_path)
        client.link.transport.resume_reading()
        assert (await client.end("a.1")).outcome.ending is Ending.LOST


async def test_exit_codes_and_signals_are_told_in_words(tmp_path: Path) -> None:
    scripts = {
        "exit 3": (3, "exit code 3"),
        "no-such-thing": (127, "did not find"),
        "kill -9 $$": (137, "SIGKILL"),
        "kill -SEGV $$": (139, "bad memory access"),
        "sh -c 'kill -9 $$'; exit $?": (137, "a shell says so"),
    }
    async with a_runner(tmp_path) as client:
        for number, (script, (code, said)) in enumerate(scripts.items()):
            ended = await client.run(f"a{number}.1", "sh", "-c", script)
            assert ended.outcome.exit_code == code
            assert said in (ended.outcome.error or "")


async def test_bye_ends_the_runner_when_nothing_lives(tmp_path: Path) -> None:
    async with a_runner(tmp_path) as client:
        await begun(client, "a.1", "trap 'exit 3' TERM; sleep 300 & wait")
        client.link.bye(stop_commands=True)
        assert (await client.end("a.1")).outcome.exit_code == 3
        client.link.acknowledge(["a.1"])
        async with asyncio.timeout(patience(10)):
            await client.link.wait_closed()
        await until(lambda: is_dead(client.link.hello.pid))


async def test_a_term_to_runner_or_guard_stops_the_commands_in_peace(tmp_path: Path) -> None:
    for who in ("runner", "guard"):
        async with a_runner(tmp_path / who) as client:
            await begun(client, "a.1", "trap 'echo bye; exit 3' TERM; sleep 300 & wait")
            pid = client.link.hello.pid
            os.kill(pid if who == "runner" else parent_of(pid), signal.SIGTERM)
            assert (await client.end("a.1")).outcome.exit_code == 3
            client.link.acknowledge(["a.1"])
            await client.link.wait_closed()
