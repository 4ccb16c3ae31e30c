"""The way in and the way out, and how the pages are to look."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from scheduler.api.state import TheServer, server_of
from scheduler.domain.errors import NotFound, Refusal, Unauthenticated
from scheduler.services import login_links, sessions
from scheduler.services.access import PEOPLE
from ui import frame, session, words
from ui.screen import Screen

router = APIRouter(route_class=Screen)

HOME = "/ui"
YEAR = timedelta(days=365)
ENTRY = timedelta(hours=1)


@router.get("/login")
async def ui_login(request: Request) -> Response:
    """Who is in goes on: nobody is put out by a page elsewhere that leads here."""
    following = onward(request.query_params.get("next", HOME))
    with suppress(Unauthenticated):
        await session.authenticate(request)
        return RedirectResponse(following, 303)
    return door(request, following=following)


def door(
    request: Request, *, following: str, fault: str | None = None, name: str = "", status: int = 200
) -> Response:
    """A form can be sent by whoever has the cookie of the way in."""
    entry = session.value_of(request, session.ENTRY) or session.new_entry()
    values: dict[str, Any] = {"next": following, "fault": fault, "name": name, "secret": entry}
    answer = frame.rendered(request, "login.html", status=status, **values)
    session.keep(answer, request, entry, name=session.ENTRY, seconds=int(ENTRY.total_seconds()))
    session.drop(answer, request)
    return answer


@router.post("/login")
async def ui_sign_in(request: Request, server: TheServer) -> Response:
    form, settings = request.state.form, server.settings.sign_in
    following = onward(form.get("next", HOME))
    try:
        secret = await (with_token if form.get("token") else with_password)(request)
    except Refusal as error:
        status = frame.status_of(error)
        fault = " — ".join(filter(None, (sentence(error), error.remedy)))
        name = form.get("name")[:63]
        return door(request, following=following, fault=fault, name=name, status=status)
    answer = RedirectResponse(following, 303)
    session.keep(answer, request, secret, seconds=int(settings.length.total_seconds()))
    session.drop(answer, request, session.ENTRY)
    return answer


def sentence(error: Refusal) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


async def with_password(request: Request) -> str:
    server, form = server_of(request), request.state.form
    async with server.connection() as conn:
        return await sessions.begin(
            conn,
            form.get("name"),
            form.get("password"),
            source=frame.source_of(request),
            agent=request.headers.get("user-agent", ""),
            settings=server.settings.sign_in,
        )


async def with_token(request: Request) -> str:
    """An API token of somebody; those of machines open no page."""
    token: str = request.state.form.get("token").strip()
    try:
        caller = await server_of(request).callers.ask(token)
    except Unauthenticated:
        raise Unauthenticated("this token is unknown, expired or revoked") from None
    if caller.role not in PEOPLE:
        raise Unauthenticated(f"a token of role {caller.role} is for machines")
    return token


def onward(given: str) -> str:
    """A page of ours and nothing else: an address of somebody else's is not followed."""
    plain = given.isprintable() and "\\" not in given and len(given) < 2000
    return given if plain and (given == HOME or given.startswith(("/ui/", "/ui?"))) else HOME


@router.get("/login/link")
async def ui_link(request: Request) -> Response:
    """Opening a link changes nothing: whoever looks at it first, a mail program too, spends
    nothing. The code stands behind the #, or is pasted."""
    return link_page(request)


def link_page(request: Request, fault: str | None = None, status: int = 200) -> Response:
    entry = session.value_of(request, session.ENTRY) or session.new_entry()
    answer = frame.rendered(request, "link.html", status=status, fault=fault, secret=entry)
    session.keep(answer, request, entry, name=session.ENTRY, seconds=int(ENTRY.total_seconds()))
    return answer


@router.post("/login/link")
async def ui_follow_link(request: Request, server: TheServer) -> Response:
    settings = server.settings.sign_in
    try:
        async with server.connection() as conn:
            secret = await login_links.follow(
                conn,
                request.state.form.get("code")[:200],
                source=frame.source_of(request),
                agent=request.headers.get("user-agent", ""),
                settings=settings,
            )
    except Refusal as error:
        fault = " — ".join(filter(None, (sentence(error), error.remedy)))
        return link_page(request, fault, frame.status_of(error))
    answer = RedirectResponse(HOME, 303)
    session.keep(answer, request, secret, seconds=int(settings.length.total_seconds()))
    session.drop(answer, request, session.ENTRY)
    return answer


@router.post("/logout")
async def ui_sign_out(request: Request, server: TheServer) -> Response:
    secret = session.value_of(request) or ""
    if secret.startswith(session.SESSION):
        async with server.connection() as conn:
            found = await sessions.find(conn, secret, server.settings.sign_in)
            if found is not None:
                await end(conn, found)
    elif secret.startswith(login_links.ENTERED):
        async with server.connection() as conn:
            await login_links.leave(conn, secret)
    answer = frame.see("/ui/login", said="out")
    session.drop(answer, request)
    return answer


async def end(conn: Any, found: sessions.Session) -> None:
    try:
        await sessions.end(conn, found.id, of=found.user)
    except NotFound:
        return  # somebody else ended it just now


@router.post("/look")
async def ui_look(request: Request) -> Response:
    form = request.state.form
    answer = frame.see(onward(form.get("next", HOME)))
    zone = form.get("zone").strip()[:60]
    if form.get("theme") in frame.THEMES:
        remember(answer, "theme", form.get("theme"))
    if words.known_zone(zone):
        remember(answer, "zone", zone.replace("/", ":"))
    return answer


def remember(answer: Response, name: str, value: str) -> None:
    answer.set_cookie(name, value, max_age=int(YEAR.total_seconds()), httponly=True, samesite="lax")
