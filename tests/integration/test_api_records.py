import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support import builders
from tests.support.api import Api, becomes, serving

pytestmark = pytest.mark.anyio

GREETING = """
name: greeting
input:
  type: object
  properties: {name: {type: string}, times: {type: integer, default: 1}}
  required: [name]
tasks: [{name: greet, noop: true}]
"""


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        await api.publish(GREETING)
        yield api


async def create(api: Api, id: str = "nightly", **more: Any) -> dict[str, Any]:
    answer = await api.admin.post("/process-records", json={"id": id, "type": "two", **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_record_is_created_read_listed_and_deleted(api: Api) -> None:
    made = await create(api, "day & night/€".replace("/", "-"))
    path = f"/process-records/{made['id']}"

    assert made["current_status"] == "PENDING"
    assert made["total_tasks"] == 2
    assert (await api.admin.get(path)).json() == made
    assert (await api.admin.get("/process-records")).json()["items"] == [made]
    assert (await api.admin.delete(path)).status_code == 204
    assert (await api.admin.get(path)).status_code == 404


async def test_an_id_is_given_once(api: Api) -> None:
    await create(api)
    again = await api.admin.post("/process-records", json={"id": "nightly", "type": "two"})
    assert again.status_code == 409
    assert again.json()["field"] == "id"


async def test_input_that_the_type_does_not_take_is_refused_with_its_path(api: Api) -> None:
    wish = {"id": "hello", "type": "greeting", "input": {"name": "you", "times": "often"}}
    answer = await api.admin.post("/process-records", json=wish)
    assert answer.status_code == 422
    assert "times" in answer.json()["detail"]
    assert (await api.admin.get("/process-records/hello")).status_code == 404


async def test_of_two_who_edit_the_same_edition_one_is_told_to_look_again(api: Api) -> None:
    await create(api)
    path = "/process-records/nightly"
    etag = (await api.admin.get(path)).headers["etag"]
    answers = await asyncio.gather(
        *(
            api.admin.patch(path, json={"description": text}, headers={"If-Match": etag})
            for text in ("mine", "yours")
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]


async def test_who_has_the_newest_edition_is_not_sent_it_again(api: Api) -> None:
    await create(api)
    path = "/process-records/nightly"
    etag = (await api.admin.get(path)).headers["etag"]
    assert (await api.admin.get(path, headers={"If-None-Match": etag})).status_code == 304
    await api.admin.post(f"{path}/start")
    assert (await api.admin.get(path, headers={"If-None-Match": etag})).status_code == 200


async def test_a_start_does_not_make_an_edition_old(api: Api) -> None:
    await create(api)
    path = "/process-records/nightly"
    etag = (await api.admin.get(path)).headers["etag"]
    await api.admin.post(f"{path}/start")
    answer = await api.admin.put(
        path, json={"type": "two", "input": {}}, headers={"If-Match": etag}
    )
    assert answer.status_code == 200


async def test_a_patch_leaves_alone_what_it_does_not_name(api: Api) -> None:
    await create(api, "hello", type="greeting", input={"name": "you"}, priority=7)
    path = "/process-records/hello"
    answer = await api.admin.patch(path, json={"description": "waves"})
    cleared = await api.admin.patch(path, json={"priority": None})
    assert answer.json()["input"] == {"name": "you"}
    assert answer.json()["priority"] == 7
    assert cleared.json()["priority"] is None
    assert cleared.json()["description"] == "waves"


async def test_a_record_has_one_living_run_and_a_key_gives_it_again(api: Api) -> None:
    await create(api)
    path = "/process-records/nightly/start"
    key = {"Idempotency-Key": "tonight"}
    first = await api.admin.post(path, headers=key)
    again = await api.admin.post(path, headers=key)
    other = await api.admin.post(path)
    assert first.status_code == again.status_code == 201
    assert again.json()["id"] == first.json()["id"]
    assert other.status_code == 409


async def test_a_start_lays_its_input_over_that_of_the_record(api: Api) -> None:
    await create(api, "hello", type="greeting", input={"name": "you", "times": 2})
    run = (
        await api.admin.post("/process-records/hello/start", json={"input": {"name": "me"}})
    ).json()
    assert run["input"] == {"name": "me", "times": 2}


async def test_a_running_record_is_not_deleted_and_its_runs_outlive_it(api: Api) -> None:
    await create(api)
    path = "/process-records/nightly"
    run = (await api.admin.post(f"{path}/start")).json()
    assert (await api.admin.delete(path)).status_code == 409
    stopped = await api.admin.post(f"{path}/stop")
    assert stopped.json()["current_status"] == "STOPPED"
    assert (await api.admin.delete(path)).status_code == 204
    runs = (await api.admin.get(f"{path}/runs")).json()["items"]
    assert [each["id"] for each in runs] == [run["id"]]


async def test_hold_and_resume_reach_the_run_of_a_record(api: Api) -> None:
    await create(api)
    path = "/process-records/nightly"
    assert (await api.admin.post(f"{path}/hold")).status_code == 409
    await api.admin.post(f"{path}/start")
    held = await api.admin.post(f"{path}/pause")
    on = await api.admin.post(f"{path}/resume")
    assert held.json()["current_status"] == "HELD"
    assert on.json()["current_status"] == "IN_PROGRESS"


async def test_a_restart_waits_until_what_runs_has_ended(api: Api) -> None:
    await create(api)
    first = (await api.admin.post("/process-records/nightly/start")).json()
    async with await builders.engine(api.url) as conn:
        holder = await builders.a_holder(conn)
        [task] = await builders.claimed(conn, holder)
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(api.admin.post("/process-records/nightly/restart"))
            wanted = "select wanted from tasks where id = %s"
            await becomes(lambda: builders.one(conn, wanted, task.id))
            assert not asked.done()
            await builders.record(conn, holder, [task], builders.STOPPED)

    again = asked.result().json()
    before = (await api.admin.get(f"/runs/{first['id']}")).json()
    assert before["status"] == "STOPPED"
    assert again["id"] != first["id"]
    assert again["status"] == "IN_PROGRESS"


async def test_pages_of_records_are_stable_while_others_are_created(api: Api) -> None:
    for id in ("a", "c", "e"):
        await create(api, id)
    first = (await api.admin.get("/process-records", params={"limit": 2})).json()
    await create(api, "b")
    await create(api, "d")
    second = (
        await api.admin.get("/process-records", params={"limit": 2, "cursor": first["next"]})
    ).json()
    assert [each["id"] for each in first["items"]] == ["a", "c"]
    assert [each["id"] for each in second["items"]] == ["d", "e"]
    assert second["next"] is None


async def test_a_key_that_is_sent_again_does_not_stop_what_it_restarted(api: Api) -> None:
    await create(api)
    path, key = "/process-records/nightly/restart", {"Idempotency-Key": "again"}
    first = (await api.admin.post(path, headers=key)).json()
    second = await api.admin.post(path, headers=key)
    run = (await api.admin.get(f"/runs/{first['id']}")).json()
    assert second.json()["id"] == first["id"]
    assert second.headers["idempotency-replayed"] == "true"
    assert run["status"] == "IN_PROGRESS"


async def test_two_who_change_different_parts_undo_nothing_of_each_other(api: Api) -> None:
    await create(api, "hello", type="greeting", input={"name": "you"})
    path = "/process-records/hello"
    answers = await asyncio.gather(
        api.admin.patch(path, json={"changes": {"times": 3}}),
        api.admin.patch(path, json={"changes": {"name": "me"}}),
        api.admin.patch(path, json={"description": "waves"}),
        api.admin.patch(path, json={"priority": 9}),
    )
    record = (await api.admin.get(path)).json()
    assert [answer.status_code for answer in answers] == [200] * 4
    assert record["input"] == {"name": "me", "times": 3}
    assert (record["description"], record["priority"], record["version"]) == ("waves", 9, 5)


async def test_an_input_is_replaced_or_changed_but_not_both(api: Api) -> None:
    await create(api, "hello", type="greeting", input={"name": "you", "times": 2})
    path = "/process-records/hello"
    replaced = await api.admin.patch(path, json={"input": {"name": "me"}})
    both = await api.admin.patch(path, json={"input": {"name": "a"}, "changes": {"name": "b"}})
    assert replaced.json()["input"] == {"name": "me"}
    assert both.status_code == 422


@pytest.mark.parametrize("field", ["type", "input", "description"])
async def test_a_null_where_something_must_be_is_refused(api: Api, field: str) -> None:
    await create(api)
    answer = await api.admin.patch("/process-records/nightly", json={field: None})
    assert answer.status_code == 422
    assert answer.json()["field"] == f"body.{field}"


async def test_an_edition_that_is_old_is_not_deleted(api: Api) -> None:
    await create(api)
    path = "/process-records/nightly"
    etag = (await api.admin.get(path)).headers["etag"]
    await api.admin.patch(path, json={"description": "new"})
    assert (await api.admin.delete(path, headers={"If-Match": etag})).status_code == 412
    etag = (await api.admin.get(path)).headers["etag"]
    assert (await api.admin.delete(path, headers={"If-Match": etag})).status_code == 204


async def test_a_new_record_says_where_it_is(api: Api) -> None:
    answer = await api.admin.post("/process-records", json={"id": "day & night", "type": "two"})
    assert answer.headers["location"] == "/api/v1/process-records/day%20%26%20night"
    found = await api.admin.get(f"http://server{answer.headers['location']}")
    assert found.headers["etag"] == answer.headers["etag"]


async def test_records_are_found_by_a_text_by_states_and_counted(api: Api) -> None:
    await create(api, "nightly", description="Moves the Stars")
    await create(api, "daily")
    await create(api, "weekly")
    await api.admin.post("/process-records/daily/start")
    await api.admin.post("/process-records/weekly/start")
    await api.admin.post("/process-records/weekly/hold")

    async def found(**params: Any) -> list[str]:
        answer = await api.admin.get("/process-records", params=params)
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["items"]]

    assert await found(q="LY") == ["daily", "nightly", "weekly"]
    assert await found(q="the stars") == ["nightly"]
    assert await found(q="_") == []
    assert await found(status=["HELD", "IN_PROGRESS"]) == ["daily", "weekly"]
    assert await found(status="PENDING", q="night") == ["nightly"]
    page = (await api.admin.get("/process-records", params={"count": "true", "limit": 1})).json()
    assert (page["count"], page["count_is_capped"]) == (3, False)
