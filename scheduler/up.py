"""`procession up`: database, server and workers of one machine, started and stopped together."""

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from scheduler.demo import demo_types
from scheduler.domain.errors import Conflict, Invalid
from scheduler.embedded import EmbeddedPostgres
from scheduler.embedded.folders import make_writable, try_lock
from scheduler.services import access, definitions, login_links
from scheduler.settings import ServerSettings, Settings
from scheduler.signals import stop_on_signals
from scheduler.store import connections, process_types
from scheduler.store.migrations import migrate
from scheduler.supervise import Part, supervise

Address = tuple[str, int]

LETTING_GO = 2.0  # seconds: a server that was just killed may still have the port
ALIVE = b"GET /health/live HTTP/1.0\r\nHost: localhost\r\n\r\n"
COMMAND = (sys.executable, "-m", "scheduler")


async def up_main(
    settings: Settings, *, workers: int = 1, say: Callable[[str], None] = print
) -> None:
    """Run until asked to stop. SIGINT stops running commands too; SIGTERM leaves them to their
    runners, and the workers of the next start take them up again."""
    directory = settings.data_dir.expanduser().absolute()
    heard: list[int] = []
    make_writable(directory)
    with stop_on_signals(heard.append) as stop, only_one(directory):
        address = await free_address(settings.server)
        postgres = None if settings.database_url else EmbeddedPostgres(directory)
        try:
            url = await database_url(settings, postgres)
            await prepare(url, directory, settings)
            parts = parts_of(environment(url, directory, address), workers, lambda: last(heard))
            ready = announce(address, directory / access.FILE, partial(way_in, url, settings), say)
            await live(parts, ready, postgres, stop)
        finally:
            if postgres is not None:
                await postgres.stop()


async def database_url(settings: Settings, postgres: EmbeddedPostgres | None) -> str:
    if postgres is not None:
        return (await postgres.start()).url
    return settings.database_url.get_secret_value() if settings.database_url else ""


async def prepare(url: str, directory: Path, settings: Settings) -> None:
    """The schema, somebody who may log in, and on a first start something to try."""
    await migrate(url)
    async with await connections.connect(url, name="up") as conn:
        if settings.admin_token:
            await access.register_first(conn, settings.admin_token.get_secret_value())
        else:
            await access.ensure_admin(conn, directory / access.FILE)
        if not await process_types.page(conn, limit=1):
            await definitions.publish(conn, demo_types(), by="procession")


async def live(
    parts: Sequence[Part],
    ready: Coroutine[None, None, None],
    postgres: EmbeddedPostgres | None,
    stop: asyncio.Event,
) -> None:
    async with asyncio.TaskGroup() as group:
        beside = [group.create_task(ready, name="announce")]
        if postgres is not None:
            beside.append(group.create_task(postgres.keep(), name="postgres"))
        await supervise(parts, stop)
        for task in beside:
            task.cancel()


async def way_in(url: str, settings: Settings) -> str:
    """Lets whoever sees our output into the dashboard, once."""
    async with await connections.connect(url, name="up") as conn:
        link = await login_links.made(conn, settings.server.sign_in, by="up")
    return link.path


async def announce(
    address: Address, token: Path, way: Callable[[], Awaitable[str]], say: Callable[[str], None]
) -> None:
    """Where it is, once the server answers."""
    host, port = address
    while True:
        if await answers(connectable(host), port):
            break
        await asyncio.sleep(0.02)  # nothing tells us of another process's listening
    where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    say(f"ready {where}  (log in with the token in {token})")
    say(f"dashboard {where}/ui")
    say(f"sign in {where}{await way()}  (good once, for a few minutes)")


async def answers(host: str, port: int) -> bool:
    """Whether the server serves: one that only listens has not yet told this machine of itself."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        writer.write(ALIVE)
        return (await reader.readline()).startswith(b"HTTP/")
    except OSError:
        return False
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def connectable(host: str) -> str:
    """Where to knock at a server that listens everywhere."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def parts_of(
    environment: dict[str, str], workers: int, how: Callable[[], signal.Signals]
) -> list[Part]:
    """The server first and the workers after it; they end the other way round."""
    server = Part(name="server", argv=[*COMMAND, "serve"], env=environment, stop_with=how)
    return [server, *(worker_part(environment, number, how) for number in range(workers))]


def worker_part(
    environment: dict[str, str], number: int, how: Callable[[], signal.Signals]
) -> Part:
    name = f"{socket.gethostname()}-{number}"
    env = {**environment, "PROCESSION_WORKER__NAME": name}
    return Part(name=f"worker {name}", argv=[*COMMAND, "worker"], env=env, stop_with=how)


def environment(url: str, directory: Path, address: Address) -> dict[str, str]:
    """What the parts are told, not as arguments: a database URL may hold a password."""
    host, port = address
    return {
        **os.environ,
        "PROCESSION_DATABASE_URL": url,
        "PROCESSION_DATA_DIR": str(directory),
        "PROCESSION_SERVER__HOST": host,
        "PROCESSION_SERVER__PORT": str(port),
    }


def last(heard: Sequence[int]) -> signal.Signals:
    return signal.Signals(heard[-1]) if heard else signal.SIGTERM


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """The lock ends with its process, however that ends."""
    with (directory / "up.lock").open("w") as file:
        if not try_lock(file.fileno()):
            raise Conflict(
                f"procession is up already in {directory}: stop that one, or give another "
                "folder with --data-dir"
            )
        yield


async def free_address(settings: ServerSettings) -> Address:
    """Where the server will listen, tried before anything is started; port 0 takes a free one."""
    begun = asyncio.get_running_loop().time()
    while True:
        try:
            return settings.host, try_to_bind(settings.host, settings.port)
        except OSError as error:
            waited = asyncio.get_running_loop().time() - begun
            if error.errno != errno.EADDRINUSE or waited > LETTING_GO:
                raise Invalid(
                    f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; "
                    "choose another with --host or --port",
                    field="port",
                ) from error
        await asyncio.sleep(0.1)


def try_to_bind(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((host, port))
        return int(trial.getsockname()[1])
