"""Workstations over HTTP: how a machine joins and stays, and what people do with it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from edge import identity
from edge.identity import at_server
from scheduler.services.access import Role
from tests.support.api import Api, serving
from tests.support.stations import KEYS, AMachine

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        api.app.state.keys = KEYS
        yield api


async def invite(api: Api, **wish: Any) -> dict[str, Any]:
    answer = await api.admin.post("/workstations", json=wish)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def join(api: Api, machine: AMachine, token: str, **more: Any) -> httpx.Response:
    return await api.as_role(None).post("/workstations/enrol", json=machine.body(token, **more))


async def prove(api: Api, machine: AMachine, name: str) -> httpx.Response:
    nonce = (await api.as_role(None).post(f"/workstations/{name}/nonce")).json()["nonce"]
    proof = identity.prove(machine.key, at_server(machine.server_key), nonce)
    body = {"nonce": nonce, "proof": proof}
    return await api.as_role(None).post(f"/workstations/{name}/token", json=body)


def fields(answer: httpx.Response) -> list[str]:
    """What is wrong, by name: one refusal of ours, or the faults of a body."""
    told = answer.json()
    return [each["field"] for each in told.get("faults") or [told]]


async def a_workstation(api: Api, name: str = "saw-1", **wish: Any) -> AMachine:
    machine = AMachine(hostname=name)
    made = await invite(api, name=name, **wish)
    answer = await join(api, machine, made["token"])
    assert answer.status_code == 200, answer.text
    machine.server_key = answer.json()["server_key"]
    return machine


async def signed(api: Api, machine: AMachine, name: str) -> dict[str, str]:
    answer = await prove(api, machine, name)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def test_a_machine_joins_with_the_line_that_it_is_given_and_asks_for_itself(
    api: Api,
) -> None:
    made = await invite(api, name="saw-1", labels={"line": "2"})
    assert made["join"] == f"echo {made['token']} | procession edge join http://server -"
    machine = AMachine()
    answer = (await join(api, machine, made["token"])).json()
    assert (answer["name"], answer["state"]) == ("saw-1", "ACCEPTED")
    assert answer["fingerprint"] == identity.fingerprint(machine.public_key)
    machine.server_key = answer["server_key"]
    headers = await signed(api, machine, "saw-1")
    peers = await api.as_role(None).get("/workstations/saw-1/peers", headers=headers)
    assert peers.json() == {"items": [], "server_key": machine.server_key}
    shown = (await api.admin.get("/workstations/saw-1")).json()
    assert (shown["labels"], shown["seen"]) == ({"line": "2"}, "OFFLINE")
    assert shown["facts"] == {
        "os": "Linux",
        "hostname": "saw-1",
        "machine_id": "0123456789abcdef",
    }


async def test_a_machine_that_waits_is_told_what_to_compare_and_comes_in_when_it_is_accepted(
    api: Api,
) -> None:
    machine = await a_workstation(api, approve=True)
    waiting = await prove(api, machine, "saw-1")
    mark = identity.fingerprint(machine.public_key)
    assert waiting.status_code == 409
    assert mark in waiting.json()["remedy"]
    other = {"fingerprint": mark[::-1]}
    refused = await api.admin.post("/workstations/saw-1/accept", json=other)
    assert refused.status_code == 409
    accepted = await api.admin.post("/workstations/saw-1/accept", json={"fingerprint": mark})
    assert accepted.json()["state"] == "ACCEPTED"
    assert accepted.json()["accepted_by"] == "the admin"
    await signed(api, machine, "saw-1")


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"token": "pn_join_unknown"}, 403, "token"),
        ({"name": "press-1"}, 403, "name"),
        ({"public_key": "short"}, 422, "body.public_key"),
        ({"sealing_key": "A" * 43}, 422, "sealing_key"),
        ({"hostname": ""}, 422, "body.hostname"),
        ({"facts": {str(n): n for n in range(101)}}, 422, "body.facts"),
        ({"facts": {"os": "x" * 20_000}}, 422, "body.facts"),
        ({"more": 1}, 422, "body.more"),
    ],
)
async def test_a_machine_that_is_not_let_in_learns_which_field_is_wrong_and_nothing_is_told_back(
    api: Api, change: dict[str, Any], status: int, field: str
) -> None:
    made = await invite(api, name="saw-1")
    body = {**AMachine().body(made["token"]), **change}
    answer = await api.as_role(None).post("/workstations/enrol", json=body)
    assert answer.status_code == status, answer.text
    assert field in fields(answer), answer.text
    assert made["token"] not in answer.text
    assert (await api.admin.get("/workstations")).json()["items"] == []


async def test_a_word_is_shown_once_also_to_whoever_asks_with_the_same_key_again(
    api: Api,
) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await api.admin.post("/workstations", json={}, headers=headers)
    again = await api.admin.post("/workstations", json={}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 409)
    listed = await api.admin.get("/workstation-invitations")
    assert len(listed.json()["items"]) == 1
    assert first.json()["token"] not in listed.text


async def test_invitations_are_listed_in_pages_and_taken_back(api: Api) -> None:
    made = [(await invite(api, count=2))["id"] for _ in range(3)]
    page = (await api.admin.get("/workstation-invitations", params={"limit": 2})).json()
    assert [each["id"] for each in page["items"]] == [made[2], made[1]]
    rest = {"limit": 2, "cursor": page["next"]}
    page = (await api.admin.get("/workstation-invitations", params=rest)).json()
    assert [each["id"] for each in page["items"]] == [made[0]]
    gone = await api.admin.delete(f"/workstation-invitations/{made[0]}")
    assert gone.status_code == 204
    gone = await api.admin.delete(f"/workstation-invitations/{made[0]}")
    assert gone.status_code == 404


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"expires": "25h"}, "expires"),
        ({"expires": "soon"}, "expires"),
        ({"cidr": "hall 7"}, "cidr"),
        ({"name": "Saw 1"}, "name"),
        ({"count": 2, "name": "saw-1"}, "count"),
        ({"labels": {"line": "a,b"}}, "labels"),
    ],
)
async def test_an_invitation_that_makes_no_sense_names_its_field(
    api: Api, wish: dict[str, Any], field: str
) -> None:
    answer = await api.admin.post("/workstations", json=wish)
    assert answer.status_code == 422
    assert fields(answer) == [field]


async def test_workstations_are_listed_by_name_state_and_label_in_pages(api: Api) -> None:
    for name, line in (("saw-1", "1"), ("saw-2", "2"), ("press-1", "2")):
        await a_workstation(api, name, labels={"line": line}, approve=name == "press-1")

    async def listed(**params: Any) -> list[str]:
        answer = await api.as_role(Role.VIEWER).get("/workstations", params=params)
        assert answer.status_code == 200, answer.text
        return [each["name"] for each in answer.json()["items"]]

    assert await listed() == ["press-1", "saw-1", "saw-2"]
    assert await listed(label="line=2") == ["press-1", "saw-2"]
    assert await listed(seen="PENDING") == ["press-1"]
    page = (await api.admin.get("/workstations", params={"limit": 1})).json()
    assert await listed(limit=2, cursor=page["next"]) == ["saw-1", "saw-2"]
    wrong = await api.admin.get("/workstations", params={"label": "line"})
    assert wrong.status_code == 422


async def test_an_edit_is_checked_by_the_edition_that_was_read(api: Api) -> None:
    await a_workstation(api, labels={"line": "2"})
    read = await api.admin.get("/workstations/saw-1")
    etag = {"If-Match": read.headers["ETag"]}
    same = await api.admin.get(
        "/workstations/saw-1", headers={"If-None-Match": read.headers["ETag"]}
    )
    assert same.status_code == 304
    body: dict[str, Any] = {
        "labels": {"line": None, "hall": "7"},
        "note": "worn",
        "peers": {"press-1": ["cut"]},
    }
    done = await api.admin.patch("/workstations/saw-1", json=body, headers=etag)
    assert done.json()["labels"] == {"hall": "7"}
    assert done.json()["peers"] == {"press-1": ["cut"]}
    late = await api.admin.patch("/workstations/saw-1", json={"note": "new"}, headers=etag)
    assert late.status_code == 412
    body = {"peers": {"press-1": None}, "note": None}
    done = await api.admin.patch("/workstations/saw-1", json=body)
    assert (done.json()["note"], done.json()["peers"]) == (None, {})


@pytest.mark.parametrize(
    "address", ["http://saw-1", "wss://", "wss://a b", "wss://me:pass@saw-1", "wss://saw-1/?a=1"]
)
async def test_an_address_that_cannot_be_called_is_refused(api: Api, address: str) -> None:
    await a_workstation(api)
    answer = await api.admin.patch("/workstations/saw-1", json={"address": address})
    assert answer.status_code == 422


async def test_drain_and_undrain_say_why_and_by_whom(api: Api) -> None:
    await a_workstation(api)
    operator = api.as_role(Role.OPERATOR)
    body = {"reason": "the blade is worn"}
    done = (await operator.post("/workstations/saw-1/drain", json=body)).json()
    assert (done["drain_reason"], done["drained_by"]) == ("the blade is worn", "the operator")
    assert (await operator.post("/workstations/saw-1/drain", json={})).status_code == 422
    done = (await operator.post("/workstations/saw-1/undrain")).json()
    assert (done["draining"], done["drain_reason"]) == (False, None)


async def test_a_key_is_changed_over_http_and_the_token_before_is_worthless(api: Api) -> None:
    machine, new = await a_workstation(api), AMachine()
    headers = await signed(api, machine, "saw-1")
    proof = identity.hand_over(machine.key, new.public_key)
    body = {"successor": new.public_key, "proof": proof}
    stranger = api.as_role(None)
    done = await stranger.post("/workstations/saw-1/key", json=body, headers=headers)
    assert done.json()["fingerprint"] == identity.fingerprint(new.public_key)
    again = await stranger.post("/workstations/saw-1/key", json=body, headers=headers)
    assert again.status_code == 401
    assert (await prove(api, machine, "saw-1")).status_code == 401
    new.server_key = machine.server_key
    headers = await signed(api, new, "saw-1")
    again = await stranger.post("/workstations/saw-1/key", json=body, headers=headers)
    assert again.json() == done.json()


async def test_a_workstation_that_is_revoked_is_told_so_and_its_name_is_free_when_it_is_removed(
    api: Api,
) -> None:
    machine = await a_workstation(api)
    headers = await signed(api, machine, "saw-1")
    done = await api.admin.post("/workstations/saw-1/revoke")
    assert (done.json()["state"], done.json()["revoked_by"]) == ("REVOKED", "the admin")
    asked = await api.as_role(None).get("/workstations/saw-1/peers", headers=headers)
    assert asked.status_code == 401
    refused = await prove(api, machine, "saw-1")
    assert refused.status_code == 403
    assert "--replace" in refused.json()["remedy"]
    assert (await api.admin.delete("/workstations/saw-1")).status_code == 204
    assert (await api.admin.get("/workstations/saw-1")).status_code == 404
    await a_workstation(api)


async def test_peers_are_listed_with_what_to_know_them_by_and_called_as_people_allow(
    api: Api,
) -> None:
    saw, press = await a_workstation(api), await a_workstation(api, "press-1")
    body: dict[str, Any] = {"address": "wss://press-1:8443"}
    assert (await api.admin.patch("/workstations/press-1", json=body)).status_code == 200
    headers = await signed(api, saw, "saw-1")
    stranger = api.as_role(None)
    [peer] = (await stranger.get("/workstations/saw-1/peers", headers=headers)).json()["items"]
    assert (peer["name"], peer["public_key"]) == ("press-1", press.public_key)
    assert peer["types"] == []
    wish = {"peer": "press-1", "types": ["pressing"]}
    refused = await stranger.post("/workstations/saw-1/grants", json=wish, headers=headers)
    assert refused.status_code == 403
    assert "procession workstation allow" in refused.json()["remedy"]
    await api.admin.patch("/workstations/saw-1", json={"peers": {"press-1": ["pressing"]}})
    [peer] = (await stranger.get("/workstations/saw-1/peers", headers=headers)).json()["items"]
    assert peer["types"] == ["pressing"]
    given = await stranger.post("/workstations/saw-1/grants", json=wish, headers=headers)
    grant = identity.accept(saw.server_key, given.json()["token"], "press-1", 0.0)
    assert (grant.station, grant.types) == ("saw-1", ("pressing",))


async def test_what_people_and_machines_do_is_audited_by_whoever_did_it(api: Api) -> None:
    machine = await a_workstation(api)
    headers = await signed(api, machine, "saw-1")
    await api.admin.patch("/workstations/saw-1", json={"note": "worn"})
    await api.as_role(Role.OPERATOR).post("/workstations/saw-1/drain", json={"reason": "worn"})
    successor = AMachine().public_key
    body = {"successor": successor, "proof": identity.hand_over(machine.key, successor)}
    await api.as_role(None).post("/workstations/saw-1/key", json=body, headers=headers)
    await api.admin.post("/workstations/saw-1/revoke")
    params = {"entity": "workstations", "entity_id": "saw-1"}
    found = (await api.admin.get("/audit", params=params)).json()["items"]
    assert [(each["operation"], each["actor"]) for each in reversed(found)] == [
        ("enrol_workstation", "invitation of the admin"),
        ("change_workstation", "the admin"),
        ("drain_workstation", "the operator"),
        ("rotate_workstation_key", "workstation saw-1"),
        ("revoke_workstation", "the admin"),
    ]
    invited = {"entity": "workstation_invitations"}
    [line] = (await api.admin.get("/audit", params=invited)).json()["items"]
    assert line["operation"] == "invite_workstation"
    assert "digest" not in str(line)


async def test_without_a_key_for_secrets_it_is_told_what_to_do(api: Api) -> None:
    del api.app.state.keys
    answer = await api.admin.post("/workstations", json={})
    assert answer.status_code == 503
    assert "openssl rand" in answer.json()["remedy"]
