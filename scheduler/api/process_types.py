"""Process types: publish, validate, look."""

import asyncio
import json
import re
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from fastapi import APIRouter, Path, Query, Request

from scheduler.api import pages
from scheduler.api.access import GuardedRoute
from scheduler.api.bodies import UNSTORABLE, UnknownMedia
from scheduler.api.documents import Responses, problems
from scheduler.api.filters import Counted
from scheduler.api.links import OF_A_TYPE
from scheduler.api.models import (
    DefinitionFault,
    Published,
    PublishedAll,
    RetireType,
    TypeChange,
    TypeDetail,
    TypeDiff,
    TypeSummary,
    Validation,
)
from scheduler.api.pages import CountedPage, Cursor, Limit, Page
from scheduler.api.state import By, Conn
from scheduler.domain import differences
from scheduler.domain import process_types as definitions
from scheduler.domain.counts import MOST, Count
from scheduler.domain.errors import InvalidDefinition
from scheduler.domain.process_types import ProcessType
from scheduler.services import definitions as published
from scheduler.store import process_types
from scheduler.store.rows import Row

router = APIRouter(tags=["process types"], route_class=GuardedRoute)

Name = Annotated[str, Path(max_length=63, examples=["two-task-process"])]
FAULT = re.compile(r"[^:\n]*:(?:(\d+):(\d+):)? (.*)", re.DOTALL)
EXAMPLE = "name: hello\ntasks:\n  - name: greet\n    run: echo hello\n"
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One process type or several, as YAML or JSON.",
        "content": {
            "application/yaml": {"schema": {}, "example": EXAMPLE},
            "application/json": {"schema": {}},
        },
    }
}
# Validating is about what is wrong with a text, an empty one too.
ANY_BODY: dict[str, Any] = {"requestBody": {**BODY["requestBody"], "required": False}}
MEDIA = ("application/yaml", "application/json", "text/yaml", "application/x-yaml", "text/plain")
REFUSED: Responses = problems(409, 413, 415, 422)
RETIRED = {"without": False, "only": True, "with": None}


@router.get("/process-types", responses=problems(422))
async def list_process_types(
    conn: Conn,
    q: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=200,
            description="A part of the name or of the description, in whatever case.",
            examples=["report"],
        ),
    ] = None,
    retired: Annotated[
        Literal["without", "only", "with"],
        Query(description="Whether those that are retired are listed too."),
    ] = "without",
    count: Counted = False,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> CountedPage[TypeSummary]:
    """List the process types in the order of their names, each in its newest version."""
    after = pages.decode(cursor, pages.text)
    rows = await process_types.page(
        conn, limit=limit + 1, after=after, retired=RETIRED[retired], text=q
    )
    total = None
    if count:
        found = await process_types.count(conn, MOST + 1, retired=RETIRED[retired], text=q)
        total = Count.of(found)
    page = pages.page_of(rows, limit, "name", TypeSummary.model_validate)
    return CountedPage(items=page.items, next=page.next, **pages.counted(total))


@router.post("/process-types", responses=OF_A_TYPE | REFUSED, openapi_extra=BODY)
async def publish_process_types(request: Request, conn: Conn, by: By) -> PublishedAll:
    """Publish process types: all of the text, or nothing of it.

    Content that is the newest version already changes nothing; other content becomes a new
    version. Runs stay on the version they began with.
    """
    done = await published.publish(conn, await parsed(request), by=by)
    return PublishedAll(
        items=[Published(name=p.name, version=p.version, changed=p.changed) for p in done]
    )


@router.post("/process-types/validate", responses=problems(413, 415, 422), openapi_extra=ANY_BODY)
async def validate_process_types(request: Request) -> Validation:
    """Say what publishing this text would say, and publish nothing."""
    try:
        found = await parsed(request)
    except InvalidDefinition as error:
        faults = [fault_of(each) for each in error.faults]
        return Validation(valid=False, names=[], faults=faults)
    return Validation(valid=True, names=[each.name for each in found], faults=[])


@router.get("/process-types/{name}", responses=problems(404, 422))
async def get_process_type(
    name: Name,
    conn: Conn,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> TypeDetail:
    """Show one version of a process type, the newest unless `version` is given."""
    return TypeDetail.model_validate(await published.get(conn, name, version))


@router.get("/process-types/{name}/versions", responses=problems(404, 422))
async def list_process_type_versions(
    name: Name, conn: Conn, limit: Limit = 50, cursor: Cursor = None
) -> Page[TypeDetail]:
    """List the versions of a process type, the newest first."""
    await published.get(conn, name)
    below = pages.decode(cursor, pages.number)
    rows = await process_types.versions(conn, name, limit=limit + 1, below=below)
    return pages.page_of(rows, limit, "version", TypeDetail.model_validate)


@router.get("/process-types/{name}/diff", responses=problems(404, 422))
async def compare_process_type_versions(
    name: Name,
    conn: Conn,
    before: Annotated[int, Query(alias="from", ge=1, le=2**31 - 1, examples=[1])],
    after: Annotated[
        int | None,
        Query(alias="to", ge=1, le=2**31 - 1, description="The newest if left out."),
    ] = None,
) -> TypeDiff:
    """Say what one version of a process type changed in another.

    Tasks are compared by their names, so one that was put before others is one change.
    """
    found = await published.compare(conn, name, before, after)
    old, new = found.before, found.after
    text = await asyncio.to_thread(
        differences.unified, written(old), written(new), (called(old), called(new))
    )
    return TypeDiff(
        name=name,
        before=old["version"],
        after=new["version"],
        changes=[
            TypeChange(path=each.path, kind=each.kind, before=each.before, after=each.after)
            for each in found.changes
        ],
        text=text,
    )


def written(row: Row) -> str:
    text: str = yaml.safe_dump(row["document"], sort_keys=False, allow_unicode=True)
    return text


def called(row: Row) -> str:
    return f"{row['name']} v{row['version']}"


@router.post("/process-types/{name}/retire", responses=problems(404, 409, 422))
async def retire_process_type(
    name: Name, conn: Conn, by: By, wish: RetireType | None = None
) -> TypeDetail:
    """Let nothing more of a process type be started or published. What runs goes on.

    Lists leave it out unless they are asked for it. Of a type that is retired already nothing
    changes.
    """
    note = wish.note if wish else None
    return TypeDetail.model_validate(await published.retire(conn, name, by=by, note=note))


@router.post("/process-types/{name}/reinstate", responses=problems(404, 422))
async def reinstate_process_type(name: Name, conn: Conn) -> TypeDetail:
    """Let a retired process type be started and published again."""
    return TypeDetail.model_validate(await published.reinstate(conn, name))


@router.get("/definition-schema", responses=problems())
async def get_definition_schema() -> dict[str, Any]:
    """The JSON Schema of the format of definitions, for editors."""
    return schema()


@cache
def schema() -> dict[str, Any]:
    text = (files("scheduler") / "definition.schema.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


async def parsed(request: Request) -> list[ProcessType]:
    kind = request.headers.get("content-type", "application/yaml").partition(";")[0].strip()
    if kind.lower() not in MEDIA:
        raise UnknownMedia(
            f"a definition of type {kind!r} is not read here",
            field="Content-Type",
            remedy="send application/yaml or application/json",
        )
    return definitions.parse(text_of(await request.body()), source="body")


def text_of(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidDefinition([f"body:1:1: not UTF-8 (byte {error.start})"]) from error
    if UNSTORABLE.search(text):
        raise InvalidDefinition(["body:1:1: holds a NUL character: remove it"])
    return text


def fault_of(fault: str) -> DefinitionFault:
    """`body:LINE:COLUMN: what`; one of the text as a whole has no place."""
    found = FAULT.fullmatch(fault)
    line, column, message = found.groups() if found else (None, None, fault)
    return DefinitionFault(
        line=int(line) if line else None, column=int(column) if column else None, message=message
    )
