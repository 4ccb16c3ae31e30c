"""Runs and history as files: written part by part by a chore, kept in the database until they
expire, so that any server can hand them out."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain import ids
from scheduler.domain.errors import Conflict, NotFound
from scheduler.services import chores
from scheduler.store import exports
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

CHORE = "export"
PART = 500  # rows of one part, which is one transaction
LIFE = timedelta(days=7)
COLUMNS = {
    "runs": [
        "id",
        "type",
        "type_version",
        "record",
        "round",
        "status",
        "priority",
        "error",
        "labels",
        "triggered_by",
        "created_at",
        "started_at",
        "finished_at",
        "total",
        "failed",
    ],
    "history": ["run", "seq", "at", "kind", "task", "attempt", "data"],
}
# What a spreadsheet would take for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def start(conn: Conn, what: str, format: str, filters: dict[str, Any], *, by: str) -> Row:
    """Of what there is by now: what comes while it is written is not waited for."""
    export = ids.new_id()
    filters = {"until": datetime.now(UTC).isoformat()} | filters
    async with conn.transaction():
        await exports.create(
            conn, export, what=what, format=format, filters=filters, by=by, life=LIFE
        )
        await chores.defer(conn, CHORE, {"export": str(export)}, lock=f"{CHORE} {export}")
    return await get(conn, export)


async def get(conn: Conn, export: UUID) -> Row:
    found = await exports.get(conn, export)
    if found is None:
        raise NotFound(f"there is no export {export}, or not any more")
    return found


async def delete(conn: Conn, export: UUID) -> None:
    if not await exports.delete(conn, export):
        raise NotFound(f"there is no export {export}, or not any more")


async def forget(conn: Conn) -> int:
    return await exports.forget(conn)


async def require_done(conn: Conn, export: UUID) -> Row:
    found = await get(conn, export)
    if found["done_at"] is None:
        raise Conflict(f"export {export} is not finished yet: {found['rows']} rows so far")
    return found


async def write_part(conn: Conn, export: UUID) -> Row | None:
    """The next part, under the lock of its export; None when there is nothing more to write."""
    async with conn.transaction():
        found = await exports.lock(conn, export)
        if found is None:
            return None
        rows = await read(conn, found)
        data = encoded(found, rows)
        if data:
            await exports.add(conn, export, found["parts"], data)
        cursor = cursor_of(found["what"], rows[-1]) if rows else found["cursor"]
        await exports.move(
            conn,
            export,
            cursor=cursor,
            rows=len(rows),
            size=len(data),
            done=len(rows) < PART,
        )
    return await exports.get(conn, export)


async def read(conn: Conn, export: Row) -> list[Row]:
    filters = export["filters"]
    since, until = moment(filters.get("since")), moment(filters.get("until"))
    if export["what"] == "history":
        return await exports.history(
            conn,
            after=export["cursor"],
            since=since or datetime(1970, 1, 1, tzinfo=UTC),
            until=until or datetime.now(UTC),
            limit=PART,
        )
    return await exports.runs(
        conn,
        after=export["cursor"],
        type=filters.get("type"),
        status=filters.get("status"),
        low=ids.first_of(since) if since else None,
        high=ids.first_of(until) if until else None,
        limit=PART,
    )


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def cursor_of(what: str, row: Row) -> str:
    return f"{row['run']} {row['seq']}" if what == "history" else str(row["id"])


def encoded(export: Row, rows: Sequence[Row]) -> bytes:
    if export["format"] == "ndjson":
        lines = (json.dumps(row, default=shown, ensure_ascii=False) for row in rows)
        return "".join(f"{line}\n" for line in lines).encode()
    text = io.StringIO()
    writer = csv.writer(text)
    columns = COLUMNS[export["what"]]
    if export["parts"] == 0:
        writer.writerow(columns)
    writer.writerows([cell(row[name]) for name in columns] for row in rows)
    return text.getvalue().encode()


def shown(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def cell(value: Any) -> Any:
    """Text that a spreadsheet shows and does not carry out."""
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value
