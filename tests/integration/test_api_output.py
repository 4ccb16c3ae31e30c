import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from executor.base import Ending, Outcome
from scheduler.domain.tasks import Claimed
from scheduler.store import output
from scheduler.store.output import Chunk
from tests.support import builders
from tests.support.api import Api, serving

pytestmark = pytest.mark.anyio
ONE = "name: one\ntasks: [{name: only, noop: true}]"


@dataclass
class Printed:
    api: Api
    run: str
    task: Claimed
    holder: int

    async def print(self, start: int, data: bytes) -> None:
        async with await builders.engine(self.api.url) as conn:
            chunk = Chunk(task_id=self.task.id, attempt=1, start=start, stream=1, data=data)
            await output.append(conn, self.holder, [chunk])

    async def end(self, detail: dict[str, int] | None = None) -> None:
        async with await builders.engine(self.api.url) as conn:
            outcome = builders.SUCCESS if detail is None else with_detail(detail)
            await builders.record(conn, self.holder, [self.task], outcome)

    @property
    def path(self) -> str:
        return f"/runs/{self.run}/tasks/only/attempts/1/output"


def with_detail(detail: dict[str, int]) -> Outcome:
    return Outcome(ending=Ending.SUCCEEDED, detail=detail)


@pytest.fixture
async def printed(dsn: str) -> AsyncIterator[Printed]:
    async with serving(dsn) as api:
        await api.publish(ONE)
        run = await api.start("one")
        async with await builders.engine(dsn) as conn:
            holder = await builders.a_holder(conn)
            [task] = await builders.claimed(conn, holder)
        yield Printed(api, run["id"], task, holder)


async def test_what_was_printed_is_read_whole_and_by_offset(printed: Printed) -> None:
    await printed.print(0, b"hello ")
    await printed.print(6, b"world\n")
    client = printed.api.admin

    whole = await client.get(printed.path)
    part = await client.get(printed.path, params={"offset": 4, "limit": 4})

    assert whole.content == b"hello world\n"
    assert whole.headers["output-size"] == "12"
    assert whole.headers["output-over"] == "false"
    assert part.content == b"o wo"
    assert part.headers["output-start"] == "4"


@pytest.mark.parametrize(
    ("range", "content", "told"),
    [
        ("bytes=0-4", b"01234", "bytes 0-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=5-999", b"56789", "bytes 5-9/10"),
    ],
)
async def test_a_range_is_answered_in_part(
    printed: Printed, range: str, content: bytes, told: str
) -> None:
    await printed.print(0, b"0123456789")
    answer = await printed.api.admin.get(printed.path, headers={"Range": range})
    assert (answer.status_code, answer.content) == (206, content)
    assert answer.headers["content-range"] == told


@pytest.mark.parametrize("range", ["bytes=10-", "bytes=-0", "bytes=5-4"])
async def test_a_range_without_a_byte_is_refused(printed: Printed, range: str) -> None:
    await printed.print(0, b"0123456789")
    answer = await printed.api.admin.get(printed.path, headers={"Range": range})
    assert answer.status_code == 416


async def test_a_range_that_is_not_understood_is_passed_over(printed: Printed) -> None:
    await printed.print(0, b"0123456789")
    for header in ("lines=1-2", "bytes=1-2,4-5", "bytes=-", "bytes"):
        answer = await printed.api.admin.get(printed.path, headers={"Range": header})
        assert (answer.status_code, answer.content) == (200, b"0123456789"), header


async def test_a_gap_in_a_long_output_is_passed_over_and_counted(printed: Printed) -> None:
    await printed.print(0, b"head")
    await printed.print(100, b"tail")
    await printed.end({"dropped": 96})
    client = printed.api.admin

    whole = await client.get(printed.path)
    ranged = await client.get(printed.path, headers={"Range": "bytes=0-103"})
    behind = await client.get(printed.path, params={"offset": 50})

    assert whole.content == ranged.content == b"headtail"
    assert ranged.status_code == 200
    assert whole.headers["output-dropped"] == "96"
    assert whole.headers["output-over"] == "true"
    assert behind.content == b"tail"


async def test_whoever_follows_gets_all_of_it_and_then_the_end(printed: Printed) -> None:
    await printed.print(0, b"first ")
    async with asyncio.TaskGroup() as group:
        following = group.create_task(
            printed.api.admin.get(printed.path, params={"follow": "true"})
        )
        await printed.print(6, b"second")
        await printed.end()
    assert following.result().content == b"first second"


async def test_an_attempt_that_was_never_made_has_no_output(printed: Printed) -> None:
    client = printed.api.admin
    beyond = printed.path.replace("attempts/1", "attempts/2")
    assert (await client.get(beyond)).status_code == 404
    assert (await client.get(printed.path.replace("only", "other"))).status_code == 404


async def test_a_task_is_found_by_name_and_by_position(printed: Printed) -> None:
    client = printed.api.admin
    by_name = await client.get(f"/runs/{printed.run}/tasks/only")
    by_position = await client.get(f"/runs/{printed.run}/tasks/0")
    assert by_name.json() == by_position.json()
    assert by_name.json()["status"] == "IN_PROGRESS"


async def test_the_attempt_in_hand_is_listed_and_then_the_same_one_as_recorded(
    printed: Printed,
) -> None:
    path = f"/runs/{printed.run}/tasks/only/attempts"
    before = (await printed.api.admin.get(path)).json()["items"]
    await printed.end()
    after = (await printed.api.admin.get(path)).json()["items"]
    assert [(a["number"], a["status"]) for a in before] == [(1, "STARTED")]
    assert [(a["number"], a["status"]) for a in after] == [(1, "SUCCEEDED")]
