"""Values that definitions read as `vars.NAME`, set for the whole system."""

import json
import re
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain.errors import Invalid, NotFound
from scheduler.domain.values import refuse_unstorable
from scheduler.store import variables
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
LARGEST = 16 << 10  # bytes, as JSON
MOST = 500


async def set(conn: Conn, name: str, value: Any, *, note: str, by: str) -> tuple[Row, bool]:
    """The variable, and whether it is new. Whatever is rendered from now on reads this value."""
    if not NAME.fullmatch(name):
        raise Invalid(
            "a name is 1 to 63 letters, digits and '_', and does not begin with a digit",
            field="name",
        )
    refuse_unstorable(value, "value")
    size = len(json.dumps(value).encode())
    if size > LARGEST:
        raise Invalid(f"the value has {size} bytes of JSON: at most {LARGEST}", field="value")
    if await variables.count(conn, name) >= MOST:
        raise Invalid(f"there are {MOST} variables already: delete what nobody reads")
    made = await variables.set(conn, name, value, note=note, by=by)
    return await get(conn, name), made


async def get(conn: Conn, name: str) -> Row:
    found = await variables.get(conn, name)
    if found is None:
        raise NotFound(f"there is no variable {name!r}")
    return found


async def delete(conn: Conn, name: str) -> None:
    if not await variables.delete(conn, name):
        raise NotFound(f"there is no variable {name!r}")
