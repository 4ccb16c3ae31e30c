"""Calls over HTTP as tasks, through a whole system."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.listeners import Asked, as_json, listening, reply
from tests.support.postgres import Databases
from tests.support.system import Asking, System, Worker, a_system
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

HERE = {"PROCESSION_HTTP__ALLOW_PRIVATE": '["127.0.0.0/8"]'}


@pytest.fixture(scope="module")
def system(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with a_system(databases, tmp_path_factory.mktemp("system"), **HERE) as system:
        yield system


def to(url: str, **more: Any) -> dict[str, Any]:
    return {"http": {"url": url, "allow_private": True, **more}}


async def test_the_answer_of_one_call_goes_into_the_next(api: Asking) -> None:
    def answer(asked: Asked) -> bytes:
        return as_json({"id": 7, "note": "a b&c"}) if asked.method == "GET" else reply(b"", "204 N")

    async with listening(answer) as server:
        put = {
            "method": "PUT",
            "json": {"seen": "${{ tasks.get.output.body.id }}"},
            "headers": {"X-Note": "${{ tasks.get.output.body.note }}"},
        }
        path = "/things/${{ tasks.get.output.body.note }}"
        await api.publish(
            {
                "name": "two-calls",
                "tasks": [
                    {"name": "get", **to(server.url("/thing"))},
                    {"name": "put", **to(server.url(path), **put)},
                ],
            }
        )
        run = (await api.post("/runs", {"type": "two-calls"}))["id"]
        assert (await api.ended(run))["status"] == "COMPLETED"
        asked = server.asked[1]
        assert (asked.target, asked.body) == ("/things/a%20b%26c", b'{"seen":7}')
        assert asked.headers["x-note"] == "a b&c"


async def test_a_failed_call_is_tried_again_and_a_refused_one_is_not(api: Asking) -> None:
    left = [reply(b"", "503 S"), reply(b"", "200 OK")]
    async with listening(lambda _: left.pop(0)) as server:
        retries = {"max": 3, "delay": "50ms"}
        run = await api.start("flaky", "default", **to(server.url()), retries=retries)
        assert (await api.ended(run))["status"] == "COMPLETED"
        assert [a["status"] for a in await api.attempts(run)] == ["FAILED", "SUCCEEDED"]
    async with listening() as canary:
        run = await api.start("inward", "default", http=canary.url(), retries=retries)
        assert (await api.ended(run))["status"] == "FAILED"
        assert len(await api.attempts(run)) == 1
        assert "not a public address" in (await api.task(run))["error"]
        assert canary.connections == 0


async def test_a_call_can_be_stopped(api: Asking) -> None:
    async with listening(holds_back=True) as server:
        run = await api.start("stopped", "default", **to(server.url()))
        await server.begun.wait()
        await api.post(f"/runs/{run}/stop")
        assert (await api.ended(run, within=10))["status"] == "STOPPED"
        [attempt] = await api.attempts(run)
        assert (attempt["status"], attempt["error"]) == ("STOPPED", "stopped on request")


async def test_a_call_of_a_worker_that_was_killed_is_lost_and_not_called_unbegun(
    api: Asking, worker: Worker
) -> None:
    async with listening(holds_back=True) as server:
        run = await api.start("killed", "default", **to(server.url()))
        await server.begun.wait()
        await worker.killed()
        await until(lambda: server.connections == 2)
        server.going_on.set()
        assert (await api.ended(run))["status"] == "COMPLETED"
        assert [a["status"] for a in await api.attempts(run)] == ["LOST", "SUCCEEDED"]


async def test_a_call_that_must_not_be_repeated_fails_when_its_worker_is_killed(
    api: Asking, worker: Worker
) -> None:
    async with listening(holds_back=True) as server:
        run = await api.start("once", "default", **to(server.url(), method="POST"), on_lost="fail")
        await server.begun.wait()
        await worker.killed()
        assert (await api.ended(run))["status"] == "FAILED"
        assert server.connections == 1
        assert "whether it took effect is not known" in (await api.task(run))["error"]


async def test_a_worker_that_is_asked_to_leave_waits_for_its_calls(
    api: Asking, worker: Worker
) -> None:
    async with listening(holds_back=True) as server:
        run = await api.start("leaving", "default", **to(server.url()))
        await server.begun.wait()
        before = worker.times_ready()
        worker.signal(signal.SIGTERM)
        server.going_on.set()
        assert (await api.ended(run))["status"] == "COMPLETED"
        await until(lambda: worker.times_ready() > before)
        assert server.connections == 1
        assert len(await api.attempts(run)) == 1
