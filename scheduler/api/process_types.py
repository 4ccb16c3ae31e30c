"""Process types: publish, validate, look."""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from scheduler.api.access import GuardedRoute
from scheduler.api.bodies import UNSTORABLE, UnknownMedia
from scheduler.api.documents import Responses, problems
from scheduler.api.models import (
    DefinitionFault,
    Published,
    PublishedAll,
    TypeDetail,
    TypeSummary,
    Validation,
)
from scheduler.api.pages import Page
from scheduler.api.state import By, Conn
from scheduler.domain import process_types as definitions
from scheduler.domain.errors import InvalidDefinition
from scheduler.domain.process_types import ProcessType
from scheduler.services import definitions as published
from scheduler.store import process_types

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
REFUSED: Responses = problems(413, 415, 422)


@router.get("/process-types", responses=problems(422))
async def list_process_types(conn: Conn) -> Page[TypeSummary]:
    """List the process types, each in its newest version."""
    return Page(items=[summary(row) for row in await process_types.all(conn)])


@router.post("/process-types", responses=REFUSED, openapi_extra=BODY)
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
async def list_process_type_versions(name: Name, conn: Conn) -> Page[TypeDetail]:
    """List all versions of a process type, the newest first."""
    await published.get(conn, name)
    rows = await process_types.versions(conn, name)
    return Page(items=[TypeDetail.model_validate(row) for row in rows])


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


def summary(row: dict[str, Any]) -> TypeSummary:
    document = row["document"]
    return TypeSummary(
        name=row["name"],
        version=row["version"],
        description=document.get("description", ""),
        tasks=[task["name"] for task in document["tasks"]],
        published_at=row["published_at"],
        published_by=row["published_by"],
    )
