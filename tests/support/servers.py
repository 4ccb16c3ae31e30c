"""A real server, as a process of its own, on a test's database."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.waiting import patience

ROOT = Path(__file__).parents[2]


@contextmanager
def served(dsn: str, folder: Path, **settings: str) -> Iterator[str]:
    """Its URL. No worker: what is started is nobody's to carry out."""
    with (folder / "serve.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "scheduler", "serve", "--port", "0"],
            env={
                **{name: value for name, value in os.environ.items() if "PROCESSION" not in name},
                "PROCESSION_DATABASE_URL": dsn,
                "PROCESSION_DATA_DIR": str(folder / "data"),
                "PYTHONPATH": str(ROOT),
                **settings,
            },
            stdout=log,
            stderr=log,
        )
        try:
            yield address(server, folder)
        finally:
            server.terminate()
            server.wait()


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
