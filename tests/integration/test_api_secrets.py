"""Secrets over HTTP: who may do what, and that no answer ever holds a value."""

import base64
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.services.access import Role
from scheduler.services.keyring import Keys
from tests.support.api import Api, serving

pytestmark = pytest.mark.anyio

CANARY = "cAnArY-of-a-value-0815"
AT = "/secrets/db%2Fpassword"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    add_key(file)
    return file


def add_key(file: Path) -> None:
    """As the first, which is the current one."""
    before = file.read_text() if file.exists() else ""
    file.write_text(base64.b64encode(os.urandom(32)).decode() + "\n" + before)
    file.chmod(0o600)


@pytest.fixture
async def api(dsn: str, key_file: Path) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        api.app.state.keys = Keys(file=key_file)
        yield api


async def put(api: Api, **more: Any) -> dict[str, Any]:
    answer = await api.admin.put(AT, json={"value": CANARY, **more})
    assert answer.is_success, answer.text
    assert CANARY not in answer.text
    return dict(answer.json())


async def test_a_secret_is_made_changed_and_deleted_and_never_shown(api: Api) -> None:
    answer = await api.admin.put(AT, json={"value": CANARY, "grants": ["nightly"], "note": "n"})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["name"], made["version"], made["grants"]) == ("db/password", 1, ["nightly"])
    assert made["created_by"] == "the admin"
    again = await api.admin.put(AT, json={"value": CANARY + "2"})
    assert again.status_code == 200
    assert again.json()["version"] == 2
    assert (again.json()["grants"], again.json()["note"]) == (["nightly"], "n")
    changed = await api.admin.patch(AT, json={"grants": ["*"]})
    assert (changed.json()["grants"], changed.json()["version"]) == (["*"], 2)
    listed = await api.as_role(Role.AUTHOR).get("/secrets")
    shown = await api.as_role(Role.AUTHOR).get(AT)
    assert listed.json()["items"] == [shown.json()] == [changed.json()]
    for each in (answer, again, changed, listed, shown):
        assert CANARY not in each.text
        assert "sealed" not in each.text
    assert (await api.admin.delete(AT)).status_code == 204
    assert (await api.admin.get(AT)).status_code == 404
    assert (await api.admin.patch(AT, json={"note": "x"})).status_code == 404


async def test_authors_see_names_and_only_admins_write(api: Api) -> None:
    await put(api)
    for role in (Role.VIEWER, Role.OPERATOR):
        assert (await api.as_role(role).get("/secrets")).status_code == 403
    author = api.as_role(Role.AUTHOR)
    assert (await author.put(AT, json={"value": CANARY})).status_code == 403
    assert (await author.patch(AT, json={"grants": ["*"]})).status_code == 403
    assert (await author.delete(AT)).status_code == 403
    assert (await author.post("/secret-keys/rotate")).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"vale": CANARY},
        {"value": CANARY, "grant": []},
        {"value": [CANARY]},
        {"value": {"a": CANARY}},
        {"value": CANARY * 1000},
        {"value": CANARY, "grants": CANARY},
        {"value": CANARY, "note": 1},
        {"value": CANARY + "\ud800"},
        [CANARY],
        CANARY,
    ],
)
async def test_no_refusal_shows_what_was_sent(api: Api, body: Any) -> None:
    answer = await api.admin.put(AT, content=json.dumps(body))
    assert answer.status_code == 422, answer.text
    assert CANARY not in answer.text
    assert (await api.admin.get("/secrets")).json()["items"] == []


@pytest.mark.parametrize("name", ["UPPER", "a b", "a//b", "-a", "%2Fa", "a" * 129])
async def test_a_name_that_is_none_is_refused(api: Api, name: str) -> None:
    answer = await api.admin.put(f"/secrets/{name}", json={"value": CANARY})
    assert answer.status_code == 422, answer.text


async def test_values_that_could_not_be_hidden_are_refused(api: Api) -> None:
    answer = await api.admin.put(AT, json={"value": "   abc   "})
    assert answer.status_code == 422
    assert answer.json()["field"] == "value"


async def test_the_audit_log_knows_who_did_what_and_no_value(api: Api) -> None:
    await put(api, grants=["a"])
    await put(api)
    await api.admin.patch(AT, json={"grants": ["b"]})
    await api.admin.delete(AT)
    audit = await api.admin.get("/audit", params={"entity": "secrets"})
    lines = audit.json()["items"]
    assert [line["action"] for line in lines] == ["delete", "change", "change", "change", "create"]
    assert {line["entity_id"] for line in lines} == {"db/password"}
    assert "sealed" not in audit.text
    assert CANARY not in audit.text


async def test_keys_are_rotated_while_the_server_runs(api: Api, key_file: Path) -> None:
    before = await put(api)
    add_key(key_file)
    (new, old) = (await api.admin.get("/secret-keys")).json()["items"]
    assert (new["secrets"], old["secrets"], new["is_current"]) == (0, 1, True)
    done = (await api.admin.post("/secret-keys/rotate")).json()
    assert done["rotated"] == 1
    assert [key["secrets"] for key in done["items"]] == [1, 0]
    after = (await api.admin.get(AT)).json()
    assert (after["version"], after["key"]) == (before["version"], new["id"])


async def test_a_server_without_a_key_says_so_and_serves_the_rest(api: Api, tmp_path: Path) -> None:
    api.app.state.keys = Keys(data_dir=tmp_path)
    answer = await api.admin.put(AT, json={"value": CANARY})
    assert answer.status_code == 503
    assert "no key" in answer.json()["detail"]
    assert (await api.admin.get("/secrets")).status_code == 200


async def test_nothing_of_a_value_is_in_the_database_but_its_cell(
    api: Api, db: AsyncConnection
) -> None:
    await put(api, grants=["*"], note="n")
    cursor = await db.execute(
        "select table_name from information_schema.tables where table_schema = 'public'"
    )
    for (table,) in await cursor.fetchall():
        rows = await db.execute(f"select t::text from {table} t")
        assert not [row for (row,) in await rows.fetchall() if CANARY in row]
