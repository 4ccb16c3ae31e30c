"""Who changed what: one line for each change, in the transaction of the change."""

from collections.abc import AsyncIterator
from typing import Any, get_args

import pytest
from psycopg import AsyncConnection, errors
from psycopg.sql import SQL

from scheduler.api.audit import Entity
from scheduler.services.access import Role
from tests.support.api import Api, serving
from tests.support.builders import a_holder, carry_out, engine

pytestmark = pytest.mark.anyio

SERVER = "http://server"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        yield api


async def entries(api: Api, **filters: str) -> list[dict[str, Any]]:
    answer = await api.admin.get("/audit", params=filters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_a_change_is_told_with_who_made_it_and_what_was_before(api: Api) -> None:
    author = api.as_role(Role.AUTHOR)
    await author.post("/process-records", json={"id": "r", "type": "two"})
    await author.patch("/process-records/r", json={"input": {"a": 1}})
    await author.delete("/process-records/r")

    gone, changed, made = await entries(api, entity="process_records", entity_id="r")
    assert [made["action"], changed["action"], gone["action"]] == ["create", "change", "delete"]
    assert [made["operation"], gone["operation"]] == [
        "create_process_record",
        "delete_process_record",
    ]
    assert made["before"] is None
    assert made["after"]["type"] == "two"
    assert (changed["before"]["input"], changed["after"]["input"]) == ({}, {"a": 1})
    assert "type" not in changed["after"]
    assert gone["after"] is None
    assert {each["actor"] for each in (made, changed, gone)} == {"the author"}
    assert {each["source"] for each in (made, changed, gone)} == {"127.0.0.1"}


async def test_whatever_is_written_down_can_be_asked_for(api: Api, db: AsyncConnection) -> None:
    cursor = await db.execute(
        "select distinct tgrelid::regclass::text from pg_trigger"
        " where tgname like 'audit%' and not tgisinternal"
    )
    tables = {row[0] for row in await cursor.fetchall()} - {"procrastinate_jobs"} | {"chores"}
    assert tables == set(get_args(Entity))


async def test_every_kind_of_change_leaves_its_line(api: Api) -> None:
    run = await api.start()
    token = (await api.admin.post("/tokens", json={"name": "ci", "role": "viewer"})).json()
    changes = {
        "process_type_versions": None,
        "runs": api.admin.post(f"/runs/{run['id']}/hold"),
        "queues": api.admin.post("/queues/default/pause", json={"note": "lunch"}),
        "tokens": api.admin.delete(f"/tokens/{token['id']}"),
    }
    for entity, change in changes.items():
        if change is not None:
            assert (await change).status_code == 200, entity
        assert await entries(api, entity=entity), entity


async def test_aliases_and_canonical_paths_leave_the_same_trail(api: Api) -> None:
    wish = {"id": "r", "type": "two", "inputData": "a:1"}
    await api.admin.post(f"{SERVER}/process-records", json=wish)
    lines = await entries(api, entity="process_records")
    assert {each["operation"] for each in lines} == {"alias_create_process_record"}


async def test_what_was_refused_leaves_no_line(api: Api) -> None:
    before = await entries(api)
    await api.admin.post("/process-records", json={"id": "r", "type": "nothing"})
    await api.as_role(Role.VIEWER).post("/process-records", json={"id": "r", "type": "two"})
    await api.admin.post("/runs", json={"type": "two", "version": 9})
    assert await entries(api) == before


async def test_what_workers_do_is_history_and_no_change_by_anybody(api: Api, dsn: str) -> None:
    await api.start()
    before = await entries(api)
    async with await engine(dsn) as conn:
        holder = await a_holder(conn)
        while await carry_out(conn, holder):
            pass
    assert await entries(api) == before


async def test_nothing_secret_is_in_it(api: Api) -> None:
    made = (await api.admin.post("/tokens", json={"name": "ci", "role": "viewer"})).json()
    [line] = await entries(api, entity="tokens", entity_id=str(made["id"]))
    assert "digest" not in line["after"]
    assert made["token"] not in str(line)


@pytest.mark.parametrize(
    "statement",
    [
        "update audit set actor = 'me'",
        "delete from audit",
        "truncate audit",
        "insert into audit (actor, source, operation, entity, entity_id, action) "
        "values ('me', '', '', 'runs', '', 'create')",
    ],
)
async def test_nobody_who_runs_as_app_can_write_it_by_hand(
    db: AsyncConnection, statement: str
) -> None:
    await db.execute("set role app")
    with pytest.raises(errors.InsufficientPrivilege):
        await db.execute(SQL(statement))


async def test_whatever_is_told_of_can_be_asked_for(api: Api, db: AsyncConnection) -> None:
    cursor = await db.execute(
        "select distinct c.relname from pg_trigger t"
        " join pg_class c on c.oid = t.tgrelid join pg_proc p on p.oid = t.tgfoid"
        " where p.proname = 'audit_row' and not t.tgisinternal"
    )
    for (table,) in await cursor.fetchall():
        assert await entries(api, entity=table) is not None, table


async def test_pages_of_it_go_on_where_they_ended(api: Api) -> None:
    for number in range(5):
        await api.admin.post("/process-records", json={"id": f"r{number}", "type": "two"})
    query: dict[str, Any] = {"entity": "process_records", "limit": 2}
    found: list[str] = []
    while True:
        page = (await api.admin.get("/audit", params=query)).json()
        found += [each["entity_id"] for each in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert found == ["r4", "r3", "r2", "r1", "r0"]
