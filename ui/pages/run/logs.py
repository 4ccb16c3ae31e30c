"""What the tasks of a run printed, together, in the order in which it came."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn
from scheduler.services import runs
from scheduler.store import log_reading
from scheduler.store.output import Chunk
from scheduler.store.rows import Row
from ui import frame as pages
from ui import query
from ui.ansi import Piece
from ui.pages.logs.parts import Pieces, merged
from ui.pages.logs.reading import WINDOW
from ui.pages.run import frame
from ui.pages.run.routes import router

TASKS, EACH, PARTS = 200, 24, 400  # tasks, parts of each of them, and parts that are looked at
MARGIN = timedelta(minutes=1)  # clocks of output and of runs are read at different moments


@dataclass(frozen=True, slots=True)
class Block:
    """What one attempt printed without another in between."""

    name: str
    attempt: int
    href: str
    at: datetime
    pieces: Sequence[Piece]


@router.get("/logs")
async def ui_run_logs(run: UUID, request: Request, conn: Conn) -> Response:
    found = await runs.get(conn, run)
    before = query.moment(request, "before", pages.look_of(request).tz)
    chosen = await choose(conn, found, before)
    earliest = chosen[-1]["at"] if chosen else None
    return await frame.tab(
        request,
        conn,
        found,
        "run_logs.html",
        "logs",
        blocks=list(blocks(run, chosen[::-1], await read(conn, chosen))),
        before=before,
        earlier=earliest.isoformat() if earliest else None,
    )


async def choose(conn: AsyncConnection[Any], run: Row, before: datetime | None) -> list[Row]:
    """The latest parts, as many as fit on a page; those of one moment stay together."""
    since = run["created_at"] - MARGIN
    found = await log_reading.latest(
        conn, run["id"], since, before, tasks=TASKS, each=EACH, limit=PARTS
    )
    room, chosen = WINDOW, list[Row]()
    for part in found:
        if room <= 0 and part["at"] != chosen[-1]["at"]:
            break
        chosen.append(part)
        room -= part["size"]
    return chosen


async def read(
    conn: AsyncConnection[Any], chosen: Sequence[Row]
) -> dict[tuple[int, int, int], Chunk]:
    if not chosen:
        return {}
    keys = [(row["task_id"], row["attempt"], row["start"]) for row in chosen]
    found = await log_reading.parts(conn, keys, min(row["at"] for row in chosen))
    return {(each.task_id, each.attempt, each.start): each for each in found}


def blocks(
    run: UUID, chosen: Sequence[Row], chunks: dict[tuple[int, int, int], Chunk]
) -> Iterator[Block]:
    readers: dict[tuple[int, int], Pieces] = {}
    block: Block | None = None
    for row in chosen:
        whose, start = (row["task_id"], row["attempt"]), row["start"]
        chunk = chunks.get((*whose, start))
        if chunk is None:
            continue
        reader = readers.setdefault(whose, Pieces(start))
        pieces = [piece for piece in reader.of(chunk) if piece[0] != "at"]
        href = f"/ui/runs/{run}/tasks/{row['position']}/{row['attempt']}/log?from={start}"
        if block is not None and (block.name, block.attempt) == (row["name"], row["attempt"]):
            block = Block(
                block.name, block.attempt, block.href, block.at, merged([*block.pieces, *pieces])
            )
            continue
        if block is not None:
            yield block
        block = Block(row["name"], row["attempt"], href, row["at"], merged(pieces))
    if block is not None:
        yield block
