"""Every request that the earlier systems document, against a server as people start it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.test_up import up
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with up(directory / "data") as running:
        token = (running.directory / "admin.token").read_text().strip()
        async with httpx.AsyncClient(
            base_url=running.url,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=30,
        ) as client:
            yield client


async def comes_to(client: httpx.AsyncClient, path: str, key: str, value: str) -> dict[str, Any]:
    """What is at `path` once its `key` says `value`."""
    async with asyncio.timeout(30):
        while True:
            found: dict[str, Any] = (await client.get(path)).json()
            if found[key] == value:
                return found
            await asyncio.sleep(0.02)


async def test_what_the_earlier_systems_document_answers_as_they_say(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        await records_of_processes(client)
        await tables_of_processes(client)
        await runs_of_workflows(client)
        await chains_of_actions(client)
        await nothing_without_a_token(client)


async def records_of_processes(client: httpx.AsyncClient) -> None:
    wish = {
        "id": "example-process-001",
        "type": "two-task-process",
        "inputData": "input_file:a.csv;output_dir:out",
        "schedule": "0 2 * * *",
    }
    made = await client.post("/process-records", json=wish)
    assert made.status_code == 200
    assert made.json()["success"] is True
    shown = made.json()["processRecord"]
    assert {name: shown[name] for name in wish} == wish
    assert shown["currentStatus"] == "PENDING"
    assert shown["totalTasks"] == 2

    again = await client.post("/process-records", json=wish)
    assert again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"
    assert (await client.get("/process-records/nobody")).status_code == 404
    assert (await client.post("/process-records", json={"id": "x"})).status_code == 422

    path = "/process-records/example-process-001"
    edited = await client.put(path, json={"inputData": '{"input_file": "b.csv"}'})
    assert edited.json()["processRecord"]["inputData"] == '{"input_file": "b.csv"}'
    assert edited.json()["processRecord"]["schedule"] == "0 2 * * *"

    started = await client.post(f"{path}/start")
    assert started.status_code == 200
    assert started.json()["processRecord"]["currentStatus"] in ("IN_PROGRESS", "COMPLETED")
    ended = await comes_to(client, path, "currentStatus", "COMPLETED")
    assert ended["currentTaskIndex"] == 2
    assert ended["completedWhen"] >= ended["startedWhen"]
    assert (await client.post(f"{path}/stop")).status_code == 409

    for query, ids in (
        ({"status": "COMPLETED"}, ["example-process-001"]),
        ({"status": "PENDING"}, []),
        ({"type": "two-task-process"}, ["example-process-001"]),
        ({"type": "failing-process"}, []),
    ):
        listed = await client.get("/process-records", params=query)
        assert [each["id"] for each in listed.json()] == ids, query

    spare = {"id": "spare", "type": "single-task-process", "inputData": "Sample input data"}
    assert (await client.post("/process-records", json=spare)).status_code == 200
    deleted = await client.delete("/process-records/spare")
    assert deleted.json() == {
        "success": True,
        "message": "Process record spare deleted",
        "processRecord": None,
        "error": None,
    }


async def tables_of_processes(client: httpx.AsyncClient) -> None:
    types = (await client.get("/process-types")).json()
    two = next(each for each in types["processTypes"] if each["name"] == "two-task-process")
    assert two["taskCount"] == 2
    assert two["tasks"][0]["name"] == "test-2-1"
    assert two["tasks"][0]["timeoutMinutes"] == 45
    assert two["tasks"][0]["maxRetries"] == 2
    assert "echo" in two["tasks"][0]["command"]
    assert {"test-2-1", "test-2-2"} <= set(types["allTaskNames"])
    for_tables = (await client.get("/api/process-types")).json()
    assert for_tables["taskNames"] == types["allTaskNames"]

    table = (await client.get("/api/processes")).json()
    assert table["taskNames"] == ["test-2-1", "test-2-2"]
    assert [each["id"] for each in table["processes"]] == ["example-process-001"]
    first, _ = table["processTasks"]["example-process-001"]
    assert first["status"] == "COMPLETED"
    assert first["output"] == "Extracting data from b.csv to output\n"
    assert first["exitCode"] == 0
    detail = (await client.get("/api/processes/example-process-001")).json()
    assert detail == {
        "process": table["processes"][0],
        "tasks": table["processTasks"]["example-process-001"],
    }
    assert (await client.get("/api/processes/nobody")).status_code == 404

    ids = (await client.get("/api/debug/task-ids")).json()
    assert ids == ["example-process-001-task-0", "example-process-001-task-1"]
    task = (await client.get(f"/api/task-details/{ids[1]}")).json()
    assert task["task_id"] == ids[1]
    assert task["process_record_id"] == "example-process-001"
    assert task["task_index"] == 1
    assert task["task_name"] == "test-2-2"
    assert task["retry_count"] == 0
    assert (await client.get("/api/task-details/nobody-task-0")).status_code == 404

    assert (await client.get("/api/statistics")).json() == {
        "totalProcesses": 1,
        "completedProcesses": 1,
        "inProgressProcesses": 0,
        "failedProcesses": 0,
    }


async def runs_of_workflows(client: httpx.AsyncClient) -> None:
    wish = {
        "organizationId": "org-1",
        "employeeId": "emp-7",
        "variables": {"input_file": "c.csv"},
        "secrets": {"token": "swordfish"},
        "payload": {"reason": "joined"},
    }
    path = "/api/v1/workflows/two-task-process"
    begun = await client.post(f"{path}/execute", json=wish)
    assert begun.status_code == 201
    assert begun.json()["success"] is True
    run = begun.json()["data"]
    assert run["workflowId"] == "two-task-process"
    assert run["organizationId"] == "org-1"
    assert run["context"]["variables"]["input_file"] == "c.csv"
    assert "swordfish" not in begun.text

    older = {"context": {"employeeId": "emp-8", "data": {}, "variables": {}}}
    assert (await client.post(f"{path}/execute", json=older)).status_code == 201
    assert (await client.post(f"{path}/execute", json={"variables": {}})).status_code == 422
    assert (await client.post("/api/v1/workflows/nothing/execute", json=wish)).status_code == 404

    async with asyncio.timeout(30):
        while True:
            found = (await client.get(f"/api/v1/workflow-runs/{run['id']}")).json()
            if found["data"]["status"] == "COMPLETED":
                break
            await asyncio.sleep(0.02)
    assert found["data"]["endedAt"] is not None
    listed = (await client.get(f"{path}/runs", params={"limit": 1})).json()
    assert listed["success"] is True
    assert len(listed["data"]) == 1
    for command in ("pause", "resume", "cancel"):
        ended = await client.post(f"/api/v1/workflow-runs/{run['id']}/{command}")
        assert ended.status_code == 409, command

    health = (await client.get("/api/v1/health")).json()
    assert health["status"] == "healthy"
    assert health["components"] == {"redis": "up", "orchestrator": "up", "kafka": "up"}
    assert set(health["metrics"]) == {"activeWorkflows", "scheduledRetries", "queuedNodes"}
    assert set(health["redis"]) == {"latencyMs", "memoryUsage", "connectedClients"}


async def chains_of_actions(client: httpx.AsyncClient) -> None:
    steps = [
        {"action": "charge-credit-card", "stepIndex": 0},
        {"action": "generate-invoice", "stepIndex": 1},
    ]
    made = await client.post("/workflow/", json={"id": "checkout-pipeline", "steps": steps})
    assert (made.status_code, made.text) == (200, "checkout-pipeline")
    [listed] = (await client.get("/workflow/")).json()
    assert listed["id"] == "checkout-pipeline"
    assert [{k: each[k] for k in ("action", "stepIndex")} for each in listed["steps"]] == steps

    path = "/workflow/checkout-pipeline/trigger"
    key = {"Idempotency-Key": "order-123"}
    first = await client.post(path, json={"input": '{"order_id": 123}'}, headers=key)
    again = await client.post(path, json={"input": '{"order_id": 123}'}, headers=key)
    assert first.status_code == again.status_code == 200
    assert first.text == again.text
    assert again.headers["idempotency-replayed"] == "true"
    other = await client.post(path, json={"input": "another"}, headers=key)
    assert other.status_code == 409
    assert (await client.post("/workflow/nothing/trigger", json={"input": ""})).status_code == 404

    run = (await client.get(f"/workflow/run/{first.text}")).json()
    assert run["runId"] == first.text
    assert run["workflowId"] == "checkout-pipeline"
    assert (run["status"], run["currentStep"]) == ("RUNNING", 0)
    assert run["input"] == '{"order_id": 123}'
    assert run["stepResults"] == []
    assert (await client.get("/workflow/runs")).json()[0] == run
    missing = "00000000-0000-7000-8000-000000000000"
    assert (await client.get(f"/workflow/run/{missing}")).status_code == 404

    await is_said(client, first.text, "nobody serves the action charge-credit-card")
    for command, status in (("pause", "PAUSED"), ("resume", "RUNNING"), ("cancel", "CANCELLED")):
        done = await client.post(f"/api/v1/workflow-runs/{first.text}/{command}")
        assert done.status_code == 200
        assert done.json()["success"] is True
        now = (await client.get(f"/api/v1/workflow-runs/{first.text}")).json()
        assert now["data"]["status"] == status

    new = await client.post("/workflow/", json={"id": "checkout-pipeline", "steps": steps[:1]})
    assert new.status_code == 200
    published = (await client.get("/api/v1/process-types/checkout-pipeline")).json()
    assert published["version"] == 2


async def is_said(client: httpx.AsyncClient, run: str, reason: str) -> None:
    """Why the run waits, once what its first step is given has been worked out."""
    async with asyncio.timeout(patience(30)):
        while True:
            why = (await client.get(f"/api/v1/runs/{run}/why")).json()
            if reason in " ".join(why["reasons"]):
                return
            await asyncio.sleep(0.05)


async def nothing_without_a_token(client: httpx.AsyncClient) -> None:
    for path in ("/process-records", "/api/processes", "/workflow/", "/api/v1/health"):
        answer = await client.get(path, headers={"Authorization": ""})
        assert answer.status_code == 401, path
