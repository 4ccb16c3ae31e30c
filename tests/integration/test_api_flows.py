"""What people do to the flow of a run, over HTTP."""

from collections.abc import AsyncIterator

import pytest

from tests.support.api import Api, serving

pytestmark = pytest.mark.anyio

STEPS = """
name: steps
tasks:
  - {name: wait, wait_for: never}
  - {name: then, run: [echo, "${{ tasks.wait.output.n }}"]}
"""
PARENT = """
name: parent
tasks: [{name: call, process: two}]
"""
READS = """
name: reads
tasks: [{name: t, run: [echo, "${{ vars.place }}"]}]
"""
ASKS = "name: asks\ntasks: [{name: ask, approval: 'Ship it?'}]\n"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        for text in (STEPS, PARENT, READS, ASKS):
            await api.publish(text)
        yield api


async def test_a_task_is_completed_on_somebody_s_word_and_the_next_one_reads_it(api: Api) -> None:
    run = await api.start("steps")
    at = f"/runs/{run['id']}/tasks"
    done = await api.admin.post(f"{at}/wait/complete", json={"why": "seen", "output": {"n": 7}})
    assert done.status_code == 200, done.text
    assert done.json()["status"] == "COMPLETED"
    following = (await api.admin.get(f"{at}/then")).json()
    assert following["invocation"]["argv"] == ["echo", "7"]
    events = (await api.admin.get(f"/runs/{run['id']}/events")).json()["items"]
    told = [each for each in events if each["kind"] == "task.marked_done"]
    assert told[0]["data"]["why"] == "seen"


async def test_a_task_is_skipped_and_so_is_what_only_needs_it(api: Api) -> None:
    run = await api.start("steps")
    at = f"/runs/{run['id']}/tasks"
    skipped = await api.admin.post(f"{at}/wait/skip", json={"why": "no need"})
    assert skipped.json()["status"] == "SKIPPED"
    assert (await api.admin.get(f"{at}/then")).json()["status"] == "SKIPPED"
    again = await api.admin.post(f"{at}/wait/skip", json={"why": "no need"})
    assert again.status_code == 409


@pytest.mark.parametrize("verb", ["skip", "complete"])
async def test_a_word_without_a_reason_is_refused(api: Api, verb: str) -> None:
    run = await api.start("steps")
    answer = await api.admin.post(f"/runs/{run['id']}/tasks/wait/{verb}", json={})
    assert answer.status_code == 422


async def test_a_run_shows_its_parent_and_its_children(api: Api) -> None:
    run = await api.start("parent")
    [child] = (await api.admin.get(f"/runs/{run['id']}/children")).json()["items"]
    assert child["parent"] == run["id"]
    assert (child["type"], child["depth"]) == ("two", 1)
    assert (await api.admin.get(f"/runs/{child['id']}/children")).json()["items"] == []


async def test_what_was_never_done_cannot_be_undone(api: Api) -> None:
    run = await api.start("steps")
    await api.admin.post(f"/runs/{run['id']}/stop", json={"undo": True})
    answer = await api.admin.post(f"/runs/{run['id']}/undo")
    assert answer.status_code == 409
    assert "nothing" in answer.json()["detail"]


async def test_a_record_s_own_variables_are_read_by_its_runs(api: Api) -> None:
    await api.admin.put("/variables/place", json={"value": "system"})
    draft = {"id": "mine", "type": "reads", "input": {}, "vars": {"place": "record"}}
    made = await api.admin.post("/process-records", json=draft)
    assert made.json()["vars"] == {"place": "record"}
    run = (await api.admin.post("/process-records/mine/start")).json()
    task = (await api.admin.get(f"/runs/{run['id']}/tasks/t")).json()
    assert task["invocation"]["argv"] == ["echo", "record"]

    await api.admin.patch("/process-records/mine", json={"description": "kept"})
    assert (await api.admin.get("/process-records/mine")).json()["vars"] == {"place": "record"}


async def test_a_variable_is_set_shown_and_deleted(api: Api) -> None:
    made = await api.admin.put("/variables/place", json={"value": [1], "note": "why"})
    assert made.status_code == 201
    again = await api.admin.put("/variables/place", json={"value": [2]})
    assert (again.status_code, again.json()["version"]) == (200, 2)
    assert (await api.admin.delete("/variables/place")).status_code == 204
    assert (await api.admin.get("/variables/place")).status_code == 404


async def test_an_approval_is_listed_and_answered(api: Api) -> None:
    run = await api.start("asks")
    [asked] = (await api.admin.get("/approvals", params={"status": "OPEN"})).json()["items"]
    assert (asked["run"], asked["message"]) == (run["id"], "Ship it?")
    answer = await api.admin.post(f"/approvals/{asked['id']}/approve", json={"note": "go"})
    assert (answer.json()["status"], answer.json()["note"]) == ("APPROVED", "go")
    assert (await api.admin.get(f"/runs/{run['id']}")).json()["status"] == "COMPLETED"
    late = await api.admin.post(f"/approvals/{asked['id']}/reject", json={"note": "no"})
    assert late.status_code == 409


async def test_events_are_stored_once_and_wake_what_waits(api: Api) -> None:
    event = {"source": "shop", "id": "1", "type": "order.paid", "data": {"n": 1}}
    sent = await api.admin.post("/events", json={"events": [event, {**event, "id": "2"}]})
    assert (sent.status_code, sent.json()) == (202, {"stored": 2, "known": 0})
    again = await api.admin.post("/events", json={"events": [event]})
    assert again.json() == {"stored": 0, "known": 1}
    listed = (await api.admin.get("/events")).json()["items"]
    assert [each["id"] for each in listed] == ["2", "1"]
