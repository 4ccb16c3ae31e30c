"""Types that a workstation keeps, so that what may be started there can be while it is alone."""

import json
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from psycopg import AsyncConnection
from pydantic import Field

from edge.gateway import handing
from scheduler.api.access import GuardedRoute, workstation_of
from scheduler.api.documents import problems
from scheduler.api.models import Outward
from scheduler.api.state import Conn
from scheduler.api.workstations import Id
from scheduler.domain.errors import Refusal
from scheduler.store import process_types, station_types

router = APIRouter(prefix="/workstations", tags=["workstations"], route_class=GuardedRoute)

MOST = 100
LARGEST = 2 << 20  # characters of them all
ALL = "*"

Document = dict[str, Any]


class KeptType(Outward):
    name: str
    version: int
    document: Document


class KeptTypes(Outward):
    items: list[KeptType] = Field(description="With those that they start in turn.")
    left_out: list[str] = Field(description="Types for which there is no room.")


@router.get("/{workstation}/types", responses=problems(422))
async def list_workstation_types(workstation: Id, conn: Conn, request: Request) -> KeptTypes:
    """List what may be started at the workstation that asks while it is alone: what other
    workstations are allowed to start there, and what is placed there as a whole."""
    found, left_out = await kept(conn, workstation_of(request)["name"])
    return KeptTypes(items=[KeptType(**each) for each in found], left_out=left_out)


async def kept(conn: AsyncConnection[Any], name: str) -> tuple[list[Document], list[str]]:
    wanted = await station_types.wanted(conn, name, limit=MOST)
    if ALL in wanted:
        wanted = [row["name"] for row in await process_types.all(conn)]
    found: dict[tuple[str, int], Document] = {}
    left_out, size = [], 0
    for each in wanted:
        try:
            fresh = dict(named(await handing.needed(conn, each, None)))
        except Refusal:  # retired, or of too many parts: it is refused where it is started
            left_out.append(each)
            continue
        fresh = {key: document for key, document in fresh.items() if key not in found}
        more = sum(len(json.dumps(document)) for document in fresh.values())
        if len(found) + len(fresh) > MOST or size + more > LARGEST:
            left_out.append(each)
        else:
            found |= fresh
            size += more
    return list(found.values()), left_out


def named(documents: list[Document]) -> Iterator[tuple[tuple[str, int], Document]]:
    return (((each["name"], each["version"]), each) for each in documents)
