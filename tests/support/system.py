"""A whole system of a test: a server, and workers that are started again when they end."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from executor import secret_files
from tests.support.postgres import Databases
from tests.support.runners import is_dead, parent_of
from tests.support.waiting import patience, until

PROCESSION = (sys.executable, "-m", "scheduler")
FINAL = ("COMPLETED", "FAILED", "STOPPED")
ROOT = Path(__file__).parents[2]

Json = dict[str, Any]


@dataclass
class System:
    """What a test knows of it: where it answers, and what its processes are told."""

    folder: Path
    url: str
    token: str
    environment: Mapping[str, str]

    @asynccontextmanager
    async def asking(self) -> AsyncIterator["Asking"]:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(
            base_url=f"{self.url}/api/v1", headers=headers, timeout=60, trust_env=False
        ) as http:
            yield Asking(http)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return self._run([*PROCESSION, *arguments])

    def shell(self, command: str) -> bytes:
        """`procession` with redirections."""
        return self._run(["sh", "-c", f"{' '.join(PROCESSION)} {command}"]).stdout

    def _run(self, argv: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            argv,
            env=self.asker,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=patience(60),
            check=False,
        )

    @property
    def asker(self) -> dict[str, str]:
        """The environment of somebody who asks this server."""
        known = {"PROCESSION_SERVER": self.url, "PROCESSION_TOKEN": self.token}
        return {**self.environment, **known}

    @asynccontextmanager
    async def worker(
        self, name: str, queue: str | None = None, **more: str
    ) -> AsyncIterator["Worker"]:
        """A worker that serves one queue, that of its name, kept alive until the test ends."""
        worker = Worker(name, queue or name, self, {**self.environment, **more})
        keeping = asyncio.create_task(worker.keep())
        try:
            await until(worker.is_ready)
            yield worker
        finally:
            await worker.end()
            await keeping


@dataclass
class Worker:
    name: str
    queue: str
    system: System
    environment: Mapping[str, str]
    stays: bool = True
    starts: int = 0
    process: asyncio.subprocess.Process | None = None
    may_start: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(self) -> None:
        """As a supervisor does; without its pauses, since here every end is wanted."""
        self.may_start.set()
        while self.stays:
            await self.may_start.wait()
            with self.log.open("a") as log:
                self.process = await asyncio.create_subprocess_exec(
                    *PROCESSION,
                    "worker",
                    f"--name={self.name}",
                    f"--queue={self.queue}",
                    env=self.environment,
                    stderr=log,
                    start_new_session=True,
                )
            self.starts += 1
            await self.process.wait()

    @property
    def log(self) -> Path:
        return self.system.folder / f"{self.name}.log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def is_ready(self) -> bool:
        return self.times_ready() == self.starts > 0

    def times_ready(self) -> int:
        return self.log.read_text().count("worker ready") if self.log.exists() else 0

    @property
    def runner(self) -> int:
        return next(iter(self.runners()))

    @property
    def guard(self) -> int:
        return parent_of(self.runner)

    def runners(self) -> list[int]:
        """The runner of this worker's spool, without its guard."""
        found = self.of_spool()
        return [pid for pid in found if parent_of(pid) in found]

    def of_spool(self) -> list[int]:
        spool = str(self.system.folder / "data" / "runners" / self.name)
        return [pid for pid in pids() if spool in arguments_of(pid)]

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def killed(self) -> None:
        """Killed, and ready again."""
        before = self.times_ready()
        self.signal(signal.SIGKILL)
        await until(lambda: self.times_ready() > before)

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Killed, and not started again before this is over."""
        self.may_start.clear()
        before = self.times_ready()
        self.signal(signal.SIGKILL)
        yield
        self.may_start.set()
        await until(lambda: self.times_ready() > before)

    async def end(self) -> None:
        self.stays = False
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        for pid in self.of_spool():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await until(lambda: not self.of_spool())
        self.clear_secret_files()

    def clear_secret_files(self) -> None:
        """What the next runner of this spool would do."""
        spool = self.system.folder / "data" / "runners" / self.name
        with contextlib.suppress(FileNotFoundError), spool_at(spool) as folder:
            secret_files.clear(folder)


@dataclass
class Asking:
    """What a test asks of the API, in one word each."""

    http: httpx.AsyncClient

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.http.get(path, params=params)
        assert answer.is_success, answer.text
        return answer.json()

    async def post(self, path: str, body: Json | None = None) -> Json:
        answer = await self.http.post(path, json=body or {})
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def publish(self, definition: Json) -> None:
        await self.post("/process-types", definition)

    async def start(self, name: str, queue: str, **task: Any) -> str:
        """A run of one task that is defined here and now."""
        await self.publish({"name": name, "queue": queue, "tasks": [{"name": "it", **task}]})
        return str((await self.post("/runs", {"type": name}))["id"])

    async def script(self, name: str, queue: str, script: str, **task: Any) -> str:
        return await self.start(name, queue, run=["/bin/sh", "-c", script], **task)

    async def task(self, run: str, name: str = "it") -> Json:
        return dict(await self.get(f"/runs/{run}/tasks/{name}"))

    async def attempts(self, run: str, name: str = "it") -> list[Json]:
        return list((await self.get(f"/runs/{run}/tasks/{name}/attempts"))["items"])

    async def ended(self, run: str, within: float = 60) -> Json:
        async with asyncio.timeout(patience(within)):
            while True:
                answer = await self.http.get(f"/runs/{run}", headers={"Prefer": "wait=20"})
                if answer.json()["status"] in FINAL:
                    return dict(answer.json())

    async def begun(self, run: str, attempt: int = 1, within: float = 30) -> Json:
        """The task, once this attempt of it has begun; one that is quick may be over by then."""
        async with asyncio.timeout(patience(within)):
            while True:
                task = await self.task(run)
                if task["attempt"] >= attempt:
                    return task
                await asyncio.sleep(0.05)

    async def output(self, run: str, attempt: int = 1, **params: Any) -> bytes:
        path = f"/runs/{run}/tasks/it/attempts/{attempt}/output"
        answer = await self.http.get(path, params=params)
        assert answer.is_success, answer.text
        return answer.content


@contextmanager
def a_system(databases: Databases, folder: Path, **settings: str) -> Iterator[System]:
    """A database and a server; the settings go to workers as well."""
    token = f"pn_admin_{secrets.token_urlsafe(32)}"
    with databases.cloned() as dsn:
        environment = {
            **clean_environment(),
            "PROCESSION_DATABASE_URL": dsn,
            "PROCESSION_DATA_DIR": str(folder / "data"),
            "PROCESSION_ADMIN_TOKEN": token,
            **settings,
        }
        with (folder / "serve.log").open("w") as log:
            port = free_port()
            server = subprocess.Popen(
                [*PROCESSION, "serve", "--port", str(port)], env=environment, stderr=log
            )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(server, url)
            yield System(folder, url, token, environment)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=patience(30))


@contextmanager
def spool_at(path: Path) -> Iterator[int]:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield folder
    finally:
        os.close(folder)


def clean_environment() -> dict[str, str]:
    """Ours, without what may be set for another system."""
    ours = {name: value for name, value in os.environ.items() if "PROCESSION" not in name}
    return {**ours, "PYTHONPATH": str(ROOT)}


def free_port() -> int:
    import socket

    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def wait_for(server: "subprocess.Popen[bytes]", url: str, within: float = 90.0) -> None:
    """For those who are in no loop, or in one that must not be left."""
    end = time.monotonic() + patience(within)
    while not answers(url):
        assert server.poll() is None, "the server ended: serve.log says why"
        assert time.monotonic() < end, f"{url} does not answer"
        time.sleep(0.02)


def answers(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/api/v1/health/live", trust_env=False).is_success
    return False


def pids() -> list[int]:
    found = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return [pid for pid in found if not is_dead(pid)]


def arguments_of(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def ledger_of(file: Path) -> list[list[str]]:
    """What commands noted, a line each; nothing if none has yet."""
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def facts(done: subprocess.CompletedProcess[bytes]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
