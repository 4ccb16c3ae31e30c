"""A server and a worker as they run in earnest: processes of their own, reached over HTTP."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.support import patiently

PATIENCE = 30.0
WORKER = "bench"


@dataclass(frozen=True, slots=True)
class System:
    api: httpx.AsyncClient
    server: int
    worker: int
    folder: Path

    @property
    def runner(self) -> int:
        return runner_of(self.folder)


@asynccontextmanager
async def system(url: str, *, slots: int = 8) -> AsyncIterator[System]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="procession-bench-") as name:
        folder = Path(name)
        env = environment(url, folder)
        async with (
            process(env, "serve", "--port", str(port)) as server,
            process(env, "worker", "--name", WORKER, "--slots", str(slots)) as worker,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=60) as api,
        ):
            await patiently(lambda: is_up(api), PATIENCE)
            token = (folder / "admin.token").read_text().strip()
            api.headers["Authorization"] = f"Bearer {token}"
            await patiently(lambda: has_worker(api), PATIENCE)
            yield System(api, server.pid, worker.pid, folder)


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[tuple[int, int, str]]:
    """A server alone: its port, its process id and a token of its admin."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="procession-bench-") as name:
        folder = Path(name)
        async with process(environment(url, folder), "serve", "--port", str(port)) as server:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1") as api:
                await patiently(lambda: is_up(api), PATIENCE)
            yield port, server.pid, (folder / "admin.token").read_text().strip()


def environment(url: str, folder: Path) -> dict[str, str]:
    ours = {
        "PROCESSION_DATABASE_URL": url,
        "PROCESSION_DATA_DIR": str(folder),
        "PROCESSION_LOG_LEVEL": "WARNING",
    }
    return {**os.environ, **ours}


@asynccontextmanager
async def process(env: Mapping[str, str], *arguments: str) -> AsyncIterator[Process]:
    async with spawned(env, "-m", "scheduler", *arguments) as started:
        yield started


@asynccontextmanager
async def spawned(env: Mapping[str, str], *arguments: str) -> AsyncIterator[Process]:
    async with a_program(env, sys.executable, *arguments) as started:
        yield started


@asynccontextmanager
async def a_program(env: Mapping[str, str], *command: str) -> AsyncIterator[Process]:
    started = await asyncio.create_subprocess_exec(*command, env=env, start_new_session=True)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGINT)
        await started.wait()


async def is_up(api: httpx.AsyncClient) -> bool:
    try:
        return (await api.get("/health/live")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


async def has_worker(api: httpx.AsyncClient) -> bool:
    """Whether a run gets done: proof that the worker claims."""
    await publish(api, "name: hello\ntasks:\n  - name: only\n    run: [/bin/true]\n")
    return await start(api, "hello", wait=1) == "COMPLETED"


async def publish(api: httpx.AsyncClient, text: str) -> None:
    yaml = {"Content-Type": "application/yaml"}
    (await api.post("/process-types", content=text, headers=yaml)).raise_for_status()


async def start(api: httpx.AsyncClient, name: str, *, wait: int) -> str:
    """The state of the run when it ended, or when the wait was over."""
    prefer = {"Prefer": f"wait={wait}"}
    answer = await api.post("/runs", json={"type": name}, headers=prefer)
    state: str = answer.raise_for_status().json()["status"]
    return state


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def runner_of(folder: Path) -> int:
    """The runner's own process: the last one that has the spool in its command line."""
    spool = os.fsencode(folder / "runners" / WORKER)
    found = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return max(int(entry.name) for entry in found if spool in command_line(entry))


def command_line(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
