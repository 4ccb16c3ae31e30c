"""The whole life of a server and of a worker: what is started, and how it ends."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvicorn
from psycopg import AsyncConnection, OperationalError

from executor import link as runner
from executor.http import Policy
from scheduler import address
from scheduler.app import create_app
from scheduler.calls import Calls
from scheduler.domain.errors import Invalid, Unavailable
from scheduler.domain.wakes import Wake
from scheduler.hands import BothHands, RunnerHands
from scheduler.loops.announcer import Announcer
from scheduler.loops.clock import Clock
from scheduler.loops.janitor import Janitor
from scheduler.loops.listener import Listener
from scheduler.loops.promoter import Promoter
from scheduler.loops.pulse import Pulse
from scheduler.loops.reaper import Reaper
from scheduler.services import access, secrets
from scheduler.services.catalog import Catalog
from scheduler.services.keyring import Keys
from scheduler.settings import HttpSettings, ServerSettings, Settings, WorkerSettings
from scheduler.signals import stop_on_signals
from scheduler.steady import keep_going
from scheduler.store import connections, tokens
from scheduler.store.migrations import pending, require_version
from scheduler.wire import BoundedProtocol
from scheduler.worker import Fenced, RunnerGone, Worker, identity_of

log = logging.getLogger(__name__)

Loops = dict[str, Callable[[], Any]]


async def require_ready(url: str, host: str | None = None) -> None:
    """Refuse to begin on a database that is away, too old or not migrated, or without an admin
    where others could come in."""
    try:
        async with await AsyncConnection.connect(url, connect_timeout=5) as conn:
            require_version(conn.info.server_version)
            if missing := await pending(conn):
                raise Unavailable(
                    f"the database lacks migration {missing[0]}: run `procession migrate` first"
                )
            if host is not None:
                await access.require_admin_beyond_loopback(conn, host)
    except OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise Unavailable(f"the database cannot be reached: {reason}") from error


# The server


class WebServer(uvicorn.Server):
    """Uvicorn, with the signals left to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def server_main(url: str, settings: Settings) -> None:
    server = settings.server
    await require_ready(url)
    if settings.admin_token or access.is_loopback(server.host):
        await ensure_admin(url, settings)
    await require_ready(url, server.host)
    keys = keys_of(settings)
    await ensure_key(url, keys)
    listening = bind(server.host, server.port)
    web = WebServer(web_config(url, server, keys))
    spare_collections()
    with stop_on_signals() as stop, known_here(settings.data_dir, listening):
        async with asyncio.TaskGroup() as group:
            loops = [
                group.create_task(loop(), name=n) for n, loop in loops_of(url, settings).items()
            ]
            serving = group.create_task(web.serve(sockets=[listening]), name="web")
            leaving = group.create_task(stop.wait(), name="stop")
            await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
            web.should_exit = True
            for task in (*loops, leaving):
                task.cancel()


def spare_collections() -> None:
    """What is loaded by now stays for good: to go over it time and again would stop all requests
    for tens of milliseconds."""
    gc.collect()
    gc.freeze()


async def ensure_admin(url: str, settings: Settings) -> None:
    """Where there is no admin, the given token becomes one, or one is made in the data folder."""
    async with await AsyncConnection.connect(url, autocommit=True) as conn:
        if await tokens.has_admin(conn):
            return
        if given := settings.admin_token:
            await access.register_first(conn, given.get_secret_value())
            return
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        await access.ensure_admin(conn, settings.data_dir / "admin.token")


async def ensure_key(url: str, keys: Keys) -> None:
    """What encrypts secrets is there before anybody can put one."""
    async with await connections.connect(url, name="server keys") as conn:
        await secrets.ensure_key(conn, keys)


@contextmanager
def known_here(data_dir: Path, listening: socket.socket) -> Iterator[None]:
    """Commands on this machine find the server by its data folder, where there is one."""
    host, port = listening.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    here = data_dir.is_dir() and os.access(data_dir, os.W_OK)
    if here:
        address.leave(data_dir, url)
    try:
        yield
    finally:
        if here:
            address.take_away(data_dir, url)


def bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP: of a socket that is not, asyncio leaves Nagle's delay on.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise Invalid(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port",
            field="port",
        ) from error
    return listening


def web_config(url: str, settings: ServerSettings, keys: Keys) -> uvicorn.Config:
    app = create_app(url, settings)
    app.state.keys = keys
    return uvicorn.Config(
        app,
        http=BoundedProtocol,  # httptools: a tenth of a millisecond less a request than h11
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=30,  # longer than clients keep theirs, or the two ends race
    )


def loops_of(url: str, settings: Settings) -> Loops:
    """The loops that every server has, each on a connection of its own."""
    catalog, looking, announcer = Catalog(), Pulse(), Announcer()

    def heard(wake: Wake) -> None:
        if wake.due:
            looking.poke()

    def say(wake: Wake) -> None:
        heard(wake)
        announcer.say(wake)

    works = {
        "listen": Listener(heard).work,
        "announce": announcer.work,
        "promote": Promoter(catalog, looking, say).work,
        "clock": Clock(catalog).work,
        "reap": Reaper(catalog, settings.lease.length, Pulse(), say).work,
        "janitor": Janitor(settings.server.keys_live).work,
    }
    return {name: steadily(url, name, work) for name, work in works.items()}


def steadily(url: str, name: str, work: Any) -> Callable[[], Any]:
    async def loop() -> None:
        engine = name in ("promote", "clock", "reap")
        await keep_going(
            lambda: connections.connect(url, name=f"server {name}", engine=engine),
            work,
            name=name,
        )

    return loop


# The worker


async def worker_main(url: str, settings: Settings) -> None:
    """SIGTERM leaves commands to the runner, for the worker's next life; SIGINT stops them."""
    await require_ready(url)
    worker = settings.worker.model_copy(update={"lease": settings.lease, "http": settings.http})
    name = worker.name or f"{socket.gethostname()}-0"
    spool = settings.data_dir / "runners" / safe(name)
    signals: list[int] = []
    with stop_on_signals(signals.append) as stop:
        async with runner.hold_spool(spool):
            life = make_worker(url, name, spool, worker, keys_of(settings))
            try:
                await life.run(stop, down=lambda: signal.SIGINT in signals)
            except* (Fenced, RunnerGone) as group:
                for error in group.exceptions:
                    log.error(str(error))
                raise SystemExit(1) from None


def make_worker(url: str, name: str, spool: Path, settings: WorkerSettings, keys: Keys) -> Worker:
    identity = identity_of(
        name, host=socket.gethostname(), version=version("procession"), settings=settings
    )
    calls = Calls(policy_of(settings.http), slots=settings.slots)
    hands = BothHands(RunnerHands(spool, slots=settings.slots), calls)
    return Worker(url, settings, identity, hands, keys)


def policy_of(settings: HttpSettings) -> Policy:
    ca_file = str(settings.ca_file) if settings.ca_file else None
    return Policy(settings.allow_private, ca_file)


def keys_of(settings: Settings) -> Keys:
    text = settings.secret_keys.get_secret_value() if settings.secret_keys else None
    return Keys(text=text, file=settings.secret_keys_file, data_dir=settings.data_dir)


def safe(name: str) -> str:
    if not name or name.startswith(".") or os.sep in name or not name.isprintable():
        raise Invalid(
            f"{name!r} cannot be a worker's name: it must be good for a file", field="name"
        )
    return name
