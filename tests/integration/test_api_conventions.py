"""What holds for all operations alike."""

import gzip
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from scheduler.app import book_of_routes, create_app, document_of
from scheduler.services.access import Role
from scheduler.settings import ServerSettings
from tests.support.api import Api, serving

pytestmark = pytest.mark.anyio

SERVER = "http://server"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        yield api


async def test_records_are_listed_by_the_state_of_their_latest_run(api: Api) -> None:
    await api.admin.post("/process-records", json={"id": "a", "type": "two"})
    await api.admin.post("/process-records", json={"id": "b", "type": "two"})
    await api.admin.post("/process-records/b/start")
    for status, ids in (("PENDING", ["a"]), ("IN_PROGRESS", ["b"]), ("FAILED", [])):
        answer = await api.admin.get("/process-records", params={"status": status})
        assert [each["id"] for each in answer.json()["items"]] == ids, status


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/runs", {"type": "two", "priority": False}),
        ("/runs", {"type": "two", "priority": "4"}),
        ("/process-records", {"id": "r", "type": "two", "priority": True}),
        ("/runs/{run}/stop", {"kill": 0}),
        ("/runs/{run}/retry", {"whole": "yes"}),
        ("/workflow/", {"id": "x", "steps": [{"action": "a", "stepIndex": True}]}),
    ],
)
async def test_a_flag_is_no_number_and_a_text_neither(
    api: Api, path: str, body: dict[str, Any]
) -> None:
    run = await api.start()
    prefix = f"{SERVER}{path}" if path.startswith("/workflow/") else path.format(run=run["id"])
    assert (await api.admin.post(prefix, json=body)).status_code == 422


async def test_an_address_tells_the_methods_that_the_document_gives_it(api: Api) -> None:
    for path, methods in (
        ("/process-types/validate", "OPTIONS, POST"),
        ("/process-types/two", "GET, HEAD, OPTIONS"),
        ("/process-records", "GET, HEAD, OPTIONS, POST"),
        (f"{SERVER}/workflow/", "GET, HEAD, OPTIONS, POST"),
    ):
        answer = await api.admin.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (204, methods)
        refused = await api.admin.request("TRACE", path)
        assert (refused.status_code, refused.headers["allow"]) == (405, methods)


async def test_an_edition_that_is_known_is_not_sent_again(api: Api) -> None:
    run = await api.start()
    await api.admin.post("/process-records", json={"id": "a", "type": "two"})
    for path in ("/runs", f"/runs/{run['id']}", "/process-records/a", "/process-types", "/queues"):
        first = await api.admin.get(path)
        known = {"If-None-Match": first.headers["etag"]}
        again = await api.admin.get(path, headers=known)
        assert (again.status_code, again.content) == (304, b""), path
        assert again.headers["etag"] == first.headers["etag"]
    one = {"If-None-Match": f'"x", {first.headers["etag"]}'}
    assert (await api.admin.get("/queues", headers=one)).status_code == 304
    assert (await api.admin.get("/queues", headers={"If-None-Match": '"x"'})).status_code == 200


async def test_a_change_makes_another_edition_of_what_shows_it(api: Api) -> None:
    before = (await api.admin.get("/queues")).headers["etag"]
    await api.admin.post("/queues/default/pause", json={"note": "lunch"})
    answer = await api.admin.get("/queues", headers={"If-None-Match": before})
    assert answer.status_code == 200
    assert answer.headers["etag"] != before


async def test_whoever_may_not_look_learns_nothing_from_an_edition(api: Api) -> None:
    etag = (await api.admin.get("/audit")).headers["etag"]
    known = {"If-None-Match": etag}
    viewer = api.as_role(Role.VIEWER)
    assert (await viewer.get("/audit", headers=known)).status_code == 403
    assert (
        await api.as_role(None).get("/audit", headers={"If-None-Match": "*"})
    ).status_code == 401


PLAIN = {"Accept-Encoding": "identity"}
GZIP = {"Accept-Encoding": "br;q=1.0, gzip;q=0.8"}


async def test_large_answers_are_compressed_for_those_who_take_it(api: Api) -> None:
    for _ in range(5):
        await api.start()
    plain = await api.admin.get("/runs", headers=PLAIN)
    small = await api.admin.get("/runs", headers=GZIP)
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < len(plain.content) / 2
    assert small.content == plain.content
    for answer in (plain, small):
        assert "Accept-Encoding" in answer.headers["vary"]
    for refused in ("gzip;q=0", "br", ""):
        answer = await api.admin.get("/runs", headers={"Accept-Encoding": refused})
        assert "content-encoding" not in answer.headers, refused


async def test_head_tells_the_length_that_get_would_have(api: Api) -> None:
    for _ in range(5):
        await api.start()
    got = await api.admin.get("/runs", headers=GZIP)
    head = await api.admin.head("/runs", headers=GZIP)
    assert head.headers["content-length"] == got.headers["content-length"]
    assert head.content == b""


async def test_what_is_small_or_secret_or_asked_with_a_cookie_is_not_compressed(api: Api) -> None:
    assert "content-encoding" not in (await api.admin.get("/me", headers=GZIP)).headers
    wish = {"name": "x" * 200, "role": "viewer", "scopes": ["runs"] * 20}
    token = await api.admin.post("/tokens", json=wish, headers=GZIP)
    assert "content-encoding" not in token.headers
    for _ in range(5):
        await api.start()
    cookie = {**GZIP, "Cookie": "session=x"}
    assert "content-encoding" not in (await api.admin.get("/runs", headers=cookie)).headers


async def test_an_edit_finds_the_edition_that_was_read_compressed(api: Api) -> None:
    wish = {"id": "a", "type": "two", "description": "long " * 300}
    await api.admin.post("/process-records", json=wish)
    read = await api.admin.get("/process-records/a", headers=GZIP)
    etag = read.headers["etag"]
    assert etag.endswith('-gzip"')
    known = await api.admin.get("/process-records/a", headers={"If-None-Match": etag, **GZIP})
    assert known.status_code == 304
    edit = await api.admin.patch(
        "/process-records/a", json={"description": "short"}, headers={"If-Match": etag}
    )
    assert edit.status_code == 200


@pytest.fixture
async def strict(dsn: str) -> AsyncIterator[Api]:
    """A server that allows little."""
    settings = ServerSettings(body_limit=2048, json_depth=8, page_limit=3, wait_limit=0)
    async with serving(dsn, settings) as api:
        await api.publish()
        yield api


async def test_what_a_server_allows_is_as_it_is_set(strict: Api) -> None:
    fits = {"type": "two", "input": {"a": "x" * 1900}}
    large = {"type": "two", "input": {"a": "x" * 2100}}
    assert (await strict.admin.post("/runs", json=fits)).status_code == 201
    assert (await strict.admin.post("/runs", json=large)).status_code == 413

    shallow: Any = {"type": "two", "input": {"a": [[[[[[]]]]]]}}
    deep = {"type": "two", "input": {"a": [shallow["input"]["a"]]}}
    assert (await strict.admin.post("/runs", json=shallow)).status_code == 201
    assert (await strict.admin.post("/runs", json=deep)).status_code == 422

    assert (await strict.admin.get("/runs?limit=3")).status_code == 200
    refused = await strict.admin.get("/runs?limit=4")
    assert (refused.status_code, refused.json()["field"]) == (422, "query.limit")

    waited = await strict.admin.post("/runs", json={"type": "two"}, headers={"Prefer": "wait=30"})
    assert waited.json()["status"] == "IN_PROGRESS"


async def test_a_body_that_is_packed_is_refused_unopened(api: Api) -> None:
    bomb = gzip.compress(b" " * (10 << 20))
    for encoding in ("gzip", "br", "GZIP, identity", "deflate"):
        answer = await api.admin.post(
            "/runs",
            content=bomb,
            headers={"Content-Type": "application/json", "Content-Encoding": encoding},
        )
        assert answer.status_code == 415, encoding
        assert answer.json()["field"] == "header.Content-Encoding"


async def test_a_restart_that_would_be_refused_stops_nothing(api: Api) -> None:
    await api.admin.post("/process-records", json={"id": "kept", "type": "two"})
    run = (await api.admin.post("/process-records/kept/start")).json()
    refused = await api.admin.post(
        "/process-records/kept/restart", json={"input": {"number": 2**63}}
    )
    assert refused.status_code == 422
    assert (await api.admin.get(f"/runs/{run['id']}")).json()["status"] == "IN_PROGRESS"


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# A type or a workstation may be called like an address: whoever asks for it there is told whether
# there is one.
NAMED = {
    "/api/v1/process-types/validate": {"GET", "HEAD"},
    "/api/v1/workstations/enrol": {"GET", "HEAD", "PATCH", "DELETE"},
}
IDS = {"run": "01900000-0000-7000-8000-000000000000"}


def addresses() -> dict[str, set[str]]:
    """Every path of the document, filled with something, and the methods that it has there."""
    document = document_of(create_app("", ServerSettings()))
    found: dict[str, set[str]] = {}
    for path, methods in document["paths"].items():
        filled = re.sub(r"\{(\w+)\}", lambda name: IDS.get(name[1], "999"), path)
        found.setdefault(filled, set()).update(method.upper() for method in methods)
    return found


async def test_every_address_knows_its_methods_and_refuses_the_others(api: Api) -> None:
    wrong = []
    for path, methods in addresses().items():
        known = methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
        allow = ", ".join(sorted(known))
        asked = await api.admin.options(f"{SERVER}{path}")
        if (asked.status_code, asked.headers.get("allow")) != (204, allow):
            wrong.append(("OPTIONS", path, asked.status_code))
        for method in {*METHODS, "HEAD"} - known - NAMED.get(path, set()):
            refused = await api.admin.request(method, f"{SERVER}{path}")
            if (refused.status_code, refused.headers.get("allow")) != (405, allow):
                wrong.append((method, path, refused.status_code))
    assert wrong == []


async def test_head_answers_as_get_does_at_every_address(api: Api) -> None:
    for path, methods in addresses().items():
        if "GET" in methods:
            got = await api.admin.get(f"{SERVER}{path}")
            head = await api.admin.head(f"{SERVER}{path}")
            assert (head.status_code, head.content) == (got.status_code, b""), path
            assert head.headers.get("content-type") == got.headers.get("content-type"), path


async def test_the_first_request_costs_no_more_than_the_next(dsn: str) -> None:
    """Whatever has to be worked out about routes was worked out before the server is there."""
    book_of_routes.cache_clear()  # as in a process in which there was no application yet
    async with serving(dsn) as fresh:
        spent = []
        for _ in range(2):
            begun = time.process_time()
            assert (await fresh.admin.get("/health/ready")).status_code == 200
            spent.append(time.process_time() - begun)
    assert spent[0] < spent[1] + 0.2
