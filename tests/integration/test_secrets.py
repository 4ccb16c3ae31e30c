"""Secrets in the database: what is kept, for whom it is opened, and how keys change."""

import asyncio
import base64
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from scheduler.domain.errors import Conflict, Invalid, NotFound, Refusal, Unavailable
from scheduler.services import secrets
from scheduler.services.keyring import Keyring, Keys
from scheduler.services.secrets import NotGranted
from scheduler.store.secrets import SECRETS
from tests.support.builders import chain, engine, one, publish, start

pytestmark = pytest.mark.anyio

Conn = AsyncConnection[Any]


def a_line() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def a_ring(*lines: str) -> Keyring:
    return Keys(text="\n".join(lines or [a_line()])).load()


async def a_secret(conn: Conn, ring: Keyring, name: str = "db/password", **more: Any) -> str:
    value = base64.b64encode(os.urandom(12)).decode()
    await secrets.put(conn, ring, name, value, by="test", **{"grants": ["*"], **more})
    return value


async def a_run(conn: Conn, type: str = "secretive") -> UUID:
    await publish(conn, chain(type, ""))
    return await start(conn, type)


async def values(conn: Conn, ring: Keyring, run: UUID, *names: str) -> Any:
    """By name; or the first refusal."""
    found = await secrets.values_for(conn, ring, [(run, name) for name in names])
    refused = [found[run, name] for name in names if isinstance(found[run, name], Refusal)]
    return refused[0] if refused else {name: found[run, name] for name in names}


async def test_a_run_gets_what_its_type_was_granted(dsn: str) -> None:
    async with await engine(dsn) as conn:
        ring = a_ring()
        first = await a_secret(conn, ring, "one", grants=["secretive"])
        second = await a_secret(conn, ring, "two", grants=["*"])
        run = await a_run(conn)
        assert await values(conn, ring, run, "one", "two") == {"one": first, "two": second}


async def test_what_was_not_granted_or_is_not_there_is_named_with_its_remedy(dsn: str) -> None:
    async with await engine(dsn) as conn:
        ring = a_ring()
        await a_secret(conn, ring, "one", grants=["other"])
        run = await a_run(conn)
        refused = await values(conn, ring, run, "one")
        assert isinstance(refused, NotGranted)
        assert str(refused) == "secret 'one' is not granted to the type 'secretive'"
        assert refused.remedy is not None
        assert "procession secrets grant one secretive" in refused.remedy
        assert isinstance(await values(conn, ring, run, "none"), NotFound)


async def test_one_look_serves_many_runs_and_one_refusal_harms_no_other(dsn: str) -> None:
    async with await engine(dsn) as conn:
        ring = a_ring()
        value = await a_secret(conn, ring, "one", grants=["a"])
        runs = [await a_run(conn, type) for type in ("a", "b", "a")]
        found = await secrets.values_for(conn, ring, [(run, "one") for run in runs])
        assert [isinstance(found[run, "one"], Refusal) for run in runs] == [False, True, False]
        assert found[runs[2], "one"] == value


async def test_a_new_value_takes_the_place_of_the_old_one(dsn: str) -> None:
    async with await engine(dsn) as conn:
        ring = a_ring()
        await a_secret(conn, ring, note="of the shop")
        before = await secrets.get(conn, "db/password")
        sealed = await one(conn, "select sealed from secret_cells")
        value = await a_secret(conn, ring, grants=None)
        after = await secrets.get(conn, "db/password")
        assert (before["version"], after["version"]) == (1, 2)
        assert (after["note"], after["grants"]) == ("of the shop", ["*"])
        assert before["fingerprint"] != after["fingerprint"]
        assert await one(conn, "select count(*) from secret_cells") == 1
        assert await one(conn, "select sealed from secret_cells") != sealed
        assert await values(conn, ring, await a_run(conn), "db/password") == {"db/password": value}


async def test_an_encrypted_value_can_be_read_in_its_own_place_only(dsn: str) -> None:
    """Moved to another secret, or put back after a new value, it is refused."""
    async with await engine(dsn) as conn:
        ring = a_ring()
        await a_secret(conn, ring, "one")
        await a_secret(conn, ring, "two")
        run = await a_run(conn)
        await conn.execute(
            "update secret_cells c set sealed = o.sealed from secret_cells o "
            "where o.secret_id <> c.secret_id"
        )
        assert isinstance(await values(conn, ring, run, "one"), Conflict)
        await a_secret(conn, ring, "one")
        old = await one(conn, "select sealed from secret_cells order by secret_id limit 1")
        await a_secret(conn, ring, "one")
        await conn.execute("update secret_cells set sealed = %s where version = 3", [old])
        assert isinstance(await values(conn, ring, run, "one"), Conflict)


async def test_keys_change_in_batches_and_the_old_one_is_needed_no_more(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "BATCH", 3)
    old, new = a_line(), a_line()
    async with await engine(dsn) as conn:
        given = {f"s{n}": await a_secret(conn, a_ring(old), f"s{n}") for n in range(10)}
        both = a_ring(new, old)
        given["late"] = await a_secret(conn, both, "late")
        assert await secrets.rotate(conn, both) == 10
        assert await secrets.rotate(conn, both) == 0
        run = await a_run(conn)
        assert await values(conn, a_ring(new), run, *given) == given
        keys = await secrets.all_keys(conn, both)
        assert [(key["secrets"], key["is_current"]) for key in keys] == [(11, True), (0, False)]


async def test_new_values_keys_and_uses_do_not_stand_in_each_others_way(dsn: str) -> None:
    """Two put, two rotate by turns to another key, two use: nobody fails, everything is read."""
    first, second = a_line(), a_line()
    rings = [a_ring(first, second), a_ring(second, first)]
    names = [f"s{number}" for number in range(4)]

    async with await engine(dsn) as conn:
        for name in names:
            await a_secret(conn, rings[0], name)
        run = await a_run(conn)

    async def work(number: int) -> None:
        ring = rings[number % 2]
        async with await engine(dsn) as conn:
            for turn in range(30):
                if number < 2:
                    await a_secret(conn, ring, names[turn % 4])
                elif number < 4:
                    await secrets.rotate_batch(conn, ring)
                else:
                    assert set(await values(conn, ring, run, *names)) == set(names)

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(work(number))


async def test_a_key_that_is_not_at_hand_is_named(dsn: str) -> None:
    async with await engine(dsn) as conn:
        ring = a_ring()
        await a_secret(conn, ring)
        run = await a_run(conn)
        refused = await values(conn, a_ring(), run, "db/password")
        assert isinstance(refused, Unavailable)
        assert ring.current.id in str(refused)
        with pytest.raises(Unavailable, match=ring.current.id):
            await secrets.rotate(conn, a_ring())
        nothing = await values(conn, Keys().load(), run, "db/password")
        assert isinstance(nothing, Unavailable)


async def test_without_a_key_nothing_is_kept(dsn: str) -> None:
    async with await engine(dsn) as conn:
        with pytest.raises(Unavailable, match="no key for secrets"):
            await a_secret(conn, Keys().load())
        assert await one(conn, "select count(*) from secrets") == 0


async def test_the_first_start_makes_a_key_and_no_other_start_does(
    dsn: str, tmp_path: Path
) -> None:
    async with await engine(dsn) as conn:
        keys = Keys(data_dir=tmp_path / "a")
        await secrets.ensure_key(conn, keys)
        made = (tmp_path / "a" / "secret.keys").read_text()
        assert (tmp_path / "a" / "secret.keys").stat().st_mode & 0o777 == 0o600
        await secrets.ensure_key(conn, keys)
        assert (tmp_path / "a" / "secret.keys").read_text() == made
        await secrets.ensure_key(conn, Keys(data_dir=tmp_path / "b"))
        assert not (tmp_path / "b").exists()


async def test_a_folder_that_takes_no_key_keeps_nobody_from_starting(
    dsn: str, tmp_path: Path
) -> None:
    async with await engine(dsn) as conn:
        (tmp_path / "file").touch()
        await secrets.ensure_key(conn, Keys(data_dir=tmp_path / "file" / "below"))
        assert await one(conn, "select count(*) from secret_keys") == 0


async def test_a_deleted_secret_is_gone_with_its_value(dsn: str) -> None:
    async with await engine(dsn) as conn:
        await a_secret(conn, a_ring())
        await secrets.delete(conn, "db/password")
        assert await one(conn, "select count(*) from secret_cells") == 0
        with pytest.raises(NotFound):
            await secrets.delete(conn, "db/password")


async def test_what_runs_ask_for_is_found_by_index_however_many_there_are(dsn: str) -> None:
    """As a worker asks, on an engine connection, with the plan that serves every batch."""
    async with await engine(dsn) as conn:
        ring = a_ring()
        await a_secret(conn, ring)
        run = await a_run(conn)
        for _ in range(8):
            await values(conn, ring, run, "db/password")
        statement = SECRETS["asked"].as_string(conn) % {
            "runs": f"array['{run}']",
            "names": "array['db/password']",
        }
        plan = await conn.execute(f"explain {statement}".encode())
        lines = [str(row[0]) for row in await plan.fetchall()]
        assert not [line for line in lines if "Seq Scan" in line], lines


def test_keys_are_read_from_text_from_a_file_and_from_the_data_folder(tmp_path: Path) -> None:
    lines = [a_line(), a_line()]
    ids = [key.id for key in Keys(text=",".join(lines)).load().keys]
    assert len(set(ids)) == 2
    file = tmp_path / "keys"
    file.write_text("# the new one\n" + "\n\n".join(lines) + "\n")
    file.chmod(0o444)
    assert [key.id for key in Keys(file=file).load().keys] == ids
    file.chmod(0o600)
    file.rename(tmp_path / "secret.keys")
    assert [key.id for key in Keys(data_dir=tmp_path).load().keys] == ids


def test_keys_that_others_may_have_touched_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret.keys"
    file.write_text(a_line())
    file.chmod(0o640)
    with pytest.raises(Unavailable, match="open to others"):
        Keys(data_dir=tmp_path).load()
    file.chmod(0o666)
    with pytest.raises(Unavailable, match="open to others"):
        Keys(file=file).load()


@pytest.mark.parametrize(
    "text",
    ["secret", "c2hvcnQ=", "é", a_line() + "x"],
    ids=["a word", "short", "not ASCII", "one character more"],
)
def test_what_is_no_key_is_refused_by_its_line_and_not_shown(text: str) -> None:
    with pytest.raises(Invalid, match="line 2") as refusal:
        Keys(text=f"{a_line()}\n{text}").load()
    assert text not in str(refusal.value)


def test_nothing_shows_a_key() -> None:
    line = a_line()
    assert line not in repr(Keys(text=line)) + repr(Keys(text=line).load())
    assert repr(base64.b64decode(line)) not in repr(Keys(text=line).load())
