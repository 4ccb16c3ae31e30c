"""Composition root of the web process: the API, the dashboard, their connections, a listener."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from starlette.middleware import Middleware

from edge.gateway import carriers
from edge.gateway.dialer import Dialer
from edge.gateway.gateway import Gateway, opened
from edge.remote import carriers as remote_carriers
from edge.remote import office
from edge.remote.office import Office
from scheduler.api import (
    aliases,
    approvals,
    audit,
    chores,
    commands,
    dead_letters,
    documents,
    events,
    exports,
    files,
    health,
    history,
    metrics,
    notifications,
    occurrences,
    once,
    output_events,
    problems,
    process_records,
    process_types,
    queues,
    reference,
    retention,
    run_selections,
    runs,
    schedules,
    secrets,
    starting,
    statistics,
    tasks,
    tokens,
    triggers,
    users,
    variables,
    webhooks,
    workers,
    workflows,
    workstations,
    workstations_own,
)
from scheduler.api.access import OPEN, STATION, VERDICTS, require_verdicts
from scheduler.api.compression import Compress
from scheduler.api.deadlines import Deadline
from scheduler.api.documents import Traits
from scheduler.api.headers import SecurityHeaders
from scheduler.api.live import SAFETY, Hub
from scheduler.api.measures import Measure
from scheduler.api.methods import Head, addresses
from scheduler.api.placing import placed
from scheduler.api.quick import Quick, Way
from scheduler.api.state import Server
from scheduler.domain.wakes import Wake
from scheduler.loops.listener import Listener
from scheduler.settings import ServerSettings
from scheduler.steady import Work, keep_going
from scheduler.store import connections
from ui import app as dashboard

PARTS = (
    runs,  # asked for most: addresses are tried in this order
    run_selections,
    process_types,
    process_records,
    commands,
    events,
    files,
    history,
    tasks,
    output_events,
    workflows,
    dead_letters,
    approvals,
    occurrences,
    triggers,
    webhooks,
    queues,
    chores,
    retention,
    exports,
    notifications,
    schedules,
    workers,
    workstations,
    workstations_own,
    variables,
    tokens,
    users,
    secrets,
    audit,
    health,
    statistics,
)
log = logging.getLogger(__name__)

PREFIX = "/api/v1"
MOUNTED = [
    *((PREFIX, part.router) for part in PARTS),
    (PREFIX, carriers.router),
    (PREFIX, remote_carriers.router),
    *(("", part.router) for part in (metrics, reference, aliases)),
]
QUICK = {
    ("POST", f"{PREFIX}/runs"): Way("start_run", "runs", starting.quickly),
    ("POST", f"{PREFIX}/runs?ack=memory"): Way("start_run", "runs", starting.taken_quickly),
}
STATEMENTS_END = "10s"
VERSION = version("procession")

Loop = Callable[[], Coroutine[Any, Any, None]]
Hearers = tuple[Hub, Gateway, Office]


def create_app(url: str, settings: ServerSettings, *, is_visited: bool = True) -> FastAPI:
    """The web application on the database at `url`; it opens nothing before it is started.

    Where no workstation and no worker ever comes, what they need besides requests may be left out.
    """
    server = Server(settings, Hub())
    gateway = Gateway(url, settings.workstations, server.hub.heard)
    remotes = Office(url, settings.remote, server.hub.heard)
    app = FastAPI(
        title="Procession",
        version=VERSION,
        summary="Everything that can be done, done over HTTP.",
        description=documents.DESCRIPTION,
        lifespan=lifespan(url, server, gateway, remotes, is_visited),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(Measure, requests=server.requests),
            Middleware(SecurityHeaders),
            Middleware(Head),
            Middleware(Compress),
            Middleware(Deadline, server=server),
            Middleware(Quick, ways=QUICK),
        ],
    )
    book = book_of_routes()
    app.state.server = server
    app.state.gateway = gateway
    app.state.office = remotes
    app.state.addresses = book.state.addresses
    app.state.document = partial(document_of, app)
    app.state.parts = MOUNTED
    app.router.routes.extend(book.router.routes)
    dashboard.begin(app)
    problems.install(app)
    return app


@cache
def book_of_routes() -> FastAPI:
    """What all applications of this process answer to: worked out once, which takes its time."""
    book = FastAPI(openapi_url=None)
    book.state.addresses = []
    for prefix, router in MOUNTED:
        require_verdicts(route.name for route in router.routes if isinstance(route, APIRoute))
        there = placed(router.routes, prefix)
        book.router.routes.extend(there)
        book.state.addresses.extend(addresses(there))
    dashboard.mount(book)
    return book


def describe(app: FastAPI) -> str:
    """The text of openapi.yaml."""
    return documents.as_yaml(document_of(app))


def document_of(app: FastAPI) -> dict[str, Any]:
    return documents.described(app, traits(app.state.server.settings))


def traits(settings: ServerSettings) -> Traits:
    routes = [each for _, router in MOUNTED for each in router.routes if isinstance(each, APIRoute)]
    return Traits(
        open=frozenset(name for name, roles in VERDICTS.items() if roles is OPEN),
        stations=frozenset(name for name, roles in VERDICTS.items() if roles is STATION),
        keyed=frozenset(each.name for each in routes if once.takes_key(each)),
        page=settings.page_limit,
    )


def lifespan(
    url: str, server: Server, gateway: Gateway, remotes: Office, is_visited: bool
) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        visitors = beside(url, gateway, remotes) if is_visited else {}
        size = server.settings.pool
        async with (
            connections.open_pool(bounded(url), name="server", size=size) as pool,
            opened(gateway),
            office.opened(remotes),
            asyncio.TaskGroup() as group,
        ):
            server.pool, server.group = pool, group
            gateway.keys = getattr(app.state, "keys", gateway.keys)
            hearers = (server.hub, gateway, remotes)
            loops = [
                group.create_task(listening(url, hearers), name="listen"),
                group.create_task(server.callers.work(), name="callers"),
                group.create_task(server.starts.work(), name="starts"),
                group.create_task(server.shelf.work(), name="shelf"),
                group.create_task(server.intake.together.work(), name="events"),
                *(
                    group.create_task(lasting(name, work), name=name)
                    for name, work in visitors.items()
                ),
            ]
            yield
            await server.shelf.emptied()
            server.pool = server.group = None
            for loop in loops:
                loop.cancel()

    return life


def beside(url: str, gateway: Gateway, remotes: Office) -> Mapping[str, Loop]:
    """What workstations and workers need besides requests: some are called, as they cannot call."""
    return {
        "calls": partial(steadily, url, "calls", Dialer(gateway).work),
        **gateway.loops(),
        **remotes.loops(),
    }


async def listening(url: str, hearers: Hearers) -> None:
    """Those who follow look by themselves as well."""
    await lasting("listen", partial(steadily, url, "listen", partial(hear, hearers)))


async def lasting(name: str, work: Loop) -> None:
    """Requests go on without it, and it begins anew."""
    while True:
        try:
            return await work()
        except Exception:
            log.exception("a loop beside the requests failed", extra={"loop": name})
            await asyncio.sleep(SAFETY)


async def steadily(url: str, name: str, work: Work) -> None:
    await keep_going(lambda: connections.connect(url, name=f"server {name}"), work, name=name)


async def hear(hearers: Hearers, conn: AsyncConnection[Any]) -> None:
    hub, *_ = hearers

    def heard(wake: Wake) -> None:
        for each in hearers:
            each.heard(wake)

    try:
        await Listener(heard).work(conn)
    finally:
        hub.deaf()


def bounded(url: str) -> str:
    """No statement of a request runs for longer than its client waits."""
    options = conninfo_to_dict(url).get("options") or ""
    return make_conninfo(url, options=f"{options} -c statement_timeout={STATEMENTS_END}".strip())
