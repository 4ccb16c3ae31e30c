"""Starts that are committed together: each gets its own answer, as if it had come alone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection, DataError

from scheduler.domain.errors import Conflict, Invalid, NotFound, Unavailable
from scheduler.services import runs, starts
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Begun, Order
from scheduler.services.starts import Answer, Wish
from scheduler.store import connections
from scheduler.store.audit import Actor
from tests.support import builders
from tests.support.builders import Conn, chain, one
from tests.support.interleaving import until_it_waits

pytestmark = pytest.mark.anyio

ANN = Actor("ann", 1, "127.0.0.1", "start_run")
BOB = Actor("bob", 2, "127.0.0.1", "start_run")
NUMBERED = """
name: numbered
input: {type: object, properties: {n: {type: integer}}, required: [n]}
tasks: [{name: only, noop: true}]
"""
SETTLED = """
name: settled
input: {type: object, properties: {go: {type: boolean}}}
tasks: [{name: only, run: "echo ${{ run.id }}"}]
"""


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await connections.connect(dsn, name="test") as conn:
        await builders.publish(conn, chain("two", "", ""), NUMBERED, SETTLED)
        yield conn


def wish(type: str = "two", *, actor: Actor = ANN, **more: Any) -> Wish:
    return Wish(Order(type=type, input=more.pop("input", {}), by=actor.actor, **more), actor)


async def together(conn: Conn, *wishes: Wish) -> list[Answer]:
    return await starts.start_all(conn, Catalog(), wishes)


def begun(answers: Sequence[Answer]) -> list[Begun]:
    return [each for each in answers if isinstance(each, Begun)]


async def test_each_gets_a_run_of_its_own_in_one_transaction(conn: Conn) -> None:
    answers = begun(await together(conn, *(wish(labels={"n": str(n)}) for n in range(20))))
    assert len({each.id for each in answers}) == 20
    assert await one(conn, "select count(distinct xmin::text) from runs") == 1
    for number, each in enumerate(answers):
        assert each.row == await runs.get(conn, each.id)
        assert each.row["labels"] == {"n": str(number)}


async def test_a_mixture_of_types_versions_and_inputs_is_started_as_each_was_wished(
    conn: Conn,
) -> None:
    await builders.publish(conn, chain("two", "", "", ""))
    answers = begun(
        await together(
            conn,
            wish(version=1),
            wish(),
            wish("numbered", input={"n": 7}, priority=9),
            wish("settled"),
        )
    )
    rows = [each.row or {} for each in answers]
    assert [(row["type"], row["type_version"], row["total"]) for row in rows] == [
        ("two", 1, 2),
        ("two", 2, 3),
        ("numbered", 1, 1),
        ("settled", 1, 1),
    ]
    assert (rows[2]["input"], rows[2]["priority"]) == ({"n": 7}, 9)
    ready = "select count(*) from tasks where state = 'READY' and run_id = %s"
    assert [await one(conn, ready, each.id) for each in answers] == [1, 1, 1, 1]


async def test_large_runs_do_not_go_all_into_one_transaction(conn: Conn) -> None:
    await builders.publish(conn, chain("large", *[""] * 900))
    answers = begun(await together(conn, *(wish("large") for _ in range(5)), wish()))
    assert len(answers) == 6
    shares = await conn.execute("select count(*) from runs group by xmin order by min(id::text)")
    assert [row[0] for row in await shares.fetchall()] == [2, 2, 2]


async def test_a_wish_that_makes_no_sense_costs_its_neighbours_nothing(conn: Conn) -> None:
    answers = await together(
        conn,
        wish(),
        wish("nothing"),
        wish("numbered", input={"n": "seven"}),
        wish(version=99),
        wish(priority=11),
        wish("numbered", input={"n": 7}),
    )
    kinds = [Begun, NotFound, Invalid, NotFound, Invalid, Begun]
    assert all(map(isinstance, answers, kinds)), answers
    assert await one(conn, "select count(*) from runs") == 2


async def test_what_only_the_database_refuses_costs_its_neighbours_nothing(conn: Conn) -> None:
    """Over HTTP no NUL comes as far as here; PostgreSQL would not take it."""
    bad = [wish(labels={"a": "\x00"}), wish(labels={"b": "\x00"})]
    answers = await together(conn, wish(), bad[0], wish(key="monday"), wish(), bad[1], wish())
    kinds = [isinstance(each, DataError) for each in answers]
    assert kinds == [False, True, False, False, True, False]
    assert {each.id for each in begun(answers)} == await ids_of_runs(conn)
    assert len(begun(answers)) == 4


async def ids_of_runs(conn: Conn) -> set[UUID]:
    cursor = await conn.execute("select id from runs")
    return {row[0] for row in await cursor.fetchall()}


async def test_twins_that_go_together_are_one_run(conn: Conn) -> None:
    twins = [wish(key="monday", labels={"n": "1"}) for _ in range(5)]
    answers = begun(await together(conn, wish(), *twins, wish(key="tuesday")))
    assert [each.replayed for each in answers] == [False, False, True, True, True, True, False]
    assert len({each.id for each in answers[1:6]}) == 1
    assert await one(conn, "select count(*) from runs") == 3


async def test_a_key_with_another_wish_is_refused_alone(conn: Conn) -> None:
    answers = await together(
        conn, wish(key="monday"), wish(key="monday", priority=9), wish(key="tuesday")
    )
    assert [type(each) for each in answers] == [Begun, Conflict, Begun]
    again = await together(conn, wish(key="monday", priority=9), wish(key="monday"))
    assert isinstance(again[0], Conflict)
    assert begun(again) == [Begun(begun(answers)[0].id, replayed=True)]


async def test_who_comes_again_gets_its_run_though_the_type_says_otherwise_since(
    conn: Conn,
) -> None:
    [first] = begun(await together(conn, wish(key="monday")))
    await builders.publish(conn, NUMBERED.replace("numbered", "two"))
    [again] = begun(await together(conn, wish(key="monday")))
    assert (again.id, again.replayed) == (first.id, True)


async def test_a_wish_that_is_refused_leaves_its_key_free(conn: Conn) -> None:
    wrong, right = (wish("numbered", key="monday", input={"n": n}) for n in ("one", 1))
    refused, other = await together(conn, wrong, right)
    assert isinstance(refused, Invalid)
    assert begun([other])[0].replayed is False


async def test_twins_at_several_servers_are_one_run(dsn: str, conn: Conn) -> None:
    """Each knows the keys in another order, so that they would wait for each other crosswise."""

    async def server(number: int) -> list[Begun]:
        async with await connections.connect(dsn, name="test") as mine:
            keys = [f"key-{(number * 7 + n) % 20}" for n in range(20)]
            return begun(await together(mine, *(wish(key=key) for key in keys)))

    told = [each for all in await asyncio.gather(*map(server, range(6))) for each in all]
    assert len(told) == 120
    assert len({each.id for each in told}) == 20
    assert sum(not each.replayed for each in told) == 20
    assert await one(conn, "select count(*) from runs") == 20


async def test_a_key_in_somebody_elses_hands_holds_up_nobody_else(dsn: str, conn: Conn) -> None:
    async with await AsyncConnection.connect(dsn) as other:
        await other.execute(
            "insert into idempotency_keys (key, digest, run_id) values ('held', 'd', %s)",
            [UUID(int=1)],
        )
        asked = asyncio.create_task(
            together(conn, wish(), wish(key="held"), wish(key="mine"), wish())
        )
        await until_it_waits(dsn, conn)
        answers = await asked
        await other.rollback()
    assert [type(each) for each in answers] == [Begun, Unavailable, Begun, Begun]
    assert "held" in str(answers[1])


async def test_the_audit_log_names_each_for_its_own_runs_alone(conn: Conn) -> None:
    answers = begun(await together(conn, wish(), wish(actor=BOB), wish(), wish(actor=BOB)))
    cursor = await conn.execute(
        "select actor, entity_id from audit where entity = 'runs' and action = 'create'"
    )
    told = {UUID(row[1]): row[0] for row in await cursor.fetchall()}
    assert [told[each.id] for each in answers] == ["ann", "bob", "ann", "bob"]
    triggered = [(each.row or {})["triggered_by"] for each in answers]
    assert triggered == ["ann", "bob", "ann", "bob"]


async def test_nothing_is_acknowledged_when_the_connection_is_lost(dsn: str, conn: Conn) -> None:
    async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
        await owner.execute("select pg_terminate_backend(%s)", [conn.info.backend_pid])
        with pytest.raises(Exception, match=r"terminat|closed|lost"):
            await together(conn, wish(), wish())
        found = await owner.execute("select count(*) from runs")
        assert (await found.fetchone() or (None,))[0] == 0
