"""Where tasks go, with workstations that speak: refused, together, on all, lost and replaced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from tests.support.builders import a_promoter, engine
from tests.support.gateways import Machine, Served, a_line, a_machine, a_server
from tests.support.publishing import publish, start
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio

LINE_2 = {"line": "2"}
ON_LINE_2 = 'on: {workstation: {labels: {line: "2"}}}'
COMPLETED = "select 1 from runs where id = %s and state = 'COMPLETED'"
FAILED = "select 1 from runs where id = %s and state = 'FAILED'"


@pytest.fixture
async def served(dsn: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with a_server(dsn, tmp_path) as served:
        yield served


@pytest.fixture
async def presses(served: Served) -> list[Machine]:
    found = [await a_machine(served, f"press-{n}", labels=LINE_2) for n in (1, 2)]
    for each in found:
        each.works = b""
    return found


async def order(served: Served, *tasks: str, **input: Any) -> UUID:
    lines = [f"  - {{name: t{number}, {each}}}" for number, each in enumerate(tasks)]
    await publish(served, "\n".join(["name: any", "tasks:", *lines, ""]))
    return await start(served, "any", input=input)


async def why(served: Served, run: UUID) -> str:
    answer = await served.api.get(f"/runs/{run}/why")
    assert answer.status_code == 200, answer.text
    return " ".join(answer.json()["reasons"])


async def comes(served: Served, query: str, run: UUID) -> None:
    """It is so once what is due has been looked at, as a server does all the time."""
    async with await engine(served.dsn) as conn, asyncio.timeout(patience(30.0)):
        while not await served.one(query, run):
            await a_promoter().tick(conn)
            await asyncio.sleep(0.01)


async def there(stack: AsyncExitStack, served: Served, *machines: Machine) -> None:
    for each in machines:
        await stack.enter_async_context(a_line(served, each))
        await has_greeted(each)


async def has_greeted(machine: Machine) -> None:
    await machine.until(lambda: machine.agent.link and machine.agent.link.session)


async def test_what_one_owner_refuses_another_workstation_does(
    served: Served, presses: list[Machine]
) -> None:
    presses[0].objects = presses[1].objects = "no shells here"
    async with AsyncExitStack() as stack:
        await there(stack, served, *presses)
        run = await order(served, f"run: x, {ON_LINE_2}")
        await served.becomes(FAILED, run)
        error = await served.one("select error from tasks where run_id = %s", run)
        assert sorted(error.split("; ")) == [
            "press-1 refuses it: no shells here",
            "press-2 refuses it: no shells here",
        ]
        presses[1].objects = ""
        again = await order(served, f"run: x, {ON_LINE_2}")
        await served.becomes(COMPLETED, again)
    assert (len(presses[0].begun), len(presses[1].begun)) == (0, 1)


async def test_what_goes_together_goes_to_one(served: Served, presses: list[Machine]) -> None:
    together = 'needs: [], on: {workstation: {labels: {line: "2"}}, sticky: true}'
    async with AsyncExitStack() as stack:
        await there(stack, served, *presses)
        runs = [await order(served, *[f"run: x, {together}"] * 5) for _ in range(4)]
        for run in runs:
            await served.becomes(COMPLETED, run)
    taken = await served.rows(
        "select run_id, count(distinct placement ->> 'taken') from tasks "
        "where placement ? 'taken' group by run_id"
    )
    assert {count for _, count in taken} == {1}
    holders = await served.rows(
        "select run_id, count(distinct holder), count(*) from attempts group by run_id"
    )
    assert {(holder, attempts) for _, holder, attempts in holders} == {(1, 5)}
    assert len(presses[0].begun) + len(presses[1].begun) == 20


async def test_on_all_each_does_its_own_part(served: Served, presses: list[Machine]) -> None:
    everywhere = 'run: "x ${{ item.value }}", on: {workstation: {all: {labels: {line: "2"}}}}'
    for each in presses:
        await served.conn.execute(
            'update workstations set labels = \'{"line": "2"}\' where name = %s', [each.name]
        )
    async with AsyncExitStack() as stack:
        await there(stack, served, presses[0])
        run = await order(served, everywhere)
        await served.becomes("select 1 from tasks where name = 't0[press-1]' and passed")
        assert await why(served, run) == (
            "t0 is WAITING: 1 of its items are not over yet. "
            "t0[press-2] is READY: press-2 was never here."
        )
        await there(stack, served, presses[1])
        await comes(served, COMPLETED, run)
    assert [each.begun[0].invocation["argv"] for each in presses] == [
        ["x", "press-1"],
        ["x", "press-2"],
    ]


REPLACED = (
    'run: x, on: {workstation: {labels: {line: "2"}}, replace: true, lost_after: 1h, reconcile: %s}'
)


@pytest.mark.parametrize("policy", ["keep_original", "keep_replacement"])
async def test_an_original_that_is_heard_of_again_counts_or_does_not_as_was_said(
    served: Served, presses: list[Machine], policy: str
) -> None:
    first, second = presses
    for each in presses:
        each.works = None
    async with AsyncExitStack() as stack:
        async with a_line(served, first):
            run = await order(served, REPLACED % policy)
            original = await first.has_begun()
        await served.silent(first, "2 hours")
        assert await why(served, run) == await lost_soon(served)
        await there(stack, served, second)
        await served.is_seen("select 1 from tasks where run_id = %s and attempt = 2", run)
        replacement = await second.has_begun()
        first.end(original.attempt, output="first")
        await there(stack, served, first)
        await served.becomes(
            "select 1 from history where run_id = %s and kind = 'task.late_result'", run
        )
        if policy == "keep_original":
            await second.until(lambda: second.steered)
            assert second.steered == [(replacement.attempt, "stop")]
            second.end(replacement.attempt, "STOPPED", exit_code=None)
        else:
            second.end(replacement.attempt, output="second")
        await served.becomes(COMPLETED, run)
    output = await served.one("select output from tasks where run_id = %s", run)
    assert output == ("first" if policy == "keep_original" else "second")


async def lost_soon(served: Served) -> str:
    row = await served.rows(
        "select t.started_at, w.heard_at, w.heard_at + interval '1 hour' "
        "from tasks t, workstations w where w.name = 'press-1'"
    )
    began, heard, lost = (f"{each:%Y-%m-%d %H:%M:%S %Z}" for each in row[0])
    return (
        f"t0 is IN_PROGRESS: press-1 has it since {began}, and is away since {heard}; "
        f"it counts as lost from {lost} on."
    )


async def test_a_run_that_ended_by_a_loss_goes_on_when_the_result_comes_after_all(
    served: Served, presses: list[Machine]
) -> None:
    press, presses[0].works = presses[0], None
    async with a_line(served, press):
        run = await order(served, "run: x, on: {workstation: press-1}", "noop: true")
        begun = await press.has_begun()
    await served.silent(press, "25 hours")
    await served.is_seen(FAILED, run)
    press.end(begun.attempt, output={"pieces": 4})
    async with a_line(served, press):
        await served.becomes("select 1 from tasks where run_id = %s and name = 't1' and "
                             "state = 'READY'", run)  # fmt: skip
    answer = (await served.api.get(f"/runs/{run}")).json()
    assert (answer["status"], answer["round"]) == ("IN_PROGRESS", 2)
    letters = await served.rows("select state::text from dead_letters where run_id = %s", run)
    assert letters == [("REDRIVEN",)]


async def test_why_names_the_label_or_the_workstation(
    served: Served, presses: list[Machine]
) -> None:
    run = await order(served, "run: x, on: {workstation: {labels: {line: 7}}}")
    assert "no workstation has the label line: 7" in await why(served, run)
    run = await order(served, 'run: x, on: {workstation: "press-${{ input.n }}"}', n=9)
    assert "there is no workstation 'press-9'" in await why(served, run)
    async with a_line(served, presses[0]):
        await has_greeted(presses[0])
        answer = await served.api.post("/workstations/press-1/drain", json={"reason": "new die"})
        assert answer.status_code == 200, answer.text
        run = await order(served, f"run: x, {ON_LINE_2}")
        assert "press-1 is draining (new die)" in await why(served, run)


async def test_what_is_too_late_is_not_begun_by_a_workstation_that_comes_back(
    served: Served, presses: list[Machine]
) -> None:
    run = await order(served, "run: x, on: {workstation: press-1, start_before: 50ms}")
    await served.becomes(
        "select 1 from tasks where run_id = %s "
        "and (placement ->> 'start_before')::timestamptz < clock_timestamp()",
        run,
    )
    async with a_line(served, presses[0]):
        await has_greeted(presses[0])
        other = await order(served, "run: y, on: {workstation: press-1}")
        await served.becomes(COMPLETED, other)
        assert [each.invocation["argv"] for each in presses[0].begun] == [["y"]]
        await comes(served, FAILED, run)
    hands = "select count(*) from workstation_hands where run_id = %s"
    assert await served.one(hands, run) == 0


async def test_a_command_that_was_typed_runs_where_it_is_wanted(
    served: Served, presses: list[Machine]
) -> None:
    async with AsyncExitStack() as stack:
        await there(stack, served, *presses)
        answer = await served.api.post(
            "/commands", json={"argv": ["uptime"], "on": {"workstation": "press-2"}}
        )
        assert answer.status_code == 201, answer.text
        run = UUID(answer.json()["id"])
        await served.becomes(COMPLETED, run)
    [task] = (await served.api.get(f"/runs/{run}/tasks")).json()["items"]
    assert task["placement"]["on"] == {"workstation": "press-2"}
    assert [len(each.begun) for each in presses] == [0, 1]


OUTPUT = "/runs/{}/tasks/t0/attempts/1/output"


LESS_THAN_WAS_PRINTED = "update attempts set detail = detail || '{\"printed\": 18}'"


async def with_half_its_output(served: Served, press: Machine) -> UUID:
    """A run that is over, and the rest of what was printed has not come yet."""
    press.works = b"half of it"
    async with a_line(served, press):
        run = await order(served, "run: x, on: {workstation: press-1}")
        await served.becomes(COMPLETED, run)
        await press.until(lambda: not press.book.jobs)
    async with await AsyncConnection.connect(served.dsn, autocommit=True) as owner:
        await owner.execute(LESS_THAN_WAS_PRINTED)
    return run


async def test_whoever_follows_an_output_waits_for_what_comes_after_the_result(
    served: Served, presses: list[Machine]
) -> None:
    run = await with_half_its_output(served, presses[0])
    answer = await served.api.get(OUTPUT.format(run))
    assert (answer.text, answer.headers["Output-Over"]) == ("half of it", "false")
    async with asyncio.TaskGroup() as group:
        asked = served.api.get(OUTPUT.format(run), params={"follow": True})
        followed = group.create_task(asked)
        await served.conn.execute(
            "insert into output_chunks (task_id, attempt, start, stream, data) "
            "select task_id, attempt, 10, stream, ' and all' from output_chunks"
        )
    assert followed.result().text == "half of it and all"


async def test_nobody_waits_for_ever_for_an_output_that_does_not_come(
    served: Served, presses: list[Machine]
) -> None:
    run = await with_half_its_output(served, presses[0])
    async with await AsyncConnection.connect(served.dsn, autocommit=True) as owner:
        await owner.execute("update attempts set finished_at = finished_at - interval '1 hour'")
    answer = await served.api.get(OUTPUT.format(run), params={"follow": True})
    assert (answer.text, answer.headers["Output-Over"]) == ("half of it", "true")
