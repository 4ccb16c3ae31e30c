"""Whatever stands in whatever place of whatever operation: never a fault of ours, nothing half
stored. The cases are made from the API's own description; a run takes some of those of each place,
`PROCESSION_LONG=1` all of them."""

import itertools
import json
import os
from collections.abc import AsyncIterator, Iterator

import pytest
from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed, Identifier

from scheduler.api import process_records
from scheduler.services.keyring import Keys
from tests.support import poison
from tests.support.api import Api, serving
from tests.support.described import document
from tests.support.people_api import with_password
from tests.support.poison import Case, Operation
from tests.support.postgres import Databases

pytestmark = pytest.mark.anyio

LONG = bool(os.environ.get("PROCESSION_LONG"))
OF_EACH_PLACE = 1
KNOWN = {"record": "nightly", "queue": "default", "user": "anna", "type": "two"}
COUNTERS = {"sign_ins"}  # of what was refused
OPERATIONS = {each.name: each for each in poison.operations(document(), KNOWN)}
places = itertools.count()


@pytest.fixture(scope="module")
async def api(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    with databases.cloned() as dsn:
        async with serving(dsn) as api:
            api.app.state.keys = Keys(data_dir=tmp_path_factory.mktemp("keys"))
            api.app.state.keys.make()
            await api.publish()
            await api.admin.post("/process-records", json={"id": "nightly", "type": "two"})
            await with_password(api, "anna")
            yield api


@pytest.fixture(scope="module")
async def rows(api: Api) -> AsyncIterator["Rows"]:
    async with await AsyncConnection.connect(api.url, autocommit=True) as conn:
        cursor = await conn.execute(
            "select relname from pg_class"
            " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
            " and not relispartition order by relname"
        )
        names = [name for (name,) in await cursor.fetchall() if name not in COUNTERS]
        yield Rows(conn, names)


class Rows:
    """How many rows each table has."""

    def __init__(self, conn: AsyncConnection, names: list[str]) -> None:
        self._conn = conn
        each = SQL("(select count(*) from {})")
        counts = SQL(", ").join([each.format(Identifier(name)) for name in names])
        self._statement: Composed = SQL("select {}").format(counts)
        self._names = names

    async def count(self) -> dict[str, int]:
        cursor = await self._conn.execute(self._statement)
        row = await cursor.fetchone()
        assert row is not None
        return dict(zip(self._names, row, strict=True))


def chosen(operation: Operation) -> Iterator[Case]:
    """Another part of the corpus at each place, so that all of it is used many times."""
    for cases in poison.cases(operation):
        if LONG:
            yield from cases
            continue
        start = next(places)
        for step in range(min(OF_EACH_PLACE, len(cases))):
            yield cases[(start + step * 7) % len(cases)]


@pytest.mark.parametrize("name", OPERATIONS)
async def test_nothing_bad_makes_a_fault_or_is_half_stored(
    api: Api, rows: Rows, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_records, "PATIENCE", 0)  # nobody carries out what it waits for
    before = await rows.count()
    wrong = []
    for case in chosen(OPERATIONS[name]):
        answer = await api.admin.request(
            case.method,
            f"http://server{case.path}",
            headers={name.encode(): value for name, value in case.headers.items()},
            content=case.body,
        )
        after = await rows.count()
        if answer.status_code >= 500 or (answer.status_code >= 400 and after != before):
            wrong.append((case.name, answer.status_code, answer.text[:200]))
        if answer.status_code >= 400 and case.method != "HEAD":
            json.loads(answer.content)
        before = after
    assert wrong == []


def test_the_corpus_reaches_every_field_that_a_body_has() -> None:
    places = {
        (name, where) for name, each in OPERATIONS.items() for where, _ in each.bodies_with_a_hole()
    }
    assert ("start_run", "body.priority") in places
    assert ("create_user", "body.email") in places
    assert ("create_token", "body.scopes[0]") in places
    assert ("alias_define_workflow", "body.steps[0].stepIndex") in places
