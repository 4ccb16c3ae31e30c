"""Lists: what an address asks of them, and the files that they are sent as."""

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import Request

from scheduler.domain.errors import Invalid
from ui import lists
from ui.lists import Asked, Column, Field, Listing

LIST = Listing(
    (Field("type", "Type"), Field("status", "State", "states", ("GOOD", "BAD"))),
    (Column("a", "A"), Column("b", "B"), Column("c", "C", is_usual=False)),
)


def asked(query: str, path: str = "/ui/things") -> Asked:
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "headers": [],
    }  # fmt: skip
    return LIST.read(Request(scope))


def test_each_filter_can_be_taken_off_alone_and_all_at_once() -> None:
    found = asked("type=x%20y&status=GOOD&status=BAD&view=board&cursor=7")
    assert [(each.text, each.value) for each in found.chips] == [
        ("Type", "x y"), ("State", "GOOD"), ("State", "BAD"),
    ]  # fmt: skip
    assert found.chips[1].href == "/ui/things?type=x+y&view=board&status=BAD"
    assert found.cleared == "/ui/things?view=board"


def test_a_page_leads_to_the_next_and_to_the_first_with_all_that_was_asked() -> None:
    found = asked("type=x&cursor=7")
    assert found.next(9) == "/ui/things?type=x&cursor=9"
    assert found.first == "/ui/things?type=x"
    assert found.next(None) is None
    assert not found.is_first


def test_a_path_keeps_what_is_escaped_in_it() -> None:
    assert asked("", "/ui/records/a%2Fb%3F").first == "/ui/records/a%2Fb%3F"


@pytest.mark.parametrize("name", ["path", "self", "name", "__class__", "a=b", "\u00fc"])
def test_an_address_may_name_what_it_likes(name: str) -> None:
    found = asked(f"{name}=1&type=")
    assert found.is_untidy
    assert found.tidied().status_code == 303


def test_what_is_chosen_is_among_what_there_is() -> None:
    with pytest.raises(Invalid, match="status cannot be 'WORSE'"):
        asked("status=WORSE").among("status")
    with pytest.raises(Invalid, match="format cannot be"):
        _ = asked("format=exe").format


def test_columns_are_those_that_somebody_chose_among_those_there_are() -> None:
    assert [each.name for each in asked("").columns] == ["a", "b"]
    assert [each.name for each in asked("columns=c&columns=a&columns=z").columns] == ["a", "c"]
    assert [each.name for each in asked("columns=z").columns] == ["a", "b"]


async def pages(*all: Sequence[Any]) -> AsyncIterator[Sequence[Any]]:
    for each in all:
        yield each


CELLS: lists.Cells[Any] = {"id": lambda row: row[0], "what": lambda row: row[1]}
ROWS = [(1, "a,b"), (2, '=cmd|"x"'), (3, None), (4, {"k": datetime(2026, 5, 17, tzinfo=UTC)})]


@pytest.mark.anyio
async def test_a_file_for_a_spreadsheet_holds_no_formula() -> None:
    text = "".join([part async for part in lists.as_csv(CELLS, pages(ROWS[:2], ROWS[2:]))])
    assert list(csv.reader(io.StringIO(text))) == [
        ["id", "what"], ["1", "a,b"], ["2", "'=cmd|\"x\""], ["3", ""],
        ["4", '{"k": "2026-05-17T00:00:00+00:00"}'],
    ]  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("rows", [[], ROWS])
async def test_a_file_for_a_program_is_one_list(rows: Sequence[Any]) -> None:
    text = "".join([part async for part in lists.as_json(CELLS, pages(rows, []))])
    assert [each["id"] for each in json.loads(text)] == [row[0] for row in rows]
