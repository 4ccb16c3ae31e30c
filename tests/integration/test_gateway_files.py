"""What a workstation says of files is believed as far as their contents bear it out."""

import zlib
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from edge.messages import File
from tests.integration.test_gateway import order
from tests.support.gateways import Served, a_line, a_machine, a_server, poll
from tests.support.postgres import Databases

pytestmark = pytest.mark.anyio

DATA = b"what was left"


@pytest.fixture(scope="module")
async def served(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    with databases.cloned() as dsn:
        async with a_server(dsn, tmp_path_factory.mktemp("server")) as served:
            yield served


def a_file(attempt: str, name: str, data: bytes = DATA, digest: str = "") -> File:
    digest = digest or sha256(data).hexdigest()
    return File(attempt, 0, name, len(data), digest, 0, data, zlib.crc32(data), "text/html<b>")


async def test_only_what_its_digest_bears_out_and_of_ones_own_attempts_is_kept(
    served: Served, tmp_path: Path
) -> None:
    saw, other = await a_machine(served, "saw-1"), await a_machine(served, "press-1")
    async with a_line(served, saw):
        run = await order(served, saw)
        attempt = (await saw.has_begun()).attempt
        saw.end(attempt)
        await saw.until(lambda: not saw.book.jobs)
    await poll(served, other)
    other.unsaid.append(a_file(attempt, "of-another"))
    await poll(served, other)
    await poll(served, saw)
    for told in (
        a_file(attempt, "forged", digest="ab" * 32),
        a_file(attempt, "out.txt"),
        a_file(attempt, "out.txt"),
    ):
        saw.unsaid.append(told)
        await poll(served, saw)
    found = await served.rows(
        "select name, type, size from task_files where run_id = %s order by name", run
    )
    assert [tuple(each) for each in found] == [("out.txt", None, len(DATA))]
    assert await served.one("select count(*) from workstation_parts") == 0
