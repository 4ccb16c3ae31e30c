"""Process types: listed and found, compared, retired and reinstated."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from scheduler.services.access import Role
from tests.support import builders
from tests.support.api import YAML, Api, serving

pytestmark = pytest.mark.anyio

REPORT = """
name: report
description: What the Night brought
tasks:
  - {name: load, noop: true}
"""
LATER = """
name: report
description: What the Night brought
timeout: 5m
tasks:
  - {name: check, noop: true}
  - {name: load, run: load --all}
"""


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        await api.publish(REPORT)
        yield api


async def names(api: Api, **params: Any) -> list[str]:
    answer = await api.admin.get("/process-types", params=params)
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["items"]]


async def retire(api: Api, name: str = "report", note: str = "use two") -> None:
    answer = await api.admin.post(f"/process-types/{name}/retire", json={"note": note})
    assert answer.status_code == 200, answer.text


async def test_types_are_found_by_a_part_of_their_name_or_description(api: Api) -> None:
    assert await names(api, q="EPO") == ["report"]
    assert await names(api, q="night b") == ["report"]
    assert await names(api, q="%") == []
    assert await names(api) == ["report", "two"]


async def test_pages_of_types_go_on_where_they_ended(api: Api) -> None:
    first = (await api.admin.get("/process-types", params={"limit": 1, "count": "true"})).json()
    second = (
        await api.admin.get("/process-types", params={"limit": 1, "cursor": first["next"]})
    ).json()
    assert [first["items"][0]["name"], second["items"][0]["name"]] == ["report", "two"]
    assert (first["count"], first["count_is_capped"]) == (2, False)
    assert second["next"] is None


async def test_versions_come_in_pages_the_newest_first(api: Api) -> None:
    await api.publish(LATER)
    path = "/process-types/report/versions"
    first = (await api.admin.get(path, params={"limit": 1})).json()
    second = (await api.admin.get(path, params={"limit": 1, "cursor": first["next"]})).json()
    assert [first["items"][0]["version"], second["items"][0]["version"]] == [2, 1]
    assert second["next"] is None


async def test_two_versions_are_compared_place_by_place_and_as_texts(api: Api) -> None:
    await api.publish(LATER)
    path = "/process-types/report/diff"
    found = (await api.admin.get(path, params={"from": 1})).json()
    back = (await api.admin.get(path, params={"from": 2, "to": 1})).json()
    same = (await api.admin.get(path, params={"from": 2, "to": 2})).json()
    assert (found["before"], found["after"]) == (1, 2)
    assert {(each["path"], each["kind"]) for each in found["changes"]} == {
        ("timeout", "added"),
        ("tasks[check]", "added"),
        ("tasks[load].noop", "removed"),
        ("tasks[load].run", "added"),
    }
    assert found["text"].startswith("--- report v1\n+++ report v2\n")
    assert "+timeout: 5m\n" in found["text"]
    assert {"path": "timeout", "kind": "removed", "before": "5m", "after": None} in back["changes"]
    assert (same["changes"], same["text"]) == ([], "")


async def test_a_version_that_is_not_there_is_not_compared(api: Api) -> None:
    path = "/process-types/report/diff"
    assert (await api.admin.get(path, params={"from": 9})).status_code == 404
    assert (await api.admin.get(path)).status_code == 422


async def test_a_retired_type_is_neither_started_nor_published_nor_put_in_a_record(
    api: Api,
) -> None:
    await api.admin.post("/process-records", json={"id": "nightly", "type": "report"})
    await retire(api)
    refused = [
        await api.admin.post("/runs", json={"type": "report"}),
        await api.admin.post("/runs", json={"type": "report", "version": 1}),
        await api.admin.post("/process-types", content=REPORT, headers=YAML),
        await api.admin.post("/process-types", content=LATER, headers=YAML),
        await api.admin.post("/process-records/nightly/start"),
        await api.admin.post("/process-records", json={"id": "other", "type": "report"}),
        await api.admin.patch("/process-records/nightly", json={"input": {"a": 1}}),
    ]
    assert [answer.status_code for answer in refused] == [409] * 7
    for answer in refused:
        assert "use two" in answer.json()["detail"]
        assert "/process-types/report/reinstate" in answer.json()["remedy"]


async def test_a_record_of_a_retired_type_can_be_moved_to_another(api: Api) -> None:
    await api.admin.post("/process-records", json={"id": "nightly", "type": "report"})
    await retire(api)
    moved = await api.admin.patch("/process-records/nightly", json={"type": "two"})
    assert moved.status_code == 200
    assert (await api.admin.post("/process-records/nightly/start")).status_code == 201


async def test_what_runs_of_a_retired_type_goes_on_and_is_retried(api: Api) -> None:
    run = await api.start("report")
    await retire(api)
    async with await builders.engine(api.url) as conn:
        await builders.carry_out(conn, await builders.a_holder(conn), builders.PERMANENT)
    retried = await api.admin.post(f"/runs/{run['id']}/retry")
    assert (retried.status_code, retried.json()["round"]) == (200, 2)


async def test_a_start_that_was_answered_is_answered_again_though_its_type_is_retired(
    api: Api,
) -> None:
    key = {"Idempotency-Key": "tonight"}
    first = await api.admin.post("/runs", json={"type": "report"}, headers=key)
    await retire(api)
    again = await api.admin.post("/runs", json={"type": "report"}, headers=key)
    assert again.status_code == 201
    assert again.json()["id"] == first.json()["id"]


async def test_a_retired_type_is_hidden_unless_somebody_asks_for_it(api: Api) -> None:
    await retire(api)
    shown = (await api.admin.get("/process-types/report")).json()
    assert await names(api) == ["two"]
    assert await names(api, retired="only") == ["report"]
    assert await names(api, retired="with") == ["report", "two"]
    assert (shown["retired_by"], shown["retired_note"]) == ("the admin", "use two")


async def test_a_reinstated_type_is_as_it_was(api: Api) -> None:
    before = (await api.admin.get("/process-types/report")).json()
    await retire(api)
    await retire(api, note="again")
    kept = (await api.admin.get("/process-types/report")).json()
    after = (await api.admin.post("/process-types/report/reinstate")).json()
    again = await api.admin.post("/process-types/report/reinstate")
    assert kept["retired_note"] == "use two"
    assert after == before
    assert again.status_code == 200
    await api.start("report")


async def test_who_retired_a_type_is_in_the_audit_log(api: Api) -> None:
    await api.as_role(Role.AUTHOR).post("/process-types/report/retire")
    [line] = (
        await api.admin.get("/audit", params={"entity": "process_types", "entity_id": "report"})
    ).json()["items"][:1]
    assert (line["operation"], line["actor"]) == ("retire_process_type", "the author")
    assert line["after"]["retired_by"] == "the author"


async def test_the_type_of_ad_hoc_commands_cannot_be_retired(api: Api) -> None:
    await api.admin.post("/commands", json={"argv": ["true"]})
    assert (await api.admin.post("/process-types/exec/retire")).status_code == 409
    assert (await api.admin.post("/process-types/none/retire")).status_code == 404
