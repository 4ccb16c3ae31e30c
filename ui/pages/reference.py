"""API and CLI: every operation and every command, found by a word; nothing is fetched."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from scheduler.api.state import Conn, TheServer
from scheduler.store import webhooks
from ui import frame, query
from ui.screen import Screen

router = APIRouter(prefix="/reference", route_class=Screen)

WEBHOOKS, SHOWN = 50, 400
# What is signed with HMAC-SHA256 by each scheme, and where the signature stands.
SIGNED = (
    (
        "procession",
        "`TIME.BODY`, seconds since 1970",
        "`Procession-Timestamp`, `Procession-Signature: v1=HEX`",
    ),
    (
        "standard",
        "`ID.TIME.BODY`, as Standard Webhooks",
        "`webhook-id`, `webhook-timestamp`, `webhook-signature: v1,BASE64`",
    ),
    (
        "github",
        "the body; the type is `NAME.EVENT.ACTION`",
        "`X-Hub-Signature-256: sha256=HEX`",
    ),
    ("stripe", "`TIME.BODY`", "`Stripe-Signature: t=TIME,v1=HEX`"),
)


@dataclass(frozen=True, slots=True)
class Operation:
    part: str
    method: str
    path: str
    words: str
    anchor: str

    def has(self, text: str) -> bool:
        return text in f"{self.method} {self.path} {self.words} {self.anchor}".lower()


@dataclass(frozen=True, slots=True)
class Option:
    names: str
    words: str
    needed: bool


@dataclass(frozen=True, slots=True)
class Command:
    part: str
    line: str
    words: str
    options: tuple[Option, ...]

    def has(self, text: str) -> bool:
        return text in f"{self.line} {self.words}".lower()


@router.get("")
async def ui_reference(request: Request, conn: Conn) -> Response:
    text = (query.text(request, "q") or "").lower()
    found = [each for each in operations(request.app.state) if each.has(text)]
    return await frame.page(
        request, conn, "reference_api.html", parts=by_part(found), q=text, total=len(found)
    )


def operations(state: Any) -> list[Operation]:
    """Read off the routes once; they are the same for as long as the server lives."""
    if not hasattr(state, "operations"):
        state.operations = [each for part in state.parts for each in described(*part)]
    found: list[Operation] = state.operations
    return found


def described(prefix: str, part: APIRouter) -> Iterator[Operation]:
    for route in part.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            yield Operation(
                part=str(route.tags[0]),
                method=" ".join(sorted(route.methods or ())),
                path=(prefix + route.path).replace(":path}", "}"),
                words=route.description.partition("\n\n")[0],
                anchor=route.name,
            )


@router.get("/commands")
async def ui_reference_commands(request: Request, server: TheServer) -> Response:
    """No connection is held while the commands are loaded."""
    all = await asyncio.to_thread(commands, request.app.state)
    text = (query.text(request, "q") or "").lower()
    found = [each for each in all if each.has(text)]
    async with server.connection() as conn:
        return await frame.page(
            request, conn, "reference_commands.html", parts=by_part(found), q=text, total=len(found)
        )


def commands(state: Any) -> list[Command]:
    """From the commands themselves, which are loaded when somebody first asks."""
    if not hasattr(state, "commands"):
        from scheduler.cli import procession

        state.commands = list(told(procession, ("procession",), click.Context(procession)))
    found: list[Command] = state.commands
    return found


def told(
    command: click.Command, path: tuple[str, ...], context: click.Context
) -> Iterator[Command]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from told(inner, (*path, name), click.Context(inner, parent=context))
        return
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    options = [each for each in command.params if isinstance(each, click.Option)]
    yield Command(
        part=path[1],
        line=" ".join([*path, *(metavar(each) for each in arguments)]),
        words=command.get_short_help_str(300),
        options=tuple(option(each) for each in options if not each.hidden),
    )


def metavar(given: click.Argument) -> str:
    name = given.metavar or (given.name or "").upper()
    many = f"{name}…" if given.nargs == -1 and not name.endswith("…") else name
    return many if given.required else f"[{many}]"


def option(given: click.Option) -> Option:
    names = ", ".join([*given.opts, *given.secondary_opts])
    return Option(names, given.help or "", given.required)


@router.get("/webhooks")
async def ui_reference_webhooks(request: Request, conn: Conn) -> Response:
    """How others report what happened; the keys of signatures are secrets, and not here."""
    return await frame.page(
        request,
        conn,
        "reference_webhooks.html",
        webhooks=await webhooks.page(conn, limit=WEBHOOKS),
        schemes=SIGNED,
        home=f"{request.url.scheme}://{request.headers.get('host', 'localhost')}",
    )


def by_part(found: list[Any]) -> dict[str, list[Any]]:
    parts: dict[str, list[Any]] = {}
    for each in found[:SHOWN]:
        parts.setdefault(each.part, []).append(each)
    return dict(sorted(parts.items()))
