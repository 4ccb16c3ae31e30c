"""One run for each key: however many ask at once, and though the server is killed before it can
answer. `PROCESSION_LONG=1` asks with 200 keys instead of 10."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from psycopg import AsyncConnection

from scheduler.services.access import Role
from tests.support import builders
from tests.support.api import TWO, becomes, tokens_of
from tests.support.builders import engine, one
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
CALLERS = 50
KEYS = 200 if os.environ.get("PROCESSION_LONG") == "1" else 10
ORDER = {"type": "two"}


@dataclass
class Served:
    folder: Path
    dsn: str
    token: str
    process: subprocess.Popen[bytes] | None = None

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """A server of its own process, begun anew, and a client of it."""
        file = self.folder / "server.json"
        file.unlink(missing_ok=True)
        self.begin()
        await until(file.exists, within=60)
        async with httpx.AsyncClient(
            base_url=json.loads(file.read_text())["url"] + "/api/v1",
            headers={"Authorization": f"Bearer {self.token}"},
            # Shorter than the server's own patience: a connection is never used as it closes it.
            limits=httpx.Limits(max_connections=CALLERS, keepalive_expiry=2),
            trust_env=False,
            timeout=120,
        ) as client:
            yield client
        self.kill()

    def begin(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scheduler", "serve", "--port", "0"],
            env={
                **{name: value for name, value in os.environ.items() if "PROCESSION" not in name},
                "PROCESSION_DATABASE_URL": self.dsn,
                "PROCESSION_DATA_DIR": str(self.folder),
                "PYTHONPATH": str(ROOT),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
async def served(dsn: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with await engine(dsn) as conn:
        await builders.publish(conn, TWO)
    served = Served(tmp_path, dsn, (await tokens_of(dsn))[Role.OPERATOR])
    yield served
    served.kill()


async def test_as_many_runs_as_keys_however_many_ask_with_each(
    served: Served, db: AsyncConnection
) -> None:
    async with served.client() as client:

        async def ask(caller: int) -> list[tuple[str, str, bool]]:
            found = []
            for key in keys_from(caller):
                answer = await client.post("/runs", json=ORDER, headers={"Idempotency-Key": key})
                assert answer.status_code == 201, answer.text
                replayed = "idempotency-replayed" in answer.headers
                found.append((key, answer.json()["id"], replayed))
            return found

        told = [
            each for caller in await asyncio.gather(*map(ask, range(CALLERS))) for each in caller
        ]

    assert len(told) == CALLERS * KEYS
    assert len({(key, run) for key, run, _ in told}) == KEYS
    assert sum(not replayed for _, _, replayed in told) == KEYS
    assert await one(db, "select count(*) from runs") == KEYS


def keys_from(caller: int) -> Iterator[str]:
    """All keys; each caller begins with another, so that some ask first and some at once."""
    for number in range(KEYS):
        yield f"key-{(number + caller // 10) % KEYS}"


async def test_who_asks_again_after_the_server_was_killed_gets_the_run_that_was_begun(
    served: Served, db: AsyncConnection
) -> None:
    await db.set_autocommit(True)
    key = {"Idempotency-Key": "monday"}

    async def has_begun() -> bool:
        return bool(await one(db, "select count(*) from runs"))

    async with served.client() as client:
        # Nobody carries it out, so the commit is over and the answer still to come.
        waiting = asyncio.create_task(
            client.post("/runs", json=ORDER, headers={**key, "Prefer": "wait=60"})
        )
        await becomes(has_begun)
        served.kill()
        with pytest.raises(httpx.TransportError):
            await waiting

    async with served.client() as client:
        again = await client.post("/runs", json=ORDER, headers=key)
    assert again.status_code == 201
    assert again.headers["idempotency-replayed"] == "true"
    assert await one(db, "select count(*) from runs") == 1
    assert again.json()["id"] == str(await one(db, "select id from runs"))
