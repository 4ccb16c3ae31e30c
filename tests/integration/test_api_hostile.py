"""Whatever comes in: refused with a reason, never a fault of ours, nothing half stored."""

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from scheduler.settings import ServerSettings
from tests.support.api import YAML, Api, serving
from tests.support.postgres import Databases

pytestmark = pytest.mark.anyio
JSON = {"Content-Type": "application/json"}
LIMIT = 1 << 20


@pytest.fixture(scope="module")
async def api(databases: Databases) -> AsyncIterator[Api]:
    """One for all tests of this file: what they send is refused."""
    with databases.cloned() as dsn:
        async with serving(dsn, ServerSettings(body_limit=LIMIT)) as api:
            await api.publish()
            yield api


BODIES = {
    "nothing": b"",
    "no JSON": b"{type: two}",
    "half of it": b'{"type": "two"',
    "not UTF-8": b'{"type": "\xff\xfe"}',
    "a list": b"[]",
    "a word": b'"two"',
    "null": b"null",
    "NUL": b'{"type": "two", "input": {"a": "b\\u0000c"}}',
    "NUL in a key": b'{"type": "two", "input": {"a\\u0000": 1}}',
    "half a pair": b'{"type": "two", "input": {"a": "\\ud800"}}',
    "NaN": b'{"type": "two", "input": {"a": NaN}}',
    "infinity": b'{"type": "two", "input": {"a": -Infinity}}',
    "a number beyond all": b'{"type": "two", "input": {"a": 1e999}}',
    "a long number": b'{"type": "two", "input": {"a": ' + b"9" * 5000 + b"}}",
    "deep": b'{"type": "two", "input": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "a bit deep": b'{"type": "two", "input": {"a": ' + b"[" * 70 + b"]" * 70 + b"}}",
    "twice": b'{"type": "two", "type": "one"}',
    "an unknown key": b'{"type": "two", "typo": 1}',
    "a wrong type": b'{"type": 2}',
    "a long name": b'{"type": "' + b"x" * 100_000 + b'"}',
    "gzip": gzip.compress(b'{"type": "two"}'),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_body_that_makes_no_sense_is_refused_and_nothing_is_stored(
    api: Api, body: bytes
) -> None:
    before = (await api.admin.get("/runs")).json()
    answer = await api.admin.post("/runs", content=body, headers=JSON)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    assert (await api.admin.get("/runs")).json() == before


async def test_a_refusal_names_the_field_and_shows_what_was_sent(api: Api) -> None:
    answer = await api.admin.post("/runs", json={"type": "two", "priority": 11})
    [fault] = answer.json()["faults"]
    assert answer.json()["field"] == fault["field"] == "body.priority"
    assert fault["value"] == "11"
    assert "9" in fault["message"]


async def test_numbers_that_json_and_postgresql_both_know_arrive_as_they_were_sent(
    api: Api,
) -> None:
    given = {"a": 2**63 - 1, "b": -0.5, "c": "\u0394\U0001f600", "d": 1e-300, "e": "\\u0000"}
    run = await api.start(input=given)
    assert (await api.admin.get(f"/runs/{run['id']}")).json()["input"] == given


async def test_a_body_beyond_the_limit_is_refused_whether_it_says_its_size_or_not(
    api: Api,
) -> None:
    async def in_parts() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * (LIMIT // 8)

    declared = await api.admin.post("/runs", content=b" " * (LIMIT + 1), headers=JSON)
    undeclared = await api.admin.post("/runs", content=in_parts(), headers=JSON)
    assert declared.status_code == undeclared.status_code == 413


async def test_a_large_body_within_the_limit_is_taken(api: Api) -> None:
    text = "x" * (LIMIT - 200)
    run = await api.start(input={"text": text})
    assert len(run["input"]["text"]) == len(text)


PATHS = [
    "/runs/%00",
    "/runs/none",
    "/runs/01900000-0000-7000-8000-00000000000%00",
    "/process-types/%00",
    "/process-types/" + "x" * 64,
    "/process-types/%ff%fe",
    "/process-records/%00",
    "/process-records/" + "y" * 201,
    "/process-types/two?version=0",
    "/process-types/two?version=99999999999999999999",
    "/dead-letters/0",
    "/dead-letters/99999999999999999999",
    "/dead-letters/one",
    "/queues/%00",
    "/runs?status=LOST",
    "/runs?limit=0",
    "/runs?limit=201",
    "/runs?limit=x",
    "/runs?short=xyz",
    "/runs?short=12345",
    "/runs?short=" + quote("'; drop table runs"),
    "/runs?type=%00",
    "/dead-letters?status=NONE",
]


@pytest.mark.parametrize("path", PATHS)
async def test_an_address_that_makes_no_sense_is_refused(api: Api, path: str) -> None:
    answer = await api.admin.get(path)
    assert answer.status_code in (404, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


CURSORS = [
    "x",
    "!",
    "é",
    "bnVsbA",
    "W10",
    "e30",
    "IlwidTAwMDAi",
    "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAx",
    "-1",
]


@pytest.mark.parametrize("cursor", CURSORS)
@pytest.mark.parametrize("path", ["/runs", "/dead-letters"])
async def test_a_cursor_that_is_not_ours_is_refused(api: Api, path: str, cursor: str) -> None:
    answer = await api.admin.get(path, params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["field"] == "cursor"


async def test_headers_that_make_no_sense_are_refused(api: Api) -> None:
    await api.admin.post("/process-records", json={"id": "r", "type": "two"})
    for name, value in (("Idempotency-Key", "a b"), ("Idempotency-Key", "x" * 256)):
        answer = await api.admin.post("/runs", json={"type": "two"}, headers={name: value})
        assert answer.status_code == 422, (name, value)
    edit = await api.admin.patch(
        "/process-records/r", json={"description": "x"}, headers={"If-Match": "yesterday"}
    )
    assert edit.json()["field"] == "If-Match"


DEFINITIONS: dict[str, bytes] = {
    "nothing": b"",
    "no YAML": b"\t: {",
    "not UTF-8": b"name: \xff",
    "NUL": b"name: a\x00b",
    "a bomb": b"a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nname: [*b,*b,*b]",
    "a tag": b"name: !!python/object/apply:os.system ['true']",
    "deep": b"[" * 50_000,
    "an unknown key": b"name: x\ntask: []\n",
}


@pytest.mark.parametrize("text", DEFINITIONS.values(), ids=DEFINITIONS)
async def test_a_definition_that_makes_no_sense_is_refused_with_its_place(
    api: Api, text: bytes
) -> None:
    published = await api.admin.post("/process-types", content=text, headers=YAML)
    validated = await api.admin.post("/process-types/validate", content=text, headers=YAML)
    assert published.status_code == 422, published.text
    assert published.json()["faults"]
    assert validated.json()["valid"] is False
    [fault, *_] = validated.json()["faults"]
    assert fault["line"] is None or fault["line"] >= 1
    assert not fault["message"].startswith("body")


async def test_a_definition_in_a_format_that_is_not_read_is_refused(api: Api) -> None:
    answer = await api.admin.post(
        "/process-types", content=b"<a/>", headers={"Content-Type": "application/xml"}
    )
    assert answer.status_code == 415


async def test_a_method_that_an_address_does_not_know_is_answered_with_those_it_does(
    api: Api,
) -> None:
    refused = await api.admin.request("PUT", "/runs")
    asked = await api.admin.options("/process-records/x")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert asked.status_code == 204
    assert asked.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
    assert (await api.admin.options("/nowhere")).status_code == 404


async def test_head_is_answered_as_get_is_without_the_body(api: Api) -> None:
    run = await api.start()
    for path in ("/runs", f"/runs/{run['id']}", f"/runs/{run['id']}/events"):
        got, head = await api.admin.get(path), await api.admin.head(path)
        assert head.status_code == got.status_code == 200
        assert head.content == b""
        assert head.headers["content-type"] == got.headers["content-type"]
    live = await api.admin.head(
        f"/runs/{run['id']}/events", headers={"Accept": "text/event-stream"}
    )
    assert live.status_code == 200
    assert (await api.admin.head("/runs/none")).status_code == 422
    assert (await api.as_role(None).head("/runs")).status_code == 401


async def test_every_answer_forbids_framing_sniffing_and_keeping(api: Api) -> None:
    for path in ("/runs", "/runs/none", "/nowhere", "/health/live"):
        headers = (await api.admin.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


async def test_what_comes_back_in_a_message_is_still_json(api: Api) -> None:
    strange: Any = "\u2028</script>\x1b[31m"
    answer = await api.admin.get(f"/process-types/{quote(strange)}")
    assert answer.status_code == 404
    json.loads(answer.text)
