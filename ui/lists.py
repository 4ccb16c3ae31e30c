"""Lists: what an address asks of one, its chips, pages and columns, and the whole of it as a file.

A list says once what may be filtered and shown; everything else is read off the address, so that
whatever somebody sees can be sent to somebody else. Pages go on behind the last row of the one
before; nothing is ever skipped by counting.
"""

import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from psycopg import AsyncConnection

from scheduler.api.state import server_of
from scheduler.domain.errors import Invalid
from ui import frame, query, words

Conn = AsyncConnection[Any]
Row = TypeVar("Row")
Cells = Mapping[str, Callable[[Row], Any]]
# A page of rows from behind a cursor, and where the next one begins.
Read = Callable[[Conn, Any], Awaitable[tuple[Sequence[Row], Any]]]

FORMATS = {"csv": "text/csv", "json": "application/json"}
OURS = frozenset({"cursor", "format", "said", "columns", "view"})
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Field:
    """Something that may be filtered by."""

    name: str  # in the address
    text: str
    kind: str = "text"  # text, number, moment, choice, states
    choices: Sequence[str] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    text: str
    is_num: bool = False
    is_usual: bool = True  # shown until somebody chooses


@dataclass(frozen=True, slots=True)
class Chip:
    text: str
    value: str
    is_state: bool
    href: str  # the list without it


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list can be asked."""

    fields: Sequence[Field] = ()
    columns: Sequence[Column] = ()

    def read(self, request: Request) -> "Asked":
        return Asked(self, request)


class Asked:
    """What this address asks of a list."""

    def __init__(self, listing: Listing, request: Request) -> None:
        self.fields = listing.fields
        self.all_columns = listing.columns
        self.request = request
        self.path = path_of(request)
        self._names = {each.name for each in listing.fields}

    # What is asked.

    @property
    def is_untidy(self) -> bool:
        """Sent by a form that had empty fields."""
        return any(not value for value in self.request.query_params.values())

    def tidied(self) -> Response:
        return frame.see(self.path, **grouped(query.pairs(self.request)))

    def text(self, name: str) -> str | None:
        return query.text(self.request, name)

    def among(self, name: str, known: Sequence[str] = ()) -> list[str]:
        """All values of a choice."""
        return query.among(self.request, name, known or self._field(name).choices)

    def one_of(self, name: str, known: Sequence[str] = ()) -> str | None:
        return next(iter(self.among(name, known)), None)

    def number(self, name: str) -> int | None:
        return query.number(self.request, name)

    def moment(self, name: str) -> datetime | None:
        return query.moment(self.request, name, frame.look_of(self.request).tz)

    def label(self, name: str = "label") -> dict[str, str] | None:
        given = self.text(name)
        if given is None:
            return None
        key, colon, value = given.partition(":")
        if not colon or not key:
            raise Invalid("a label is written as name:value", field=name)
        return {key: value}

    def run_cursor(self) -> UUID | None:
        return query.run_id(self.request, "cursor")

    def number_cursor(self) -> int | None:
        return query.number(self.request, "cursor")

    def text_cursor(self) -> str | None:
        return query.text(self.request, "cursor")

    @property
    def is_first(self) -> bool:
        return "cursor" not in self.request.query_params

    @property
    def format(self) -> str | None:
        """As which file the whole list is wanted, if it is."""
        return next(iter(query.among(self.request, "format", FORMATS)), None)

    @property
    def is_filtered(self) -> bool:
        return any(name in self._names for name, _ in query.pairs(self.request))

    @property
    def columns(self) -> list[Column]:
        chosen = self.request.query_params.getlist("columns")
        found = [each for each in self.all_columns if each.name in chosen]
        return found or [each for each in self.all_columns if each.is_usual]

    def shows(self, column: str) -> bool:
        return any(each.name == column for each in self.columns)

    # What a template says of it.

    @property
    def given(self) -> Mapping[str, str]:
        return self.request.query_params

    def values(self, name: str) -> list[str]:
        return self.request.query_params.getlist(name)

    @property
    def chips(self) -> list[Chip]:
        """Each filter that is set."""
        return [
            Chip(field.text, value, field.kind == "states", self._without(field.name, value))
            for field in self.fields
            for value in self.values(field.name)
            if value
        ]

    def href(self, **changed: Any) -> str:
        """This list with something else asked; None leaves a thing out."""
        left = [
            (name, value)
            for name, value in query.pairs(self.request)
            if name not in changed and name not in ("cursor", "format", "said")
        ]
        return frame.address(self.path, **(grouped(left) | changed))

    def next(self, cursor: Any) -> str | None:
        """The page behind this one; None for a cursor of None."""
        return None if cursor is None else self.href(cursor=cursor)

    @property
    def first(self) -> str:
        return self.href()

    @property
    def cleared(self) -> str:
        """The list without filters, as it is looked at."""
        return self.href(**dict.fromkeys(self._names))

    @property
    def kept(self) -> list[tuple[str, str]]:
        """What a form of filters carries on with it."""
        return [
            (name, value)
            for name, value in query.pairs(self.request)
            if name not in self._names and name not in ("cursor", "format", "said")
        ]

    @property
    def filters(self) -> list[tuple[str, str]]:
        """What is asked, as a program would ask it."""
        return [pair for pair in query.pairs(self.request) if pair[0] in self._names]

    @property
    def exports(self) -> list[tuple[str, str]]:
        return [(name.upper(), self.href(format=name)) for name in FORMATS]

    def _without(self, name: str, value: str) -> str:
        left = [each for each in self.values(name) if each and each != value]
        return self.href(**{name: left or None})

    def _field(self, name: str) -> Field:
        return next(each for each in self.fields if each.name == name)


def path_of(request: Request) -> str:
    """The path as it was asked for, with what was escaped in it."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return raw.partition(b"?")[0].decode("ascii", "replace")


def grouped(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


async def exported(
    asked: Asked, name: str, cells: Cells[Row], read: Read[Row], *, after: Any = None
) -> Response:
    """The whole list as a file: page by page, so that nothing of it has to fit into memory and
    nobody is kept waiting for a connection. A file that breaks off was not finished."""
    server, kind = server_of(asked.request), asked.format or "csv"
    async with server.connection() as conn:
        rows, cursor = await read(conn, after)

    async def pages() -> AsyncIterator[Sequence[Row]]:
        more, at = rows, cursor
        while True:
            yield more
            if at is None:
                return
            async with server.connection() as conn:
                more, at = await read(conn, at)

    write = as_csv if kind == "csv" else as_json
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    headers = {"Content-Disposition": f'attachment; filename="{name}-{stamp}.{kind}"'}
    return StreamingResponse(write(cells, pages()), media_type=FORMATS[kind], headers=headers)


async def as_csv(cells: Cells[Row], pages: AsyncIterator[Sequence[Row]]) -> AsyncIterator[str]:
    yield line(cells)
    async for rows in pages:
        yield "".join(line(cell(get(row)) for get in cells.values()) for row in rows)


async def as_json(cells: Cells[Row], pages: AsyncIterator[Sequence[Row]]) -> AsyncIterator[str]:
    before = "["
    async for rows in pages:
        for row in rows:
            told = {name: get(row) for name, get in cells.items()}
            yield f"{before}\n{json.dumps(told, ensure_ascii=False, default=plain)}"
            before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def line(values: Any) -> str:
    sink = io.StringIO()
    csv.writer(sink).writerow(values)
    return sink.getvalue()


def cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula is marked as text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else plain_text(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def plain_text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=plain)
    return str(plain(value))


def plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def told(count: int, is_capped: bool) -> str:
    """A count that ended somewhere."""
    return words.number(count) + ("+" if is_capped else "")
