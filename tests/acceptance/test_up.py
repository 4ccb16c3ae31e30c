import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from scheduler.embedded import EmbeddedPostgres, postmaster
from tests.support.people import as_user, folder_of_user
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

PROCESSION = (sys.executable, "-m", "scheduler")
DEMO_TYPES = {
    "single-task-process",
    "two-task-process",
    "three-task-process",
    "failing-process",
}


@dataclass(frozen=True, slots=True)
class Up:
    process: Process
    directory: Path
    url: str

    async def get(self, path: str) -> httpx.Response:
        token = (self.directory / "admin.token").read_text().strip()
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            return await client.get(path, headers={"authorization": f"Bearer {token}"})

    async def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return await self.process.wait()


@asynccontextmanager
async def up(directory: Path, **environment: str) -> AsyncIterator[Up]:
    with (directory.parent / "up.log").open("a") as log:
        process = await asyncio.create_subprocess_exec(
            *PROCESSION,
            *("up", "--data-dir", str(directory), "--port", "0"),
            env={**clean_environment(), **environment},
            stdout=PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            words = (await process.stdout.readline()).decode().split()
        assert words[:1] == ["ready"], (directory.parent / "up.log").read_text()
        yield Up(process, directory, words[1])
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await process.wait()
        await EmbeddedPostgres(directory).stop()


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if "PROCESSION" not in name}


def parts(directory: Path, verb: str) -> list[int]:
    """The processes of `verb` that were started for this directory."""
    mark = f"PROCESSION_DATA_DIR={directory}"
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [
        pid
        for pid in pids
        if verb in postmaster.of_process(pid, "cmdline").split("\0")
        and mark in postmaster.of_process(pid, "environ").split("\0")
    ]


def refused(*options: str, **environment: str) -> str:
    """The one line of an `up` that cannot be."""
    done = subprocess.run(
        [*PROCESSION, "up", *options],
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    return line


async def test_a_first_start_serves_the_demo_types_to_whoever_has_the_token(
    tmp_path: Path,
) -> None:
    async with up(tmp_path / "data") as running:
        assert stat.S_IMODE((running.directory / "admin.token").stat().st_mode) == 0o600
        answer = await running.get("/api/v1/process-types")
        assert {each["name"] for each in answer.json()["items"]} >= DEMO_TYPES


async def test_ctrl_c_stops_all_of_it(tmp_path: Path) -> None:
    async with up(tmp_path / "data") as running:
        assert parts(running.directory, "serve")
        assert parts(running.directory, "worker")
        assert await running.interrupt() == 0
        assert not parts(running.directory, "serve")
        assert not parts(running.directory, "worker")
        assert postmaster.find(running.directory / "postgres" / "data") is None


async def test_after_a_kill_the_next_start_finds_everything_as_it_was(tmp_path: Path) -> None:
    async with up(tmp_path / "data") as first:
        types = (await first.get("/api/v1/process-types")).json()
        before = postmaster.find(first.directory / "postgres" / "data")
        first.process.kill()
        await first.process.wait()
        async with up(tmp_path / "data") as second:
            assert (await second.get("/api/v1/process-types")).json() == types
            after = postmaster.find(second.directory / "postgres" / "data")
            assert before is not None
            assert after is not None
            assert after.pid == before.pid


async def test_no_part_outlives_a_killed_up(tmp_path: Path) -> None:
    async with up(tmp_path / "data") as running:
        running.process.kill()
        await running.process.wait()
        await until(lambda: not parts(running.directory, "serve"), within=5)
        await until(lambda: not parts(running.directory, "worker"), within=5)


async def test_a_server_that_dies_comes_back(tmp_path: Path) -> None:
    async with up(tmp_path / "data") as running:
        [first] = parts(running.directory, "serve")
        os.kill(first, signal.SIGKILL)
        await until(lambda: set(parts(running.directory, "serve")) - {first})
        await until(lambda: answers(running))


async def test_a_given_database_is_used_in_place_of_our_own(tmp_path: Path, dsn: str) -> None:
    async with up(tmp_path / "data", PROCESSION_DATABASE_URL=dsn) as running:
        assert (await running.get("/api/v1/process-types")).status_code == 200
        assert not (running.directory / "postgres").exists()


async def test_a_second_up_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    async with up(tmp_path / "data") as running:
        line = refused("--data-dir", str(running.directory), "--port", "0")
        assert "procession is up already in" in line


def test_a_port_in_use_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refused("--data-dir", str(tmp_path / "data"), "--port", port)
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in line
    assert not (tmp_path / "data" / "postgres").exists()


def test_an_unreachable_database_is_refused(tmp_path: Path) -> None:
    url = f"postgresql://procession@/procession?host={tmp_path}"
    line = refused("--data-dir", str(tmp_path / "data"), "--port", "0", PROCESSION_DATABASE_URL=url)
    assert "the database cannot be reached" in line


def test_an_unwritable_folder_is_refused() -> None:
    with folder_of_user() as folder:
        folder.chmod(0o555)
        command = [*PROCESSION, "up", "--data-dir", str(folder / "data"), "--port", "0"]
        done = subprocess.run(
            as_user(command), capture_output=True, text=True, check=False, cwd="/"
        )
        folder.chmod(0o755)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "cannot write in" in line
    assert "--data-dir" in line


def answers(running: Up) -> bool:
    try:
        return httpx.get(f"{running.url}/api/v1/health/live", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
