from collections.abc import AsyncIterator

import pytest

from scheduler.domain.states import RunState
from tests.support import builders
from tests.support.api import YAML, Api, serving

pytestmark = pytest.mark.anyio
FRAIL = "name: frail\ntasks: [{name: only, noop: true}]"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        await api.publish(FRAIL)
        yield api


async def a_dead_letter(api: Api) -> int:
    await api.start("frail", labels={"team": "reports"})
    async with await builders.engine(api.url) as conn:
        holder = await builders.a_holder(conn)
        await builders.carry_out(conn, holder, builders.PERMANENT)
    letter: int = (await api.admin.get("/dead-letters")).json()["items"][0]["id"]
    return letter


async def test_a_dead_letter_is_taken_up_again_by_one_of_two_who_ask(api: Api) -> None:
    path = f"/dead-letters/{await a_dead_letter(api)}"
    first = await api.admin.post(f"{path}/redrive")
    second = await api.admin.post(f"{path}/redrive")
    assert first.json()["status"] == "IN_PROGRESS"
    assert first.json()["round"] == 2
    assert second.status_code == 409
    assert (await api.admin.get(path)).json()["status"] == "REDRIVEN"
    assert (await api.admin.get("/dead-letters")).json()["items"] == []


async def test_a_dead_letter_is_discarded_with_a_reason_alone(api: Api) -> None:
    path = f"/dead-letters/{await a_dead_letter(api)}"
    assert (await api.admin.post(f"{path}/discard", json={})).status_code == 422
    assert (await api.admin.post(f"{path}/discard", json={"note": " "})).status_code == 422
    done = (await api.admin.post(f"{path}/discard", json={"note": "seen"})).json()
    assert (done["status"], done["note"]) == ("DISCARDED", "seen")
    assert done["closed_by"] == "the admin"


async def test_dead_letters_with_the_same_fault_are_one_group(api: Api) -> None:
    await a_dead_letter(api)
    await a_dead_letter(api)
    [group] = (await api.admin.get("/dead-letters/groups")).json()["items"]
    assert (group["letters"], group["task"]) == (2, "only")


async def test_a_failed_run_is_retried_whole_or_from_a_task_but_not_both(api: Api) -> None:
    await a_dead_letter(api)
    [run] = (await api.admin.get("/runs")).json()["items"]
    path = f"/runs/{run['id']}/retry"
    both = await api.admin.post(path, json={"task": "only", "whole": True})
    done = await api.admin.post(path, json={"whole": True})
    again = await api.admin.post(path)
    assert both.status_code == 422
    assert done.json()["status"] == "IN_PROGRESS"
    assert again.status_code == 409


async def test_commands_reach_a_run_by_both_of_their_words(api: Api) -> None:
    run = await api.start()
    path = f"/runs/{run['id']}"
    assert (await api.admin.post(f"{path}/pause")).json()["status"] == "HELD"
    assert (await api.admin.post(f"{path}/hold")).json()["status"] == "HELD"
    assert (await api.admin.post(f"{path}/resume")).json()["status"] == "IN_PROGRESS"
    stopped = await api.admin.post(f"{path}/cancel", json={"why": "enough"})
    assert stopped.json()["status"] == "STOPPED"
    assert (await api.admin.post(f"{path}/stop")).status_code == 409


async def test_a_run_says_why_it_does_not_go_on(api: Api) -> None:
    run = await api.start()
    await api.admin.post("/queues/default/pause", json={"note": "the press is serviced"})
    why = (await api.admin.get(f"/runs/{run['id']}/why")).json()
    assert "the press is serviced" in why["reasons"][0]


async def test_the_priority_of_a_run_reaches_its_tasks(api: Api) -> None:
    run = await api.start()
    path = f"/runs/{run['id']}"
    changed = await api.admin.patch(path, json={"priority": 9})
    tasks = (await api.admin.get(f"{path}/tasks")).json()["items"]
    assert changed.json()["priority"] == 9
    assert {task["priority"] for task in tasks} == {9}


async def test_runs_are_found_by_what_they_are_and_by_a_part_of_their_id(api: Api) -> None:
    one, other = await api.start("two"), await api.start("frail")
    await api.admin.post(f"/runs/{other['id']}/stop")

    async def found(**params: str | list[str]) -> list[str]:
        items = (await api.admin.get("/runs", params=params)).json()["items"]
        return [each["id"] for each in items]

    assert await found(type="two") == [one["id"]]
    assert await found(status="STOPPED") == [other["id"]]
    assert await found(status=["STOPPED", "IN_PROGRESS"]) == [other["id"], one["id"]]
    assert await found(short=one["id"][-8:]) == [one["id"]]
    assert await found(short=one["id"].upper()) == [one["id"]]
    assert await found(short="ffffffff") == []


async def test_pages_of_runs_are_stable_while_others_start(api: Api) -> None:
    ids = [(await api.start())["id"] for _ in range(5)]
    first = (await api.admin.get("/runs", params={"limit": 3})).json()
    await api.start()
    second = (await api.admin.get("/runs", params={"limit": 3, "cursor": first["next"]})).json()
    assert [r["id"] for r in first["items"] + second["items"]] == ids[::-1]


async def test_a_queue_is_paused_bounded_and_resumed(api: Api) -> None:
    paused = (await api.admin.post("/queues/big/pause", json={"note": "later"})).json()
    bounded = (await api.admin.put("/queues/big/size", json={"size": 3})).json()
    resumed = (await api.admin.post("/queues/big/resume")).json()
    lifted = (await api.admin.put("/queues/big/size", json={"size": None})).json()
    assert paused["paused_at"] is not None
    assert paused["note"] == "later"
    assert bounded["size"] == 3
    assert resumed["paused_at"] is None
    assert lifted["size"] is None
    assert (await api.admin.post("/queues/none/resume")).status_code == 404


async def test_a_worker_is_drained_and_given_work_again(api: Api) -> None:
    async with await builders.engine(api.url) as conn:
        await builders.a_holder(conn, "press-1")
    drained = (await api.admin.post("/workers/press-1/drain")).json()
    listed = (await api.admin.get("/workers")).json()["items"]
    again = (await api.admin.post("/workers/press-1/resume")).json()
    assert drained["status"] == listed[0]["status"] == "DRAINING"
    assert again["status"] == "ACTIVE"
    assert (await api.admin.post("/workers/press-2/drain")).status_code == 404


async def test_publishing_the_same_content_again_changes_nothing(api: Api) -> None:
    again = await api.admin.post("/process-types", content=FRAIL, headers=YAML)
    other = await api.admin.post(
        "/process-types", content=FRAIL.replace("only", "other"), headers=YAML
    )
    versions = (await api.admin.get("/process-types/frail/versions")).json()["items"]
    first = (await api.admin.get("/process-types/frail", params={"version": 1})).json()
    assert again.json()["items"] == [{"name": "frail", "version": 1, "changed": False}]
    assert other.json()["items"] == [{"name": "frail", "version": 2, "changed": True}]
    assert [each["version"] for each in versions] == [2, 1]
    assert first["definition"]["tasks"][0]["name"] == "only"


async def test_validation_publishes_nothing(api: Api) -> None:
    text = "name: new\ntasks: [{name: a, noop: true}]"
    verdict = await api.admin.post("/process-types/validate", content=text, headers=YAML)
    assert verdict.json() == {"valid": True, "names": ["new"], "faults": []}
    assert (await api.admin.get("/process-types/new")).status_code == 404


async def test_definitions_are_published_as_json_too(api: Api) -> None:
    body = {"name": "as-json", "tasks": [{"name": "a", "noop": True}]}
    answer = await api.admin.post("/process-types", json=body)
    listed = (await api.admin.get("/process-types")).json()["items"]
    assert answer.json()["items"][0]["version"] == 1
    assert [each["name"] for each in listed] == ["as-json", "frail", "two"]


async def test_the_schema_of_definitions_is_published(api: Api) -> None:
    schema = (await api.admin.get("/definition-schema")).json()
    assert schema["$schema"].startswith("https://json-schema.org/draft/2020-12")


async def test_statistics_count_the_runs_in_every_state(api: Api) -> None:
    await api.start()
    found = (await api.admin.get("/statistics")).json()
    assert found["total"] == 1
    assert found["runs"]["IN_PROGRESS"] == 1
    assert set(found["runs"]) == {state.value for state in RunState}


async def test_readiness_names_each_component(api: Api) -> None:
    answer = await api.admin.get("/health/ready")
    assert answer.status_code == 200
    assert set(answer.json()["components"]) == {"database", "schema", "workers"}
