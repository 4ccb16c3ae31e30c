"""A plant: a server and workstations as processes, in networks of their own, on cables.

The server may be killed and started again; whoever asks for something as people do reaches it from
the tests' own network.
"""

import asyncio
import contextlib
import ipaddress
import os
import secrets
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.agents import SHELL, Station
from tests.support.edge_net import SERVER, Cable, Space, Switch, a_switch
from tests.support.postgres import Databases
from tests.support.system import PROCESSION, ROOT, Asking, System, clean_environment, free_port
from tests.support.waiting import patience, until

PORT, TLS_PORT = 8080, 8443
AGILE = {  # signs of life come often, so that a cut is soon known
    "PROCESSION_SERVER__WORKSTATIONS__BEAT": "1s",
    "PROCESSION_SERVER__WORKSTATIONS__POLL": "1s",
}


@dataclass
class Server(ABC):
    system: System
    process: asyncio.subprocess.Process | None = None
    starts: int = 0

    @property
    @abstractmethod
    def argv(self) -> list[str]: ...

    async def start(self) -> None:
        with (self.system.folder / "serve.log").open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.argv, env=self.system.environment, stderr=log
            )
        self.starts += 1
        async with self.system.asking() as api, asyncio.timeout(patience(90)):
            while not await self.answers(api):
                assert self.process.returncode is None, "the server ended: serve.log says why"
                await asyncio.sleep(0.05)

    async def answers(self, api: Asking) -> bool:
        with contextlib.suppress(OSError, Exception):
            return (await api.http.get("/health/live")).is_success
        return False

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            await self.process.wait()
            self.process = None


@dataclass
class Hub(Server):
    """In the network where the cables end."""

    space: Space | None = None

    @property
    def argv(self) -> list[str]:
        assert self.space is not None
        return self.space.inside(*PROCESSION, "serve", "--port", str(PORT))


@dataclass
class Wired(Station):
    """A workstation at the end of a cable, whose agent is started again when it has ended."""

    cable: Cable | None = None
    starts: int = 0
    stays: bool = True
    keeping: "asyncio.Task[None] | None" = None

    @property
    def program(self) -> tuple[str, ...]:
        assert self.cable is not None
        return tuple(self.cable.machine.inside(*PROCESSION))

    def keep(self) -> None:
        self.keeping = asyncio.create_task(self.kept(), name=f"keeping {self.name}")

    async def kept(self) -> None:
        while self.stays:
            await self.start()
            self.starts += 1
            assert self.process is not None
            await self.process.wait()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    async def leave_nothing(self) -> None:
        self.stays = False
        if self.keeping is not None:
            await until(lambda: self.process or None)
            self.kill()
            await self.keeping
        await super().leave_nothing()


@dataclass
class Plant:
    switch: Switch
    server: Server
    system: System
    stations: list[Wired] = field(default_factory=list)

    async def join_all(self, slots: int) -> None:
        async with self.system.asking() as api:
            for station in self.stations:
                more = ("--slots", str(slots), "--authorities", str(self.system.folder / "ca.pem"))
                await station.join(api, "--allow", SHELL, *more)


@asynccontextmanager
async def a_plant(
    databases: Databases, folder: Path, count: int, *, slots: int = 2, **settings: str
) -> AsyncIterator[Plant]:
    names = [f"ws-{number}" for number in range(count)]
    with a_switch(names) as switch, databases.cloned() as dsn, relayed(switch, folder) as url:
        system = a_system_at(url, dsn, folder, {**AGILE, **settings})
        plant = Plant(switch, Hub(system, space=switch.space), system)
        server = f"https://{SERVER}:{TLS_PORT}"
        for name, cable in zip(names, switch.cables, strict=True):
            plant.stations.append(Wired(system, name, server, folder / f"{name}.home", cable=cable))
        try:
            await plant.server.start()
            await plant.join_all(slots)
            for station in plant.stations:
                station.keep()
            yield plant
        finally:
            await asyncio.gather(*(each.leave_nothing() for each in plant.stations))
            await plant.server.end()


def a_system_at(url: str, dsn: str, folder: Path, settings: Mapping[str, str]) -> System:
    token = f"pn_admin_{secrets.token_urlsafe(32)}"
    environment = {
        **clean_environment(),
        "PROCESSION_DATABASE_URL": dsn,
        "PROCESSION_DATA_DIR": str(folder / "data"),
        "PROCESSION_ADMIN_TOKEN": token,
        **settings,
    }
    return System(folder, url, token, environment)


@contextmanager
def relayed(switch: Switch, folder: Path) -> Iterator[str]:
    """The URL by which people reach the server."""
    certify(folder)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        number = listening.fileno()
        relay = subprocess.Popen(
            switch.space.inside(
                sys.executable,
                str(ROOT / "tests" / "support" / "edge_relay.py"),
                *(str(number), SERVER, str(TLS_PORT), str(PORT)),
                *(str(folder / "ca.pem"), str(folder / "key.pem")),
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[number],
        )
        try:
            assert relay.stdout is not None
            assert relay.stdout.readline() == b"ready\n", "the relay has not begun"
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            relay.kill()
            relay.communicate()


def certify(folder: Path) -> None:
    """A certificate for the server's address, which vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plant")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address(SERVER))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key.pem").write_bytes(private)


@dataclass
class Loopback(Server):
    """In the tests' own network, where no cable is needed."""

    port: int = PORT

    @property
    def argv(self) -> list[str]:
        return [*PROCESSION, "serve", "--port", str(self.port)]


@asynccontextmanager
async def a_loopback(
    databases: Databases, folder: Path, **settings: str
) -> AsyncIterator[Loopback]:
    """A server that can be killed and started again at the same address."""
    port = free_port()
    with databases.cloned() as dsn:
        system = a_system_at(f"http://127.0.0.1:{port}", dsn, folder, settings)
        server = Loopback(system, port=port)
        try:
            await server.start()
            yield server
        finally:
            await server.end()
