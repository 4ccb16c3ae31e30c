"""A real server, as a process of its own, on a test's database."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.waiting import patience

ROOT = Path(__file__).parents[2]


@dataclass
class Server:
    """May be killed; the next one is on the same port, so others find it where the last one was."""

    dsn: str
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if "PROCESSION" not in name},
            "PROCESSION_DATABASE_URL": self.dsn,
            "PROCESSION_DATA_DIR": str(self.folder / "data"),
            "PYTHONPATH": str(ROOT),
            **self.settings,
        }

    def begin(self) -> None:
        """It is not ready when this returns."""
        (self.folder / "data" / "server.json").unlink(missing_ok=True)
        port = str(urlsplit(self.url).port or 0)
        with (self.folder / "serve.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scheduler", "serve", "--port", port],
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def start(self) -> str:
        self.begin()
        return self.ready()

    def ready(self) -> str:
        assert self.process is not None, "it has not begun"
        self.url = address(self.process, self.folder)
        return self.url

    def listens(self) -> bool:
        return listens(self.url)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def end(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


@contextmanager
def served(dsn: str, folder: Path, **settings: str) -> Iterator[str]:
    """Its URL. No worker: what is started is nobody's to carry out."""
    server = Server(dsn, folder, settings)
    try:
        yield server.start()
    finally:
        server.end()


def address(server: subprocess.Popen[bytes], folder: Path) -> str:
    """What the server wrote down when it was ready."""
    file, end = folder / "data" / "server.json", time.monotonic() + patience(60)
    while not file.exists():
        assert server.poll() is None, (folder / "serve.log").read_text()
        assert time.monotonic() < end, "the server did not start"
        time.sleep(0.05)
    url: str = json.loads(file.read_text())["url"]
    while not listens(url):
        assert server.poll() is None, (folder / "serve.log").read_text()
        assert time.monotonic() < end, "the server does not listen"
        time.sleep(0.05)
    return url


def listens(url: str) -> bool:
    there = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((there.hostname, there.port)) == 0
