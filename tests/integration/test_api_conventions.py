"""What holds for all operations alike."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

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
