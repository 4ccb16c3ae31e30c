"""What the aliases promise beyond the shapes that test_predecessors shows."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from psycopg import AsyncConnection

from tests.support.api import Api, serving
from tests.support.builders import SUCCESS, a_holder, a_promoter, claimed, engine, record

pytestmark = pytest.mark.anyio

SERVER = "http://server"
STEPS = [{"action": "charge", "stepIndex": 10}, {"action": "invoice", "stepIndex": 20}]


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        yield api


@pytest.fixture
async def client(api: Api) -> httpx.AsyncClient:
    return api.admin


async def test_a_chain_waits_for_each_action_in_turn_and_keeps_what_each_gave(
    api: Api, client: httpx.AsyncClient
) -> None:
    await client.post(f"{SERVER}/workflow/", json={"id": "checkout", "steps": STEPS})
    run = (await client.post(f"{SERVER}/workflow/checkout/trigger", json={"input": "7"})).text

    async with await engine(api.url) as conn:
        holder = await a_holder(conn)
        assert await claimed(conn, holder) == []  # not for those who carry commands out
        assert await claimed(conn, holder, queue="action:invoice") == []
        payload: object = "7"
        for step in STEPS:
            await a_promoter().tick(conn)  # what it is to be given is worked out
            [mine] = await claimed(conn, holder, queue=f"action:{step['action']}")
            assert mine.kind == "action"
            assert (mine.invocation["action"], mine.invocation["payload"]) == (
                step["action"],
                payload,
            )
            payload = {"of": step["action"]}
            await record(conn, holder, [mine], replace(SUCCESS, output=json.dumps(payload)))

    found = (await client.get(f"{SERVER}/workflow/run/{run}")).json()
    assert found["status"] == "COMPLETE"
    assert found["currentStep"] == 2
    assert [(r["action"], r["stepIndex"]) for r in found["stepResults"]] == [
        ("charge", 10),
        ("invoice", 20),
    ]
    assert all(result["timestamp"] for result in found["stepResults"])
    assert found["finalOutput"] == '{"of": "invoice"}'
    assert (await client.get(f"/runs/{run}")).json()["output"] == {"of": "invoice"}


async def test_the_same_chain_again_is_the_same_version_and_another_a_new_one(
    client: httpx.AsyncClient,
) -> None:
    for steps, version in ((STEPS, 1), (STEPS, 1), (STEPS[:1], 2), (STEPS, 3)):
        await client.post(f"{SERVER}/workflow/", json={"id": "checkout", "steps": steps})
        found = await client.get("/process-types/checkout")
        assert found.json()["version"] == version


async def test_a_run_of_a_chain_stays_on_the_version_that_it_began_with(
    client: httpx.AsyncClient,
) -> None:
    await client.post(f"{SERVER}/workflow/", json={"id": "checkout", "steps": STEPS})
    run = (await client.post(f"{SERVER}/workflow/checkout/trigger", json={})).text
    await client.post(f"{SERVER}/workflow/", json={"id": "checkout", "steps": STEPS[:1]})
    assert (await client.get(f"/runs/{run}")).json()["tasks"] == 2


@pytest.mark.parametrize(
    "wish",
    [
        {"id": "Has Spaces", "steps": STEPS},
        {"id": "empty", "steps": []},
        {"id": "nameless", "steps": [{"action": "", "stepIndex": 0}]},
        {"id": "surplus", "steps": STEPS, "colour": "red"},
        {"id": "negative", "steps": [{"action": "a", "stepIndex": -1}]},
    ],
)
async def test_a_chain_that_cannot_be_is_refused_and_nothing_of_it_published(
    client: httpx.AsyncClient, wish: dict[str, object]
) -> None:
    refused = await client.post(f"{SERVER}/workflow/", json=wish)
    assert refused.status_code == 422
    assert (await client.get(f"{SERVER}/workflow/")).json() == []


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": "\\u0000"}', "{broken", '{"a":' * 100])
async def test_input_that_cannot_be_stored_is_refused_and_no_record_made(
    client: httpx.AsyncClient, text: str
) -> None:
    wish = {"id": "r", "type": "two", "inputData": text}
    assert (await client.post(f"{SERVER}/process-records", json=wish)).status_code == 422
    assert (await client.get(f"{SERVER}/process-records")).json() == []


async def test_an_edit_elsewhere_is_shown_in_place_of_the_text_that_was_given(
    client: httpx.AsyncClient,
) -> None:
    wish = {"id": "r", "type": "two", "inputData": "a:1;b:2"}
    made = await client.post(f"{SERVER}/process-records", json=wish)
    assert made.json()["processRecord"]["inputData"] == "a:1;b:2"
    await client.patch("/process-records/r", json={"input": {"a": 5}})
    found = await client.get(f"{SERVER}/process-records/r")
    assert found.json()["inputData"] == '{"a": 5}'


async def test_secrets_that_come_with_a_start_are_stored_nowhere(
    api: Api, client: httpx.AsyncClient, db: AsyncConnection
) -> None:
    wish = {"organizationId": "o", "employeeId": "e", "secrets": {"password": "swordfish"}}
    begun = await client.post("/workflows/two/execute", json=wish)
    assert begun.status_code == 201
    for table in ("runs", "tasks", "history", "idempotency_keys"):
        cursor = await db.execute(f"select t::text from {table} t")
        assert "swordfish" not in str(await cursor.fetchall()), table


async def test_lists_of_the_aliases_go_on_where_they_ended(client: httpx.AsyncClient) -> None:
    for number in range(3):
        wish = {"id": f"r{number}", "type": "two", "inputData": ""}
        await client.post(f"{SERVER}/process-records", json=wish)
    first = await client.get(f"{SERVER}/process-records", params={"limit": 2})
    rest = await client.get(
        f"{SERVER}/process-records", params={"limit": 2, "cursor": first.headers["next-cursor"]}
    )
    assert [each["id"] for each in first.json() + rest.json()] == ["r0", "r1", "r2"]
    assert "next-cursor" not in rest.headers
