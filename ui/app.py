"""The dashboard's routes, put together for the server's one application."""

from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from scheduler.api.methods import addresses
from scheduler.api.placing import placed
from scheduler.domain.errors import NotFound
from ui import access, live
from ui.frame import EDITIONS, HERE
from ui.pages import (
    alert_rules,
    alerts,
    audit,
    chores,
    dead_letters,
    definitions,
    events,
    inbox,
    insights,
    joining,
    letters_in_bulk,
    login,
    logs,
    now,
    people,
    process,
    processes,
    queues,
    record_forms,
    records,
    reference,
    run,
    runs,
    schedule,
    schedule_forms,
    schedules,
    search,
    secrets,
    sessions,
    start,
    stations,
    system,
    tokens,
    triggers,
    webhooks,
    workers,
    workstation,
    workstations,
)
from ui.screen import Screen
from ui.sharing import Live

KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
ASSETS = {name: (HERE / "static" / name).read_bytes() for name in EDITIONS}
FOR_GOOD = "public, max-age=31536000, immutable"  # another edition has another address

outside = APIRouter(route_class=Screen)
inside = APIRouter(route_class=Screen)


@outside.get("/")
async def ui_root() -> Response:
    return RedirectResponse("/ui", 303)


@inside.get("/static/{name}")
async def ui_static(name: str, request: Request) -> Response:
    if name not in ASSETS:
        raise NotFound("there is no such file")
    is_named = request.query_params.get("v") == EDITIONS[name]
    headers = {"Cache-Control": FOR_GOOD if is_named else "no-cache"}
    return Response(ASSETS[name], media_type=KINDS[Path(name).suffix], headers=headers)


@inside.get("/{rest:path}")
async def ui_nowhere(rest: str) -> Response:
    raise NotFound("there is no page at this address")


SCREENS = (
    login,
    now,
    runs,
    run,
    logs,
    processes,
    definitions,
    process,
    record_forms,
    start,
    records,
    inbox,
    letters_in_bulk,
    dead_letters,
    workers,
    workstations,
    workstation,
    joining,
    stations,
    queues,
    schedules,
    schedule_forms,
    schedule,
    secrets,
    people,
    tokens,
    sessions,
    chores,
    alert_rules,
    alerts,
    audit,
    system,
    reference,
    search,
    events,
    triggers,
    webhooks,
    insights,
    live,
)
ROUTERS = (("", outside), *(("/ui", each.router) for each in SCREENS), ("/ui", inside))


def mount(app: FastAPI) -> None:
    """Screens stand beside the API and not in its description."""
    access.require_verdicts(names())
    for prefix, router in ROUTERS:
        there = placed(router.routes, prefix, include_in_schema=False)
        app.router.routes.extend(there)
        app.state.addresses.extend(addresses(there))


def begin(app: FastAPI) -> None:
    """What the open pages of this one server have in common."""
    app.state.live = Live(app.state.server.hub)


def names() -> list[str]:
    return [
        route.name
        for _, router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
    ]
