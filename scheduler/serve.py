"""The whole life of a server: what is started, and how it ends."""

import asyncio
import gc
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from psycopg import AsyncConnection

from edge.gateway.watch import Watch
from edge.remote.watch import Watch as RemoteWatch
from edge.wire import LARGEST
from scheduler import address
from scheduler.app import create_app
from scheduler.chores import catalog as chores
from scheduler.chores.kinds import Pool, Tools
from scheduler.chores.plane import Plane, server_name
from scheduler.domain.errors import Invalid
from scheduler.domain.wakes import Wake
from scheduler.loops.announcer import Announcer
from scheduler.loops.clock import Clock
from scheduler.loops.janitor import Janitor
from scheduler.loops.keeper import Keeper
from scheduler.loops.listener import Listener
from scheduler.loops.promoter import Promoter
from scheduler.loops.pulse import Pulse
from scheduler.loops.reaper import Reaper
from scheduler.loops.router import Router
from scheduler.ready import keys_of, require_ready
from scheduler.services import access, secrets
from scheduler.services.catalog import Catalog
from scheduler.services.keyring import Keys
from scheduler.settings import Settings
from scheduler.signals import stop_on_signals
from scheduler.steady import keep_going
from scheduler.store import connections, tokens
from scheduler.wire import Answered, BoundedProtocol
from scheduler.work import policy_of

log = logging.getLogger(__name__)

BACKLOG = 2048

Loops = dict[str, Callable[[], Any]]


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
    web = WebServer(web_config(url, settings, keys))
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
        listening.listen(BACKLOG)  # who is early waits, and is not refused
    except OSError as error:
        listening.close()
        raise Invalid(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port",
            field="port",
        ) from error
    return listening


def web_config(url: str, settings: Settings, keys: Keys) -> uvicorn.Config:
    named = settings.server.model_copy(update={"environment": settings.environment})
    app = create_app(url, named)
    app.state.keys = keys
    app.state.settings = settings
    return uvicorn.Config(
        app,
        http=BoundedProtocol,  # httptools: a tenth of a millisecond less a request than h11
        ws=Answered,
        ws_max_size=LARGEST,
        ws_per_message_deflate=False,  # it costs more memory for each workstation than it saves
        ws_ping_interval=None,  # workstations say themselves that they live
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
        "route": Router(catalog, settings.server.events.keep).work,
        "reap": Reaper(catalog, settings.lease.length, Pulse(), say).work,
        "watch": Watch(catalog, say, patience=settings.server.workstations.accept_within).work,
        "timeouts": RemoteWatch(catalog, say, beat=settings.server.remote.beat).work,
        "janitor": Janitor(settings.server.keys_live).work,
        "keeper": Keeper(list(chores.KINDS), settings.chores.silent_after, server_name()).work,
    }
    plane = Plane(url, settings.chores, chores.KINDS, tools_of(settings))
    loops = {name: steadily(url, name, work) for name, work in works.items()}
    return {**loops, "chores": plane.work}


def tools_of(settings: Settings) -> Callable[[Pool, int], Tools]:
    """What all chores of this server share."""
    catalog, keys, policy = Catalog(), keys_of(settings), policy_of(settings.http)

    def make(pool: Pool, job: int) -> Tools:
        return Tools(pool, catalog, keys, policy, settings.mail, job)

    return make


def steadily(url: str, name: str, work: Any) -> Callable[[], Any]:
    async def loop() -> None:
        engine = name in ("promote", "clock", "route", "reap", "watch", "timeouts")
        await keep_going(
            lambda: connections.connect(url, name=f"server {name}", engine=engine),
            work,
            name=name,
        )

    return loop
