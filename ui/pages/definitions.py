"""The definition of a type: its versions, what they changed, another one, and out of use."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn
from scheduler.domain import differences
from scheduler.domain import process_types as domain
from scheduler.domain.errors import Conflict, Invalid, InvalidDefinition, NotFound, Refusal
from scheduler.domain.process_types import ProcessType
from scheduler.services import definitions
from scheduler.services.definitions import Overtaken
from scheduler.store import process_screens
from scheduler.store.rows import Row
from ui import definition_text, frame, query, sides
from ui.forms import Form
from ui.pages import process
from ui.screen import Screen

router = APIRouter(route_class=Screen)

Connection = AsyncConnection[Any]
Type = Annotated[str, Path(min_length=1, max_length=63)]

SHOWN = 20  # versions on one page
CHANGES = 100
SOURCE = "definition"
FAULT = re.compile(rf"{SOURCE}:(?:(\d+):(\d+):)? (.*)", re.DOTALL)
EXAMPLE = """\
name: hello
description: Says hello to somebody
labels: {owner: me}
input:
  type: object
  required: [who]
  properties:
    who: {type: string, description: whom to greet}
tasks:
  - name: greet
    run: echo hello "${{ input.who }}"
"""


@dataclass(frozen=True, slots=True)
class Fault:
    line: int | None
    column: int | None
    text: str
    excerpt: str


@router.get("/processes/{type}/definition")
async def ui_definition(type: Type, request: Request, conn: Conn) -> Response:
    version = query.number(request, "version", 2**31 - 1)
    found = await definitions.get(conn, type)
    chosen = found if version is None else await definitions.get(conn, type, version)
    below = query.number(request, "cursor", 2**31 - 1)
    rows = await process_screens.revisions(conn, type, limit=SHOWN + 1, below=below)
    return await process.tab(
        request,
        conn,
        found,
        "definition.html",
        "/definition",
        chosen=chosen,
        text=written(chosen),
        versions=rows[:SHOWN],
        next=rows[SHOWN - 1]["version"] if len(rows) > SHOWN else None,
        is_first=below is None,
    )


def written(row: Row) -> str:
    return definition_text.written(row["document"])


@router.get("/processes/{type}/diff")
async def ui_definition_diff(type: Type, request: Request, conn: Conn) -> Response:
    found = await definitions.get(conn, type)
    before = query.number(request, "from", 2**31 - 1) or max(1, found["latest"] - 1)
    after = query.number(request, "to", 2**31 - 1) or found["latest"]
    old, new = await definitions.get(conn, type, before), await definitions.get(conn, type, after)
    return await process.tab(
        request, conn, found, "definition_diff.html", "/definition", **await compared(old, new)
    )


async def compared(old: Row, new: Row) -> dict[str, Any]:
    """What one version says otherwise than another: in a few words, and line by line."""
    changes = differences.between(old["document"], new["document"])
    return {
        "old": old,
        "new": new,
        "changes": changes[:CHANGES],
        "more_changes": max(0, len(changes) - CHANGES),
        "lines": await asyncio.to_thread(sides.compare, written(old), written(new)),
    }


@router.post("/processes/{type}/publish-again")
async def ui_publish_again(type: Type, request: Request, conn: Conn, by: By) -> Response:
    """An old version published anew: what runs stays on the version that it began with."""
    form: Form = request.state.form
    version, seen = number_of(form, "version"), number_of(form, "seen")
    old = await definitions.get(conn, type, version)
    again = domain.from_document(old["document"])
    [done] = await definitions.publish(conn, [again], by=by, seen={type: seen})
    return frame.see(
        f"/ui/processes/{quote(type, safe='')}/definition",
        said="published" if done.changed else "unchanged",
    )


def number_of(form: Form, name: str) -> int:
    text = form.get(name)
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Invalid(f"{name} is no number of a version", field=name)
    return int(text)


@router.post("/processes/{type}/retire")
async def ui_retire(type: Type, request: Request, conn: Conn, by: By) -> Response:
    note = request.state.form.get("note").strip()[:500] or None
    await definitions.retire(conn, type, by=by, note=note)
    return frame.see(f"/ui/processes/{quote(type, safe='')}", said="retired")


@router.post("/processes/{type}/reinstate")
async def ui_reinstate(type: Type, conn: Conn) -> Response:
    await definitions.reinstate(conn, type)
    return frame.see(f"/ui/processes/{quote(type, safe='')}", said="reinstated")


@router.get("/publish")
async def ui_publish_form(request: Request, conn: Conn) -> Response:
    """A new type, or the next version of one, beginning with any of its versions."""
    type = query.text(request, "type")
    if type is None:
        return await publish_page(request, conn, text=EXAMPLE, seen={})
    found = await definitions.startable(conn, type)
    version = query.number(request, "version", 2**31 - 1)
    base = found if version is None else await definitions.get(conn, type, version)
    return await publish_page(request, conn, text=written(base), seen={type: found["latest"]})


@router.post("/publish")
async def ui_publish(request: Request, conn: Conn, by: By) -> Response:
    form: Form = request.state.form
    text, seen = form.get("text"), seen_of(form)
    try:
        types = domain.parse(text, source=SOURCE)
        if form.get("action") != "publish":
            fate = await fates(conn, types)
            return await publish_page(request, conn, text=text, seen=seen, fates=fate)
        done = await definitions.publish(conn, types, by=by, seen=seen)
    except InvalidDefinition as error:
        return await publish_page(
            request, conn, text=text, seen=seen, faults=faults_of(error, text), refusal=error
        )
    except Overtaken as error:
        return await overtaken(request, conn, error, text, seen)
    except (Invalid, Conflict) as error:
        return await publish_page(request, conn, text=text, seen=seen, refusal=error)
    if len(done) == 1:
        said = "published" if done[0].changed else "unchanged"
        return frame.see(f"/ui/processes/{quote(done[0].name, safe='')}/definition", said=said)
    return frame.see("/ui/processes", said="published")


def seen_of(form: Form) -> dict[str, int]:
    """Of which versions the person knew, who wrote this."""
    found: dict[str, int] = {}
    for each in form.all("seen")[:100]:
        version, _, name = each.partition(" ")
        if version.isascii() and version.isdecimal() and len(version) < 10:
            found[name] = int(version)
    return found


async def overtaken(
    request: Request, conn: Connection, error: Overtaken, text: str, seen: Mapping[str, int]
) -> Response:
    """What was written is kept beside what somebody else has published meanwhile."""
    latest = await definitions.get(conn, error.name, error.latest)
    between: dict[str, Any] = {"old": None, "new": latest, "changes": [], "lines": None}
    if error.seen:
        between = await compared(await definitions.get(conn, error.name, error.seen), latest)
    return await publish_page(
        request,
        conn,
        text=text,
        seen={**seen, error.name: error.latest},
        refusal=error,
        between=between,
    )


async def fates(conn: Connection, types: Sequence[ProcessType]) -> list[tuple[str, str]]:
    """What publishing would come to, of each type."""
    found = []
    for each in types[:100]:
        try:
            now = await definitions.get(conn, each.name)
        except NotFound:
            found.append((each.name, "would be a new type"))
            continue
        same = now["digest"] == domain.digest(each)
        next = f"would become version {now['latest'] + 1}"
        found.append((each.name, "is the newest version already" if same else next))
    return found


def faults_of(error: InvalidDefinition, text: str) -> list[Fault]:
    return [fault_of(each, text.splitlines()) for each in error.faults]


def fault_of(told: str, lines: Sequence[str]) -> Fault:
    found = FAULT.fullmatch(told)
    line, column, message = found.groups() if found else (None, None, told)
    number = int(line) if line else None
    excerpt = lines[number - 1][:200] if number and number <= len(lines) else ""
    return Fault(number, int(column) if column else None, message, excerpt)


async def publish_page(
    request: Request,
    conn: Connection,
    *,
    text: str,
    seen: Mapping[str, int],
    faults: Sequence[Fault] = (),
    refusal: Refusal | None = None,
    fates: Sequence[tuple[str, str]] = (),
    between: Mapping[str, Any] | None = None,
) -> Response:
    type = next(iter(seen), None)
    return await frame.page(
        request,
        conn,
        "publish.html",
        status=frame.status_of(refusal) if refusal else 200,
        text=text,
        seen=[f"{version} {name}" for name, version in seen.items()],
        type=type,
        version=seen.get(type) if type else None,
        rows=min(40, max(16, text.count("\n") + 2)),
        faults=faults,
        refusal=None if faults else refusal,
        fates=fates,
        between=between,
    )
