"""Each service of docker-compose.yml without containers: its command, environment, health check."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from scheduler.embedded.binaries import packaged
from tests.support.postgres import Cluster
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
WELL_WITHIN = 60.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Host:
    """What a container would have: its secrets, its network names, its ports."""

    folder: Path
    database_port: int

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    def environment(self, service: dict[str, Any]) -> dict[str, str]:
        given = {
            name: str(value).replace("/run/secrets", str(self.secrets))
            for name, value in service.get("environment", {}).items()
        }
        programs = f"{Path(sys.executable).parent}:{packaged().folder}"
        path = f"{programs}:{os.environ['PATH']}"
        return {"PATH": path, "PGPORT": str(self.database_port), **given}


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    """The service `postgres` with the settings that its command names, reachable by TCP."""
    port = free_port()
    words = SERVICES["postgres"]["command"]
    settings = dict(word.split("=") for word in words if "=" in word)
    network = {"listen_addresses": "127.0.0.1", "port": str(port)}
    cluster = Cluster(tmp_path / "pg", packaged(), **settings, **network)
    await cluster.start()
    write_secrets(tmp_path / "secrets", cluster.postgres.home / "pgpass", port)
    yield Host(tmp_path, port)
    await cluster.stop()


def write_secrets(folder: Path, pgpass: Path, port: int) -> None:
    password = pgpass.read_text().strip().rpartition(":")[2]
    url = f"postgresql://procession:{password}@127.0.0.1:{port}/procession"
    folder.mkdir()
    (folder / "procession_database_url").write_text(url)
    (folder / "procession_admin_token").write_text(f"pn_admin_{'a' * 43}")


async def carry_out(host: Host, service: dict[str, Any], argv: Sequence[str], cwd: Path) -> int:
    process = await asyncio.create_subprocess_exec(
        *argv, env=host.environment(service), cwd=cwd, stdout=DEVNULL
    )
    return await process.wait()


@asynccontextmanager
async def running(host: Host, name: str, port: int) -> AsyncIterator[Path]:
    cwd = host.folder / name
    cwd.mkdir()
    process = await asyncio.create_subprocess_exec(
        *with_port(SERVICES[name]["command"], port),
        env=host.environment(SERVICES[name]),
        cwd=cwd,
    )
    try:
        yield cwd
        assert process.returncode is None, f"{name} ended by itself"
    finally:
        if process.returncode is None:
            process.terminate()
        assert await process.wait() == 0


def with_port(words: Sequence[str], port: int) -> list[str]:
    """Containers have a port 8080 each; here they share one machine."""
    return [word.replace("8080", str(port)) for word in words]


def workers_of(host: Host) -> set[str]:
    with psycopg.connect((host.secrets / "procession_database_url").read_text()) as conn:
        living = "select name from holders where lease_until > clock_timestamp()"
        return {name for (name,) in conn.execute(living)}


async def wait_until_well(host: Host, name: str, port: int, cwd: Path) -> None:
    service = SERVICES[name]
    check = with_port(service["healthcheck"]["test"][1:], port)
    async with asyncio.timeout(WELL_WITHIN):
        while True:
            if await carry_out(host, service, check, cwd) == 0:
                return
            await asyncio.sleep(0.1)


async def test_the_database_is_well_by_its_own_check(host: Host) -> None:
    await wait_until_well(host, "postgres", host.database_port, host.folder)


async def test_every_service_becomes_well_and_stops_when_told(host: Host) -> None:
    migrate = SERVICES["migrate"]
    assert await carry_out(host, migrate, migrate["command"], host.folder) == 0
    for name in ("server-1", "server-2"):
        port = free_port()
        async with running(host, name, port) as cwd:
            await wait_until_well(host, name, port, cwd)
    async with running(host, "worker-1", 0) as cwd, running(host, "worker-2", 0):
        await wait_until_well(host, "worker-1", 0, cwd)
        await until(lambda: workers_of(host) == {"worker-1", "worker-2"})


async def test_a_service_is_not_well_before_the_migration(host: Host) -> None:
    service = SERVICES["worker-1"]
    check = service["healthcheck"]["test"][1:]
    assert await carry_out(host, service, check, host.folder) != 0
