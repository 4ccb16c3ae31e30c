"""Triggers over HTTP, and what they decided."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from scheduler.services.access import Role
from tests.support.api import Api, serving
from tests.support.builders import engine
from tests.support.triggering import route_all

pytestmark = pytest.mark.anyio

SPEC = {"event": "order.*", "input": {"n": "${{ event.data.n }}"}}


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        yield api


async def create(api: Api, **more: Any) -> dict[str, Any]:
    answer = await api.admin.post("/triggers", json={"type": "two", "spec": SPEC, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def send(api: Api, id: str, **data: Any) -> None:
    event = {"source": "shop", "id": id, "type": "order.created", "data": data}
    assert (await api.admin.post("/events", json=event)).status_code == 202
    async with await engine(api.url) as conn:
        await route_all(conn)


async def test_an_event_tells_which_run_it_started_and_by_whom(api: Api) -> None:
    made = await create(api)
    await send(api, "1", n=7)
    [event] = (await api.admin.get("/events")).json()["items"]
    [decision] = (await api.admin.get(f"/events/{event['number']}/decisions")).json()
    assert (decision["trigger"], decision["fate"]) == (made["id"], "STARTED")
    run = (await api.admin.get(f"/runs/{decision['run']}")).json()
    assert (run["input"], run["triggered_by"]) == ({"n": 7}, "trigger two/default")
    page = (await api.admin.get(f"/triggers/{made['id']}/decisions")).json()
    assert page["items"] == [decision]


async def test_a_trigger_that_makes_no_sense_is_refused_with_all_that_is_wrong(api: Api) -> None:
    spec = {"event": "a b", "when": "${{ input.x }}", "dedup": {"key": "x"}}
    answer = await api.admin.post("/triggers", json={"type": "two", "spec": spec})
    assert answer.status_code == 422
    assert len(answer.json()["faults"]) == 3
    for body in ({"spec": SPEC}, {"spec": SPEC, "type": "two", "record": "r"}):
        assert (await api.admin.post("/triggers", json=body)).status_code == 422
    missing = await api.admin.post("/triggers", json={"type": "none", "spec": SPEC})
    assert missing.status_code == 404


async def test_an_edit_never_undoes_another(api: Api) -> None:
    made = await create(api)
    path, known = f"/triggers/{made['id']}", (await api.admin.get(f"/triggers/{made['id']}"))
    change = {"spec": {"event": "parcel.*"}}
    match = {"If-Match": known.headers["ETag"]}
    assert (await api.admin.put(path, json=change, headers=match)).status_code == 200
    assert (await api.admin.put(path, json=change, headers=match)).status_code == 412
    assert (await api.admin.get(path)).json()["spec"] == {"event": "parcel.*"}


async def test_a_trigger_is_paused_resumed_and_deleted(api: Api) -> None:
    made = await create(api)
    path = f"/triggers/{made['id']}"
    operator = api.as_role(Role.OPERATOR)
    paused = (await operator.post(f"{path}/pause", json={"note": "flood"})).json()
    assert (paused["paused_by"], paused["note"]) == ("the operator", "flood")
    await send(api, "1", n=1)
    [decision] = (await api.admin.get(f"{path}/decisions")).json()["items"]
    assert (decision["fate"], decision["reason"]) == ("SKIPPED", "paused by the operator")
    assert (await operator.post(f"{path}/resume")).json()["paused_at"] is None
    assert (await operator.post(f"{path}/resume")).status_code == 409
    assert (await operator.delete(path)).status_code == 403
    assert (await api.admin.delete(path)).status_code == 204
    assert (await api.admin.get(path)).status_code == 404


async def test_two_of_one_name_are_refused(api: Api) -> None:
    await create(api)
    again = await api.admin.post("/triggers", json={"type": "two", "spec": SPEC})
    assert (again.status_code, again.json()["field"]) == (409, "name")
