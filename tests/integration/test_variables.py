"""Values that definitions read as `vars.NAME`, of the system, of a type and of a record."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from scheduler.domain.errors import Invalid, NotFound
from scheduler.services import records, variables
from scheduler.services.catalog import Catalog
from scheduler.services.records import Draft
from tests.support.builders import Conn, engine, one, publish, start, tasks_of

pytestmark = pytest.mark.anyio

READS = """
name: reads
vars: {place: type, own: mine}
tasks: [{name: t, run: [echo, "${{ vars.place }}", "${{ vars.hook }}"]}]
"""


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        await publish(conn, READS)
        yield conn


async def put(conn: Conn, name: str, value: Any) -> None:
    await variables.set(conn, name, value, note="", by="ann")


async def test_the_nearer_a_value_the_sooner_it_is_taken(conn: Conn) -> None:
    await put(conn, "place", "system")
    await put(conn, "hook", "https://example.org")
    run = await start(conn, "reads")
    assert (await tasks_of(conn, run))["t"]["invocation"]["argv"] == [
        "echo",
        "type",
        "https://example.org",
    ]
    await records.create(conn, Catalog(), "mine", Draft(type="reads", input={}), by="ann")
    await conn.execute("""update process_records set vars = '{"place": "record"}'""")
    of_record = (await records.start(conn, Catalog(), "mine", by="ann")).id
    assert (await tasks_of(conn, of_record))["t"]["invocation"]["argv"][1] == "record"


async def test_what_is_rendered_next_reads_the_new_value(conn: Conn) -> None:
    await put(conn, "hook", 1)
    await put(conn, "hook", 2)
    run = await start(conn, "reads")
    assert (await tasks_of(conn, run))["t"]["invocation"]["argv"][2] == "2"


async def test_a_variable_that_is_missing_fails_the_task_by_its_name(conn: Conn) -> None:
    run = await start(conn, "reads")
    assert "there is no 'hook'" in (await tasks_of(conn, run))["t"]["error"]


@pytest.mark.parametrize("name", ["", "a-b", "1a", "x" * 64, "a\n"])
async def test_a_name_that_expressions_cannot_say_is_refused(conn: Conn, name: str) -> None:
    with pytest.raises(Invalid):
        await put(conn, name, 1)


@pytest.mark.parametrize("value", ["x" * 20_000, "\0", 2**70], ids=["long", "nul", "large"])
async def test_a_value_that_cannot_be_kept_is_refused(conn: Conn, value: Any) -> None:
    with pytest.raises(Invalid, match="value"):
        await put(conn, "a", value)
    assert await one(conn, "select count(*) from variables") == 0


async def test_what_is_deleted_is_gone(conn: Conn) -> None:
    await put(conn, "a", 1)
    await variables.delete(conn, "a")
    with pytest.raises(NotFound):
        await variables.get(conn, "a")
