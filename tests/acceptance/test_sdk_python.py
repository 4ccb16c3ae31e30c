"""The SDK for Python, against a real server: workers over both carriers, and the client."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest

from procession import (
    AsyncClient,
    Client,
    Conflict,
    Context,
    Failure,
    Forbidden,
    Invalid,
    NotFound,
    Run,
    RunFailed,
    Unauthorized,
    Worker,
)
from tests.support.system import System
from tests.support.waiting import patience, until

pytestmark = pytest.mark.anyio

NUMBERS = count(1)
WITHIN = 60.0

PROGRAM = """
import sys, time
from pathlib import Path
from procession import Worker

worker = Worker(name="a-program")

@worker.action("slow")
def slow(payload, context):
    Path(payload["begun"]).touch()
    while not Path(payload["goes-on"]).exists():
        time.sleep(0.01)
    return "ended in good order"

worker.start()
"""


def named(word: str) -> str:
    return f"{word}-{next(NUMBERS)}"


@pytest.fixture(scope="module")
def client(system: System) -> Iterator[Client]:
    with Client(system.url, system.token) as client:
        yield client


@pytest.fixture(scope="module")
def token(client: Client) -> str:
    made = client.call("POST", "/api/v1/tokens", {"name": "programs", "role": "worker"})
    return str(made["token"])


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[Worker]:
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(task, patience(WITHIN))


def chain(name: str, *actions: str, **more: Any) -> dict[str, Any]:
    """Each action gets what the one before it came to; the last output is the run's."""
    tasks = [
        {
            "name": action,
            "action": {
                "name": action,
                "payload": "${{ tasks['" + before + "'].output }}" if before else "${{ input }}",
            },
            "needs": [before] if before else [],
            **more,
        }
        for before, action in zip((None, *actions), actions, strict=False)
    ]
    return {"name": name, "tasks": tasks, "result": "${{ tasks['" + actions[-1] + "'].output }}"}


async def comes_to(asking: AsyncClient, run: Run, status: str) -> None:
    async with asyncio.timeout(patience(WITHIN)):
        while True:
            if await asking.status(run) == status:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("carrier", ["stream", "poll"])
async def test_actions_are_carried_out_tried_again_and_their_outputs_handed_on(
    system: System, client: Client, token: str, carrier: Literal["stream", "poll"]
) -> None:
    first, second, name = named("count"), named("show"), named("shop")
    worker = Worker(system.url, token, name=named("hand"), slots=4, carrier=carrier)
    keys: list[str] = []

    @worker.action(first)
    async def counts(payload: dict[str, Any], context: Context) -> dict[str, Any]:
        keys.append(context.key)
        context.print("call", len(keys))
        context.progress(50, "half")
        if len(keys) == 1:
            raise ConnectionError("the shop is closed")
        return {"count": len(payload["items"])}

    worker.register(second, lambda payload: f"there are {payload['count']}")
    definition = chain(name, first, second, retries={"max": 2, "delay": "0s"})
    async with working(worker), AsyncClient(system.url, system.token) as asking:
        [published] = await asking.define(definition)
        assert (published.name, published.changed) == (name, True)
        wish: dict[str, Any] = {"input": {"items": ["a", "b"]}, "labels": {"of": "a test"}}
        run = await asking.start(name, **wish, key=name)
        assert (await asking.start(name, **wish, key=name)).id == run.id
        assert await asking.output(run, patience(WITHIN)) == "there are 2"
        printed = "".join([text async for text in asking.logs(run, first)])
        assert printed == "call 1\ncall 2\n"
        assert len(set(keys)) == 1
        attempts = await asking.list_attempts(run, first)
        assert [each["status"] for each in attempts] == ["FAILED", "SUCCEEDED"]
        assert "the shop is closed" in attempts[0]["error"]
        kinds = [event["kind"] async for event in asking.follow(run)]
        assert kinds[-1] == (await asking.list_history(run))[-1]["kind"]
        found = await asking.list_runs(type=name, labels={"of": "a test"})
        assert [each.id for each in found] == [run.id]
        assert await asking.status(run) == "COMPLETED"


async def test_a_failure_that_is_for_good_is_not_tried_again(
    system: System, client: Client, token: str
) -> None:
    name = named("refuse")

    def refuses(payload: Any) -> Any:
        raise Failure("no such card", retryable=False, type="Declined")

    worker = Worker(system.url, token, slots=1).register(name, refuses)
    async with working(worker), AsyncClient(system.url, system.token) as asking:
        await asking.define(chain(name, name, retries={"max": 5, "delay": "1h"}))
        with pytest.raises(RunFailed, match="no such card"):
            await asking.output(await asking.start(name), patience(WITHIN))


async def test_a_stop_reaches_handlers_and_a_hold_keeps_what_comes_behind(
    system: System, client: Client, token: str
) -> None:
    first, second, name = named("wait"), named("after"), named("steered")
    begun, goes_on = asyncio.Event(), asyncio.Event()
    cancelled = threading.Event()
    worker = Worker(system.url, token, slots=4)

    @worker.action(first)
    async def waits(payload: Any) -> str:
        begun.set()
        try:
            await goes_on.wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "done"

    worker.register(second, lambda payload: payload)
    async with working(worker), AsyncClient(system.url, system.token) as asking:
        await asking.define(chain(name, first, second))
        held = await asking.start(name)
        await asyncio.wait_for(begun.wait(), patience(WITHIN))
        assert (await asking.hold(held)).status in ("HOLDING", "HELD")
        goes_on.set()
        await comes_to(asking, held, "HELD")
        await asking.command(held, "resume")
        assert await asking.output(held, patience(WITHIN)) == "done"
        begun.clear()
        goes_on.clear()
        stopped = await asking.start(name)
        await asyncio.wait_for(begun.wait(), patience(WITHIN))
        await asking.stop(stopped, why="it is late")
        assert (await asking.wait(stopped, patience(WITHIN))).status == "STOPPED"
        await until(cancelled.is_set)
        goes_on.set()
        await asking.retry(stopped, whole=True)
        assert await asking.output(stopped, patience(WITHIN)) == "done"


async def test_a_program_ends_what_it_has_in_hand_when_it_is_told_to_end(
    system: System, client: Client, token: str, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    secret = tmp_path / "token"
    secret.write_text(token)
    name, begun, goes_on = named("told"), tmp_path / "begun", tmp_path / "goes-on"
    client.define(chain(name, "slow"))
    run = client.start(name, {"begun": str(begun), "goes-on": str(goes_on)})
    environment = {
        **{known: value for known, value in os.environ.items() if "PROCESSION" not in known},
        "PROCESSION_URL": system.url,
        "PROCESSION_TOKEN_FILE": str(secret),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, program, env=environment)
    await until(begun.exists)
    process.send_signal(signal.SIGTERM)
    goes_on.touch()
    assert await asyncio.wait_for(process.wait(), patience(WITHIN)) == 0
    assert client.output(run, patience(WITHIN)) == "ended in good order"


async def test_what_is_refused_says_what_is_wrong_and_what_to_do(
    system: System, client: Client, token: str
) -> None:
    with pytest.raises(NotFound):
        client.get_run("00000000-0000-0000-0000-000000000000")
    with pytest.raises(Invalid) as invalid:
        client.define("name: Bad name\ntasks: []\n")
    assert invalid.value.faults
    client.define({"name": "keeping", "tasks": [{"name": "it", "noop": True}]})
    client.create_record("kept", type="keeping")
    with pytest.raises(Conflict, match="kept"):
        client.create_record("kept", type="keeping")
    with Client(system.url, token) as worker, pytest.raises(Forbidden):
        worker.list_runs()
    with Client(system.url, "pn_viewer_nobody") as nobody, pytest.raises(Unauthorized):
        nobody.list_runs()


async def test_schedules_events_records_and_queues_are_asked_by_name(
    system: System, client: Client
) -> None:
    name = named("asked")
    client.define(f"name: {name}\ntasks:\n  - name: it\n    noop: true\n")
    made = client.create_schedule({"cron": "0 3 * * *", "zone": "Europe/Berlin"}, type=name)
    assert len(client.list_firings(made["id"], 3)) == 3
    client.pause_schedule(made["id"], note="for now")
    assert [each["id"] for each in client.list_schedules(type=name, paused=True)] == [made["id"]]
    client.resume_schedule(made["id"])
    client.replace_schedule(made["id"], {"cron": "0 4 * * *"})
    client.trigger_schedule(made["id"])
    client.delete_schedule(made["id"])
    with pytest.raises(NotFound):
        client.get_schedule(made["id"])
    assert client.send_event("order.paid", key=name, data={"sum": 3}, id=name)["stored"] == 1
    assert client.send_event("order.paid", key=name, data={"sum": 3}, id=name)["known"] == 1
    assert [each["data"] for each in client.list_events(key=name)] == [{"sum": 3}]
    client.create_record(name, name, description="nightly")
    client.start_record(name, key=name)
    assert client.get_record(name)["type"] == name
    [run] = client.list_runs(record=name)
    assert [each["name"] for each in client.list_tasks(run)] == ["it"]
    assert client.list_all("/api/v1/process-types", q=name)[0]["name"] == name
    assert client.validate({"name": name, "tasks": []}) is not None
    assert isinstance(client.list_workers(), list)
    assert isinstance(client.list_queues(), list)
    assert client.list_dead_letters(type=name) == []
