"""Dead letters decided on one by one, by their ids, and by a selection that stays what it was."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from scheduler.services import dead_letters_in_bulk as in_bulk
from scheduler.services.access import Role
from tests.support import builders
from tests.support.api import Api, serving

pytestmark = pytest.mark.anyio
FRAIL = """
name: frail
input: {type: object, properties: {day: {type: string}, times: {type: integer}}}
tasks: [{name: only, noop: true}]
"""
WIDE = "name: wide\ntasks: [{name: left, noop: true}]"

SECOND = """
insert into dead_letters (run_id, task_id, round, type, task, error, fingerprint, input)
select run_id, task_id + 1000, round, type, 'another', error, fingerprint, input
  from dead_letters
 where id = %s
returning id
"""


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish(FRAIL)
        await api.publish(WIDE)
        yield api


async def fail(api: Api, count: int = 1, type: str = "frail", **more: Any) -> list[int]:
    """The dead letters of so many runs that failed, the oldest first."""
    before = set(await open_ids(api))
    for _ in range(count):
        await api.start(type, **more)
    async with await builders.engine(api.url) as conn:
        holder = await builders.a_holder(conn)
        while mine := await builders.claimed(conn, holder, 20):
            await builders.record(conn, holder, mine, builders.PERMANENT)
    return sorted(set(await open_ids(api)) - before)


async def open_ids(api: Api, **params: Any) -> list[int]:
    answer = await api.admin.get("/dead-letters", params={"limit": 200, **params})
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["items"]]


async def post(api: Api, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
    answer = await api.admin.post(f"/dead-letters{path}", json=body or {})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def select(api: Api, **filters: Any) -> dict[str, Any]:
    return await post(api, "/selections", filters, 201)


async def letter(api: Api, id: int) -> dict[str, Any]:
    found: dict[str, Any] = (await api.admin.get(f"/dead-letters/{id}")).json()
    return found


def results(answer: dict[str, Any]) -> list[str]:
    return [each["result"] for each in answer["items"]]


async def test_letters_are_found_by_what_they_are_of_and_counted(api: Api) -> None:
    [frail] = await fail(api)
    wide = await fail(api, type="wide")
    made = (await letter(api, frail))["made_at"]
    run = (await letter(api, wide[0]))["run"]
    page = (await api.admin.get("/dead-letters", params={"count": "true", "limit": 1})).json()
    assert await open_ids(api, type="frail") == [frail]
    assert await open_ids(api, task="left") == wide
    assert await open_ids(api, run=run) == wide[::-1]
    assert await open_ids(api, made_from=made) == [*wide[::-1], frail]
    assert await open_ids(api, made_to=made) == []
    assert (page["count"], page["count_is_capped"]) == (2, False)


async def test_what_is_done_with_many_is_no_letter_of_that_name(api: Api) -> None:
    for word in ("discard", "redrive", "selections"):
        refused = await api.admin.get(f"/dead-letters/{word}")
        assert (refused.status_code, refused.headers["allow"]) == (405, "OPTIONS, POST"), word
    assert (await api.admin.get("/dead-letters/one")).status_code == 404
    assert (await api.admin.post("/dead-letters/one/redrive")).status_code == 404


async def test_each_of_many_gets_its_own_answer(api: Api) -> None:
    one, other, gone = await fail(api, 3)
    await post(api, f"/{gone}/discard", {"note": "seen"})
    answer = await post(api, "/redrive", {"ids": [other, 999, gone, one, one]})
    assert [each["id"] for each in answer["items"]] == [other, 999, gone, one]
    assert results(answer) == ["redriven", "skipped", "skipped", "redriven"]
    assert answer["counts"] == {"redriven": 2, "skipped": 2}
    assert answer["items"][2]["detail"] == "was discarded by the admin"
    run = (await api.admin.get(f"/runs/{answer['items'][0]['run']}")).json()
    assert (run["status"], run["round"]) == ("IN_PROGRESS", 2)
    assert (await letter(api, one))["status"] == "REDRIVEN"


async def test_one_that_cannot_be_taken_up_keeps_no_other_from_it(api: Api) -> None:
    letters = await fail(api, 3, input={"day": "x"})
    [other] = await fail(api, input={"times": 1})
    answer = await post(api, "/redrive", {"ids": [*letters, other], "changes": {"times": "often"}})
    assert results(answer) == ["refused"] * 4
    assert "times" in answer["items"][0]["detail"]
    assert await open_ids(api) == [other, *letters[::-1]]
    run = (await letter(api, letters[0]))["run"]
    await api.admin.post(f"/runs/{run}/retry")
    again = await post(api, "/redrive", {"ids": [*letters, other]})
    assert results(again) == ["skipped", "redriven", "redriven", "redriven"]


async def test_two_letters_of_one_run_open_one_round_of_it(api: Api) -> None:
    [one] = await fail(api)
    async with await builders.engine(api.url) as conn:
        other = await builders.one(conn, SECOND, one)
    answer = await post(api, "/redrive", {"ids": [other, one]})
    assert results(answer) == ["redriven", "redriven"]
    assert (await api.admin.get(f"/runs/{answer['items'][0]['run']}")).json()["round"] == 2


async def test_changes_are_laid_over_the_input_of_each_and_an_input_replaces_it(api: Api) -> None:
    one, other = await fail(api, input={"day": "a"}), await fail(api, input={"day": "b"})
    over = await post(api, "/redrive", {"ids": [*one, *other], "changes": {"times": 2}})
    runs = [(await api.admin.get(f"/runs/{each['run']}")).json() for each in over["items"]]
    assert [run["input"] for run in runs] == [{"day": "a", "times": 2}, {"day": "b", "times": 2}]
    [first, *_, last] = await fail(api)
    run = await post(api, f"/{first}/redrive", {"changes": {"times": 3}})
    assert run["input"] == {"day": "a", "times": 3}
    instead = await post(api, "/redrive", {"ids": [last], "input": {"times": 4}})
    run = (await api.admin.get(f"/runs/{instead['items'][0]['run']}")).json()
    assert run["input"] == {"times": 4}
    for path in ("/redrive", f"/{last}/redrive"):
        both: dict[str, Any] = {"input": {}, "changes": {}}
        await post(api, path, both | ({"ids": [last]} if path == "/redrive" else {}), 422)


async def test_many_are_discarded_with_a_reason_alone(api: Api) -> None:
    letters = await fail(api, 2)
    await post(api, "/discard", {"ids": letters}, 422)
    await post(api, "/discard", {"ids": letters, "note": " "}, 422)
    answer = await post(api, "/discard", {"ids": letters, "note": "a bad night"})
    again = await post(api, "/discard", {"ids": letters, "note": "a bad night"})
    assert results(answer) == ["discarded", "discarded"]
    assert results(again) == ["skipped", "skipped"]
    assert (await letter(api, letters[0]))["note"] == "a bad night"


async def test_more_than_a_thousand_or_none_are_refused(api: Api) -> None:
    for ids in ([], list(range(1, 1002)), [0], [2**63], ["1"], [True]):
        await post(api, "/redrive", {"ids": ids}, 422)


async def test_what_there_was_no_time_for_is_told(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = await fail(api, 2)
    monkeypatch.setattr(in_bulk, "PATIENCE", -1.0)
    answer = await post(api, "/redrive", {"ids": letters})
    assert answer["counts"] == {"left": 2}
    assert await open_ids(api) == letters[::-1]


async def test_a_selection_holds_what_matched_then_and_nothing_that_came_later(api: Api) -> None:
    letters = await fail(api, 2)
    other = await fail(api, type="wide")
    chosen = await select(api, type="frail")
    later = await fail(api)
    done = await post(api, f"/selections/{chosen['id']}/redrive", {"expected_count": 2})
    assert (chosen["count"], chosen["is_capped"]) == (2, False)
    assert [each["id"] for each in chosen["sample"]] == letters
    assert chosen["progress"]["pending"] == 2
    assert done["progress"] == {
        "pending": 0,
        "redriven": 2,
        "discarded": 0,
        "skipped": 0,
        "refused": 0,
    }
    assert sorted(await open_ids(api)) == [*other, *later]


async def test_a_selection_is_narrowed_by_every_filter(api: Api) -> None:
    letters = await fail(api, 2)
    found = await letter(api, letters[1])
    for filters, count in (
        ({"task": "only"}, 2),
        ({"fingerprint": found["fingerprint"]}, 2),
        ({"fingerprint": "none"}, 0),
        ({"made_from": found["made_at"]}, 1),
        ({"made_to": found["made_at"], "type": "frail"}, 1),
        ({"all": True}, 2),
    ):
        assert (await select(api, **filters))["count"] == count, filters


async def test_nobody_selects_everything_by_leaving_something_out(api: Api) -> None:
    await post(api, "/selections", {}, 422)
    await post(api, "/selections", {"type": None}, 422)
    await post(api, "/selections", {"all": True, "type": "frail"}, 422)
    await post(api, "/selections", {"made_from": 5}, 422)
    await post(api, "/selections", {"made_from": "2026-01-31"}, 422)


async def test_whoever_expects_another_number_decides_on_nothing(api: Api) -> None:
    letters = await fail(api, 2)
    chosen = await select(api, all=True)
    path = f"/selections/{chosen['id']}/discard"
    refused = await post(api, path, {"expected_count": 3, "note": "x"}, 409)
    await post(api, path, {"note": "x"}, 422)
    assert refused["field"] == "expected_count"
    assert await open_ids(api) == letters[::-1]


async def test_a_selection_of_nothing_stays_nothing(api: Api) -> None:
    chosen = await select(api, type="frail")
    letters = await fail(api)
    done = await post(api, f"/selections/{chosen['id']}/redrive", {"expected_count": 0})
    assert done["progress"]["pending"] == 0
    assert await open_ids(api) == letters


async def test_what_somebody_closed_in_between_is_skipped_and_told(api: Api) -> None:
    one, other = await fail(api, 2)
    chosen = await select(api, all=True)
    await post(api, f"/{one}/discard", {"note": "by hand"})
    done = await post(api, f"/selections/{chosen['id']}/redrive", {"expected_count": 2})
    assert (done["progress"]["skipped"], done["progress"]["redriven"]) == (1, 1)
    assert done["troubles"] == [
        {"id": one, "result": "skipped", "detail": "was discarded by the admin", "run": None}
    ]
    assert (await letter(api, one))["status"] == "DISCARDED"
    assert (await letter(api, other))["status"] == "REDRIVEN"


async def test_a_selection_goes_on_where_it_ended_and_does_nothing_twice(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = await fail(api, 5)
    chosen = await select(api, type="frail")
    path = f"/selections/{chosen['id']}/redrive"
    monkeypatch.setattr(in_bulk, "BATCH", 2)
    monkeypatch.setattr(in_bulk, "PATIENCE", -1.0)
    begun = await post(api, path, {"expected_count": 5})
    monkeypatch.setattr(in_bulk, "PATIENCE", 8.0)
    done = await post(api, path, {"expected_count": 5})
    again = await post(api, path, {"expected_count": 5})
    assert (begun["progress"]["pending"], begun["action"]) == (5, "redrive")
    assert done["progress"]["redriven"] == 5
    assert again["progress"] == done["progress"]
    runs = [(await letter(api, id))["run"] for id in letters]
    rounds = [(await api.admin.get(f"/runs/{run}")).json()["round"] for run in runs]
    assert rounds == [2] * 5


async def test_who_sends_the_same_at_the_same_time_does_it_once_together(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_bulk, "BATCH", 1)
    await fail(api, 8)
    chosen = await select(api, all=True)
    path = f"/selections/{chosen['id']}/redrive"
    answers = await asyncio.gather(*(post(api, path, {"expected_count": 8}) for _ in range(4)))
    last = (await api.admin.get(f"/dead-letters/selections/{chosen['id']}")).json()
    assert {each["action"] for each in answers} == {"redrive"}
    assert (last["progress"]["redriven"], last["progress"]["pending"]) == (8, 0)


async def test_what_was_begun_with_a_selection_is_not_changed_on_the_way(api: Api) -> None:
    await fail(api)
    chosen = await select(api, all=True)
    path = f"/selections/{chosen['id']}"
    await post(api, f"{path}/discard", {"expected_count": 1, "note": "seen"})
    await post(api, f"{path}/discard", {"expected_count": 1, "note": "other"}, 409)
    refused = await post(api, f"{path}/redrive", {"expected_count": 1}, 409)
    assert "the admin has begun to discard" in refused["detail"]


async def test_a_selection_that_is_over_is_gone_and_cleared_away(api: Api) -> None:
    await fail(api)
    chosen = await select(api, all=True)
    async with await builders.engine(api.url) as conn:
        await conn.execute("update dead_letter_selections set expires_at = clock_timestamp()")
        await post(api, f"/selections/{chosen['id']}/redrive", {"expected_count": 1}, 404)
        await select(api, all=True)
        left = "select count(*) from dead_letters_selected"
        assert await builders.one(conn, left) == 1


async def test_of_more_than_a_selection_holds_it_takes_those_that_wait_longest(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = await fail(api, 3)
    monkeypatch.setattr(in_bulk, "MOST", 2)
    chosen = await select(api, all=True)
    assert (chosen["count"], chosen["is_capped"]) == (2, True)
    assert [each["id"] for each in chosen["sample"]] == letters[:2]


async def test_every_letter_of_a_selection_is_in_the_audit_log(api: Api) -> None:
    letters = await fail(api, 2)
    operator = api.as_role(Role.OPERATOR)
    chosen = (await operator.post("/dead-letters/selections", json={"all": True})).json()
    path = f"/dead-letters/selections/{chosen['id']}/discard"
    await operator.post(path, json={"expected_count": 2, "note": "seen"})
    lines = (await api.admin.get("/audit", params={"entity": "dead_letters"})).json()["items"]
    assert [line["entity_id"] for line in lines] == [str(id) for id in letters[::-1]]
    assert {line["operation"] for line in lines} == {"discard_dead_letter_selection"}


async def test_who_discards_and_who_takes_up_the_same_letters_never_block_each_other(
    api: Api,
) -> None:
    letters = await fail(api, 30)
    await asyncio.gather(
        *(
            post(api, "/discard", {"ids": letters, "note": "seen"})
            if number % 2
            else post(api, "/redrive", {"ids": letters[::-1]})
            for number in range(6)
        )
    )
    assert await open_ids(api) == []
