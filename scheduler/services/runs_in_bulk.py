"""One thing done with many runs: those that are named, or those that pass a filter.

A selection is frozen: what matched when it was made, and never what matches now. A chore goes
through it, each run in a transaction of its own, so that whoever comes again finds only the rest.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.errors import Conflict, Invalid, NotFound, Refusal
from scheduler.domain.ids import new_id
from scheduler.services import chores, run_lists, runs
from scheduler.services.catalog import Catalog
from scheduler.store import mirrors
from scheduler.store import run_selections as selections
from scheduler.store.rows import Row
from scheduler.store.runs import Filter

Conn = AsyncConnection[Any]
Action = Literal["hold", "resume", "stop", "retry"]

MOST = 10_000
PAGE = 1_000  # runs that are looked up at once while a selection is made
PAGES = 100  # of them, or of searches that found nothing
LIFE = timedelta(days=1)
FORGOTTEN = 20  # selections that are over, for each that is made
CHORE = "command_runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be done with each."""

    action: Action
    why: str | None = None
    kill: bool = False
    undo: bool = False
    whole: bool = False

    def told(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value and name != "action"}


async def select(
    conn: Conn,
    filter: Filter | None = None,
    *,
    ids: Sequence[UUID] = (),
    all: bool = False,
    by: str,
) -> Row:
    """Remember which runs are meant. Everything there is, only if somebody says so."""
    told = told_of(filter) if filter is not None else {}
    if sum((bool(ids), bool(told), all)) != 1:
        raise Invalid(
            "say which runs are meant: by their ids, or by one filter or more, or `all`, "
            "and not by two of these",
            field="all",
        )
    if ids:
        found, is_capped = await existing(conn, ids), False
    else:
        found, is_capped = await matching(conn, filter or Filter())
    selection = new_id()
    async with conn.transaction():
        await selections.forget(conn, FORGOTTEN)
        await selections.create(
            conn, selection, found, filters=told, is_capped=is_capped, life=LIFE, by=by
        )
        await selections.fill(conn, selection, found)
    return await get(conn, selection)


def told_of(filter: Filter) -> dict[str, Any]:
    """What was said, as it is kept."""
    given = {name: value for name, value in asdict(filter).items() if value}
    return {name: plain(value) for name, value in given.items()}


def plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case str() | dict():
            return value
    return [str(each) for each in value]


async def existing(conn: Conn, ids: Sequence[UUID]) -> list[UUID]:
    if len(ids) > MOST:
        raise Invalid(f"name {MOST} runs at most", field="ids")
    found = await run_lists.named(conn, list(dict.fromkeys(ids)))
    if missing := set(ids) - set(found):
        raise NotFound(f"there is no run {min(missing)}")
    return found


async def matching(conn: Conn, filter: Filter) -> tuple[list[UUID], bool]:
    """The newest that match, and whether there are more, or whether nobody looked further."""
    found: list[UUID] = []
    after: UUID | None = None
    for _ in range(PAGES):
        if len(found) > MOST:
            break
        page = await run_lists.page(conn, filter, limit=PAGE, after=after)
        found += [row["id"] for row in page.rows]
        if page.next is None:
            return found[:MOST], len(found) > MOST
        after = page.next
    return found[:MOST], True


async def get(conn: Conn, selection: UUID) -> Row:
    found = await selections.get(conn, selection)
    if found is None:
        raise NotFound(
            f"there is no selection {selection}, or not any more",
            remedy="make one with POST /api/v1/runs/selections",
        )
    return found


async def begin(conn: Conn, selection: UUID, wish: Wish, *, expected: int, by: str) -> Row:
    """Leave the whole of a selection to a chore, which begins at once."""
    found = await get(conn, selection)
    if found["runs"] != expected:
        raise Conflict(
            f"the selection holds {found['runs']} runs, not {expected}",
            field="expected_count",
            remedy="look at what it holds, and send that number if it is what you want",
        )
    async with conn.transaction():
        await require_begun(conn, selection, wish, by=by)
        await selections.finish(conn, selection)
        args = {"selection": str(selection)}
        await chores.defer(conn, CHORE, args, lock=f"{CHORE} {selection}")
    return await get(conn, selection)


async def require_begun(conn: Conn, selection: UUID, wish: Wish, *, by: str) -> None:
    if await selections.begin(conn, selection, action=wish.action, wish=wish.told(), by=by):
        return
    found = await get(conn, selection)
    if (found["action"], found["wish"]) != (wish.action, wish.told()):
        raise Conflict(
            f"{found['begun_by']} has begun to {found['action']} this selection",
            remedy="make another selection",
        )


async def leave(conn: Conn, selection: UUID, *, by: str) -> Row:
    """Do nothing with those that are left; what was done stays done."""
    found = await get(conn, selection)
    if found["action"] is None:
        raise Conflict("nothing was begun with this selection, so there is nothing to end")
    async with conn.transaction():
        await selections.leave(conn, selection, f"{by} ended it")
        await selections.finish(conn, selection)
    return await get(conn, selection)


def wish_of(selection: Row) -> Wish:
    return Wish(action=selection["action"], **selection["wish"])


async def advance(conn: Conn, catalog: Catalog, selection: UUID, wish: Wish, *, by: str) -> bool:
    """Do it with the next run; False if none is left."""
    async with conn.transaction():
        run = await selections.take(conn, selection)
        if run is None:
            await selections.finish(conn, selection)
            return False
        result, detail = await decided(conn, catalog, run, wish, by)
        await selections.decide(conn, selection, run, result, detail)
    return True


async def decided(
    conn: Conn, catalog: Catalog, run: UUID, wish: Wish, by: str
) -> tuple[str, str | None]:
    """What became of it. A refusal takes back what of it had begun."""
    try:
        async with conn.transaction():
            await command(conn, catalog, run, wish, by)
    except NotFound as error:
        return "skipped", str(error)[:500]
    except Refusal as error:
        return "refused", str(error)[:500]
    station = await mirrors.station_of(conn, run)
    return "done", None if station is None else f"asked of the workstation {station['name']}"


async def command(conn: Conn, catalog: Catalog, run: UUID, wish: Wish, by: str) -> None:
    match wish.action:
        case "hold":
            await runs.hold(conn, catalog, run, by=by)
        case "resume":
            await runs.resume(conn, catalog, run, by=by)
        case "stop":
            await runs.stop(conn, catalog, run, by=by, kill=wish.kill, why=wish.why, undo=wish.undo)
        case "retry":
            await runs.retry(conn, catalog, run, by=by, whole=wish.whole)
