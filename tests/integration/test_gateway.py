"""What a workstation says over its connection counts once, whatever becomes of the connection."""

import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from edge import sealing, wire
from edge.messages import (
    Accept,
    Bye,
    Command,
    Ended,
    Frame,
    Have,
    Hello,
    Item,
    Lane,
    Lease,
    Log,
    Message,
    Offer,
    Start,
)
from tests.support.gateways import (
    Machine,
    Served,
    a_line,
    a_machine,
    a_server,
    is_in_clear,
    poll,
)
from tests.support.publishing import publish, start
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

TYPE = """
name: cut
tasks:
  - name: saw
    run: [saw, --fast]
    on: {workstation: saw-1}
"""
COMPLETED = "select 1 from runs where id = %s and state = 'COMPLETED'"
OVER = "select 1 from runs where id = %s and state in ('COMPLETED', 'FAILED')"


NUMBERS = count(1)


@pytest.fixture
async def saw(served: Served) -> Machine:
    return await a_machine(served, f"saw-{next(NUMBERS)}")


async def order(served: Served, machine: Machine, text: str = TYPE) -> UUID:
    text = text.replace("saw-1", machine.name).replace("name: cut", f"name: cut-{machine.name}")
    await publish(served, text)
    return await start(served, text.split("name: ", 1)[1].split("\n", 1)[0])


async def tell(served: Served, run: UUID, verb: str, **body: Any) -> None:
    answer = await served.api.post(f"/runs/{run}/{verb}", json=body)
    assert answer.status_code in (200, 202), answer.text


async def test_a_task_is_carried_out_by_the_workstation_that_it_names(
    served: Served, saw: Machine
) -> None:
    async with a_line(served, saw):
        run = await order(served, saw)
        offer = await saw.has_begun()
        assert offer.invocation["argv"] == ["saw", "--fast"]
        assert offer.invocation["env"]["PROCESSION_RUN"] == str(run)
        saw.print(offer.attempt, b"half way\n")
        saw.end(offer.attempt, output={"pieces": 4})
        await served.becomes(COMPLETED, run)
        await saw.until(lambda: not saw.book.jobs)
        assert await log_of(served, run) == b"half way\n"
        assert await served.one("select output from tasks where run_id = %s", run) == {"pieces": 4}
        await saw.until(lambda: not saw.book.jobs)
    assert await served.one("select count(*) from attempts where run_id = %s", run) == 1


async def test_what_ended_while_nobody_could_hear_of_it_ended_then(
    served: Served, saw: Machine
) -> None:
    """Neither before it began nor in the future, whatever the machine says of its time."""
    took = {}
    moments = {
        "then": 60.0, "failed": 60.0, "before": 3 * 86_400.0, "future": -3 * 86_400.0,
    }  # fmt: skip
    for number, (name, ago) in enumerate(moments.items(), start=1):
        async with a_line(served, saw):
            run = await order(served, saw)
            offer = await saw.has_begun(number)
        await served.rows(
            "update tasks set started_at = clock_timestamp() - interval '100 s'"
            " where run_id = %s returning id",
            run,
        )
        ending = "FAILED" if name == "failed" else "SUCCEEDED"
        saw.end(offer.attempt, ending, at=time.time() - ago)
        async with a_line(served, saw):
            await served.becomes(OVER, run)
        apart = (
            "select extract(epoch from a.finished_at - t.finished_at)::float from tasks t"
            " join attempts a on a.task_id = t.id where t.run_id = %s"
        )
        assert abs(await served.one(apart, run)) < 0.001
        took[name] = await served.one(
            "select extract(epoch from finished_at - started_at)::float from tasks"
            " where run_id = %s",
            run,
        )
    assert 40 <= took["then"] < 100 <= took["future"] < 3_600
    assert 40 <= took["failed"] < 100
    assert took["before"] == 0


def ends(message: Message) -> bool:
    return isinstance(message, Item) and isinstance(message.body, Ended)


# Where a connection may die: before this is heard, at either end.
POINTS: dict[str, Callable[[Message], bool]] = {
    "the offer": lambda each: isinstance(each, Offer),
    "its acceptance": lambda each: isinstance(each, Accept),
    "the start": lambda each: isinstance(each, Start),
    "the result": lambda each: isinstance(each, Item) and isinstance(each.body, Ended),
    "the log": lambda each: isinstance(each, Log),
    "what the server has": lambda each: isinstance(each, Have) and any(each.lanes),
}


@pytest.mark.parametrize("point", POINTS)
async def test_a_result_counts_once_wherever_the_connection_dies(
    served: Served, saw: Machine, point: str
) -> None:
    saw.works = b"all of it\n"
    async with a_line(served, saw, dies=POINTS[point]) as line:
        run = await order(served, saw)
        await until(lambda: line.closed)
    async with a_line(served, saw):
        await served.becomes(COMPLETED, run)
        await saw.until(lambda: saw.begun and not saw.book.jobs)
    assert len(saw.begun) == 1
    assert await states(served, run) == ["SUCCEEDED"]
    assert await log_of(served, run) == b"all of it\n"


async def states(served: Served, run: UUID) -> list[str]:
    rows = await served.rows(
        "select state::text from attempts where run_id = %s order by number", run
    )
    return [state for (state,) in rows]


async def log_of(served: Served, run: UUID) -> bytes:
    rows = await served.rows(
        "select c.data from output_chunks c join tasks t on t.id = c.task_id "
        "where t.run_id = %s order by c.start",
        run,
    )
    return b"".join(data for (data,) in rows)


async def test_a_frame_that_is_heard_twice_changes_nothing_twice(
    served: Served, saw: Machine
) -> None:
    """Its answer was lost, so it is said again in a new session, and again within it."""
    saw.works = b""
    async with a_line(served, saw) as line:
        run = await order(served, saw)
        await served.becomes(COMPLETED, run)
        ended = [text for text in saw.said if '"ended"' in text][-1]
        before = len(line.haves())
        await line.socket.send(ended)
        await until(lambda: len(line.haves()) > before)
    assert await states(served, run) == ["SUCCEEDED"]
    kinds = await served.rows("select kind from history where run_id = %s", run)
    assert ("task.late_result",) not in kinds


# Both carriers.


async def test_a_poll_does_all_that_a_stream_does(served: Served, saw: Machine) -> None:
    await poll(served, saw, fresh=True)
    run = await order(served, saw)
    saw.works = b"by poll\n"
    for _ in range(200):
        await poll(served, saw)
        if await served.one(COMPLETED, run) and not saw.book.jobs:
            break
    assert await states(served, run) == ["SUCCEEDED"]
    assert await log_of(served, run) == b"by poll\n"


async def test_carriers_are_swapped_in_the_middle_of_a_command(
    served: Served, saw: Machine
) -> None:
    async with a_line(served, saw):
        run = await order(served, saw)
        offer = await saw.has_begun()
        saw.print(offer.attempt, b"by stream, ")
        await served.becomes("select logged from workstation_hands where run_id = %s", run)
    await poll(served, saw, fresh=True)
    saw.print(offer.attempt, b"by poll, ")
    await poll(served, saw)
    await poll(served, saw)
    async with a_line(served, saw):
        saw.print(offer.attempt, b"and by stream")
        saw.end(offer.attempt)
        await served.becomes(COMPLETED, run)
        await saw.until(lambda: not saw.book.jobs)
    assert await log_of(served, run) == b"by stream, by poll, and by stream"
    assert len(saw.begun) == 1


async def test_a_poll_fences_the_stream(served: Served, saw: Machine) -> None:
    async with a_line(served, saw) as line:
        await saw.has_session()
        await poll(served, saw, fresh=True)
        closed = await until(lambda: line.closed)
    assert closed[0] == 4409


# Who may speak.


async def test_an_older_stream_of_the_same_identity_is_fenced(served: Served, saw: Machine) -> None:
    async with a_line(served, saw) as older:
        await saw.has_session()
        async with a_line(served, saw):
            closed = await until(lambda: older.closed)
    assert closed[0] == 4409
    assert not await clones(served, saw)


async def test_a_second_agent_with_the_same_key_is_an_event(served: Served, saw: Machine) -> None:
    other = Machine(saw.name, saw.token, saw.key, saw.sealing_key, lineage="another book")
    async with a_line(served, saw) as older:
        await saw.has_session()
        async with a_line(served, other):
            closed = await until(lambda: older.closed)
    assert closed[0] == 4409
    [data] = await clones(served, saw)
    assert data["workstation"] == saw.name


async def test_a_copy_that_greets_again_is_refused_and_told_of(
    served: Served, saw: Machine
) -> None:
    copy = Machine(saw.name, saw.token, saw.key, saw.sealing_key)
    async with a_line(served, saw):
        await saw.has_session()
        async with a_line(served, copy) as other:
            closed = await until(lambda: other.closed)
    assert closed[0] == 4409
    assert len(await clones(served, saw)) == 1


async def clones(served: Served, machine: Machine) -> list[Any]:
    rows = await served.rows(
        "select data from events where type = 'workstation.cloned' and key = %s", machine.name
    )
    return [data for (data,) in rows]


async def test_revocation_closes_at_once(served: Served, saw: Machine) -> None:
    async with a_line(served, saw) as line:
        await saw.has_session()
        answer = await served.api.post(f"/workstations/{saw.name}/revoke")
        assert answer.status_code == 200, answer.text
        closed = await until(lambda: line.closed)
    assert closed[0] == 4401
    with pytest.raises(InvalidStatus) as refused:
        async with a_line(served, saw):
            pass
    assert refused.value.response.status_code == 401
    answer = await sync(served, saw, Frame(0, ()))
    assert answer.status_code == 401


@pytest.mark.parametrize("token", ["", "Bearer nonsense", "Bearer pn_station_a.b"])
async def test_nobody_speaks_without_a_token(served: Served, saw: Machine, token: str) -> None:
    url = f"ws{served.url[4:]}/api/v1/workstations/{saw.name}/stream"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, additional_headers={"Authorization": token}, proxy=None)
    assert refused.value.response.status_code == 401


async def test_a_token_speaks_for_its_own_workstation_alone(served: Served, saw: Machine) -> None:
    press = await a_machine(served, f"press-{next(NUMBERS)}")
    press.token = saw.token
    with pytest.raises(InvalidStatus) as refused:
        async with a_line(served, press):
            pass
    assert refused.value.response.status_code == 403


async def test_a_workstation_changes_its_own_attempts_alone(served: Served, saw: Machine) -> None:
    press = await a_machine(served, f"press-{next(NUMBERS)}")
    async with a_line(served, saw), a_line(served, press) as line:
        run = await order(served, saw)
        offer = await saw.has_begun()
        session = await press.has_session()
        ended = Ended(offer.attempt, "SUCCEEDED", 1.0)
        log = Log(offer.attempt, 0, b"forged", 0)
        said = Frame(session, (Accept(offer.attempt), Item(Lane.RESULTS, 1, ended), log))
        await line.socket.send(wire.encode(said))
        await press.until(lambda: any(isinstance(e, Have) and e.lanes[0] == 1 for e in line.got))
        assert not await served.one(COMPLETED, run)
        assert await log_of(served, run) == b""
        kinds = await served.rows("select kind from history where run_id = %s", run)
        assert ("task.late_result",) not in kinds
        saw.end(offer.attempt)
        await served.becomes(COMPLETED, run)


async def sync(served: Served, machine: Machine, frame: Frame | bytes) -> httpx.Response:
    return await served.api.post(
        f"/workstations/{machine.name}/sync",
        content=frame if isinstance(frame, bytes) else wire.encode(frame),
        headers={"Authorization": f"Bearer {machine.token}", "Content-Type": "application/json"},
    )


# What cannot be understood.


BROKEN = {
    "no JSON": "{",
    "no frame": "[]",
    "a wrong type": '{"session": "1", "messages": []}',
    "a message without its fields": '{"session": 0, "messages": [{"type": "hello"}]}',
    "too many messages": json.dumps({"session": 0, "messages": [{"type": "x"}] * 1001}),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
async def test_what_is_no_frame_is_answered_with_why(
    served: Served, saw: Machine, text: str
) -> None:
    async with a_line(served, saw) as line:
        await saw.has_session()
        await line.socket.send(text)
        closed = await until(lambda: line.closed)
    assert closed[0] == 4400
    assert any(isinstance(each, Bye) and each.why for each in line.got)
    answer = await sync(served, saw, text.encode())
    assert answer.status_code == 422


async def test_a_frame_that_is_too_large_ends_the_connection(served: Served, saw: Machine) -> None:
    async with a_line(served, saw) as line:
        await saw.has_session()
        await line.socket.send("x" * (wire.LARGEST + 1))
        closed = await until(lambda: line.closed)
    assert closed[0] == 1009
    answer = await sync(served, saw, b" " * (wire.LARGEST + 1))
    assert answer.status_code == 413


async def test_who_speaks_too_often_is_put_off(dsn: str, tmp_path: Path) -> None:
    async with a_server(dsn, tmp_path, frames_per_second=2) as served:
        saw = await a_machine(served, "saw-1")
        async with a_line(served, saw) as line:
            session = await saw.has_session()
            for _ in range(20):
                await line.socket.send(wire.encode(Frame(session, (Lease((), 1, 0.0),))))
            closed = await until(lambda: line.closed)
        assert closed[0] == 4429
        answers = [await sync(served, saw, Frame(1, ())) for _ in range(12)]
    assert 429 in {each.status_code for each in answers}


HOSTILE: dict[str, dict[str, Any]] = {
    "an exit code that no system has": {"exit_code": 2**40},
    "an ending that there is not": {"ending": "DELIGHTED"},
    "a detail without an end": {"detail": {"notes": ["x" * 100_000]}},
    "progress of a wrong shape": {"detail": {"progress": {"progress": "half", "labels": [1]}}},
    "a word of an error": {"error": "x" * 200_000},
    "an output that is deep": {"output": json.loads("[" * 60 + "]" * 60)},
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_result_of_whatever_shape_is_recorded_once_and_holds_up_nothing(
    served: Served, saw: Machine, what: str
) -> None:
    said = {"ending": "SUCCEEDED", **HOSTILE[what]}
    async with a_line(served, saw) as line:
        run = await order(served, saw)
        offer = await saw.has_begun()
        saw.end(offer.attempt, **said)
        await served.becomes("select 1 from runs where id = %s and finished_at is not null", run)
        await saw.until(lambda: not saw.book.jobs)
        assert line.closed is None
    assert len(await states(served, run)) == 1


async def test_a_hello_is_believed_as_far_as_it_can_be_kept(served: Served) -> None:
    boast = await a_machine(
        served,
        f"boast-{next(NUMBERS)}",
        slots=2**62,
        labels={"line": "2", "bad label": "x", "number": 7, "long": "x" * 1000},
        facts={"story": "x" * 100_000},
    )
    async with a_line(served, boast):
        await boast.has_session()
        [(slots, labels, facts)] = await served.rows(
            "select slots, told_labels, facts from workstations where name = %s", boast.name
        )
    assert (slots, labels) == (10_000, {"line": "2"})
    assert list(facts) == ["left_out"]


# Offers and commands.


async def test_an_offer_that_nobody_answers_is_taken_back(dsn: str, tmp_path: Path) -> None:
    async with a_server(dsn, tmp_path, accept_within="0.2s") as served:
        saw = await a_machine(served, "saw-1")
        saw.works = b""
        async with a_line(served, saw, dies=POINTS["the offer"]) as line:
            run = await order(served, saw)
            await until(lambda: line.closed)
        task = "select attempt from tasks where run_id = %s and state = 'READY'"
        assert await served.is_seen(task, run) == 1
        async with a_line(served, saw):
            await served.becomes(COMPLETED, run)
        assert await states(served, run) == ["SUCCEEDED"]
    assert [each.attempt.split(".")[1] for each in saw.begun] == ["2"]


async def test_what_is_refused_by_policy_fails_and_says_why(served: Served, saw: Machine) -> None:
    saw.objects = "only the owner saws here"
    async with a_line(served, saw):
        run = await order(served, saw)
        await served.becomes("select 1 from runs where id = %s and state = 'FAILED'", run)
    error = await served.one("select error from tasks where run_id = %s", run)
    assert "only the owner saws here" in error
    assert not saw.begun
    assert await refusals(served, run) == [(saw.name, "only the owner saws here")]


async def refusals(served: Served, run: UUID) -> list[tuple[str, str]]:
    """As the run's history tells them."""
    history = (await served.api.get(f"/runs/{run}/events")).json()["items"]
    told = [each["data"] for each in history if each["kind"] == "task.refused"]
    return [(each["workstation"], each["why"]) for each in told]


async def test_what_is_refused_when_it_is_about_to_begin_is_in_the_history_as_well(
    served: Served, saw: Machine
) -> None:
    """What its owner allows may have changed since it was taken."""
    async with a_line(served, saw):
        run = await order(served, saw)
        offer = await saw.has_begun()
        why, detail = "refused by the workstation: not at night", {"refused": "policy"}
        told: dict[str, Any] = {"error": why, "detail": detail, "exit_code": None}
        saw.end(offer.attempt, "FAILED", counted=False, retryable=False, **told)
        await served.becomes("select 1 from runs where id = %s and state = 'FAILED'", run)
    assert await refusals(served, run) == [(saw.name, why)]


async def test_a_command_is_repeated_until_its_fate_is_known(served: Served, saw: Machine) -> None:
    async with a_line(served, saw, dies=lambda each: isinstance(each, Command)) as line:
        run = await order(served, saw)
        offer = await saw.has_begun()
        await tell(served, run, "stop")
        await until(lambda: line.closed)
    assert not saw.steered
    async with a_line(served, saw):
        await saw.until(lambda: saw.steered)
        assert saw.steered == [(offer.attempt, "stop")]
        saw.end(offer.attempt, "STOPPED", exit_code=None)
        await served.becomes("select 1 from runs where id = %s and state = 'STOPPED'", run)
        done = await served.becomes(
            "select jsonb_build_array(verb, applied, delivered_at is not null) "
            "from workstation_commands where done_at is not null and attempt = %s",
            offer.attempt,
        )
    assert done == ["stop", True, True]


async def test_a_frozen_run_holds_its_command_and_lets_it_go_on(
    served: Served, saw: Machine
) -> None:
    async with a_line(served, saw):
        run = await order(served, saw)
        offer = await saw.has_begun()
        await tell(served, run, "hold", freeze=True)
        await saw.until(lambda: saw.steered)
        await tell(served, run, "resume")
        await saw.until(lambda: len(saw.steered) == 2)
        saw.end(offer.attempt)
        await served.becomes(COMPLETED, run)
    assert saw.steered == [(offer.attempt, "hold"), (offer.attempt, "resume")]


async def test_a_drained_workstation_gets_nothing_until_it_is_drained_no_more(
    served: Served, saw: Machine
) -> None:
    saw.works = b""
    async with a_line(served, saw):
        await saw.has_session()
        answer = await served.api.post(
            f"/workstations/{saw.name}/drain", json={"reason": "a new blade"}
        )
        assert answer.status_code == 200, answer.text
        await saw.until(lambda: saw.book.shut.draining)
        run = await order(served, saw)
        await served.becomes("select 1 from tasks where run_id = %s and state = 'READY'", run)
        answer = await served.api.post(f"/workstations/{saw.name}/undrain")
        assert answer.status_code == 200, answer.text
        await served.becomes(COMPLETED, run)
    assert len(saw.begun) == 1


LINE = "{line: '2'}"


async def test_labels_are_served_by_whoever_has_them_and_has_most_room(
    served: Served, saw: Machine
) -> None:
    press = await a_machine(served, "press-a", labels={"line": "2"}, slots=4)
    other = await a_machine(served, "press-b", labels={"line": "2"}, slots=4)
    tasks = "\n".join(
        f"  - {{name: t{n}, needs: [], run: [press], on: {{workstation: {{labels: {LINE}}}}}}}"
        for n in range(6)
    )
    async with AsyncExitStack() as stack:
        for each in (saw, press, other):
            await stack.enter_async_context(a_line(served, each))
            await each.has_session()
        await order(served, saw, f"name: pressing\ntasks:\n{tasks}\n")
        await press.has_begun(3)
        await other.has_begun(3)
    assert (len(saw.begun), len(press.begun), len(other.begun)) == (0, 3, 3)


# What is lost, and what comes late.


async def test_a_stale_result_is_kept_for_people_to_see(served: Served, saw: Machine) -> None:
    async with a_line(served, saw):
        run = await order(served, saw)
        offer = await saw.has_begun()
    await served.silent(saw, "25 hours")
    await served.watch()
    await served.becomes("select 1 from runs where id = %s and state = 'FAILED'", run)
    assert await states(served, run) == ["LOST"]
    saw.end(offer.attempt, output="late")
    async with a_line(served, saw):
        await served.becomes(
            "select 1 from history where run_id = %s and kind = 'task.late_result'", run
        )
        await saw.until(lambda: not saw.book.jobs)
    assert await states(served, run) == ["LOST"]


async def test_nothing_is_lost_before_it_was_agreed(served: Served, saw: Machine) -> None:
    text = TYPE.replace("{workstation: saw-1}", "{workstation: saw-1, lost_after: 2h}")
    async with a_line(served, saw):
        run = await order(served, saw, text)
        await saw.has_begun()
    await served.silent(saw, "119 minutes")
    assert await served.watch() == 0
    [away] = await served.away(run)
    assert (away["workstation"], away["task"]) == (saw.name, "saw")
    await served.silent(saw, "121 minutes")
    assert await served.watch() == 1


async def test_what_the_agent_does_not_know_any_more_is_lost(served: Served, saw: Machine) -> None:
    async with a_line(served, saw):
        run = await order(served, saw)
        await saw.has_begun()
    fresh = Machine(saw.name, saw.token, saw.key, saw.sealing_key, lineage="a new disk")
    async with a_line(served, fresh):
        await served.becomes("select 1 from runs where id = %s and state = 'FAILED'", run)
    assert await states(served, run) == ["LOST"]


# Secrets.


async def test_secrets_are_never_in_clear_on_the_wire(served: Served, saw: Machine) -> None:
    answer = await served.api.put("/secrets/blade", json={"value": "hidden-1", "grants": ["*"]})
    assert answer.status_code in (200, 201), answer.text
    text = """
name: secretly
tasks:
  - name: by-variable
    needs: []
    run: [saw, --fast]
    secrets: {BLADE: blade}
    on: {workstation: saw-1}
  - name: by-argument
    needs: []
    python: {call: "json:dumps", args: {obj: "${{ secrets.blade }}"}}
    on: {workstation: saw-1}
"""
    async with a_line(served, saw):
        await order(served, saw, text)
        await saw.has_begun(2)
    assert not is_in_clear(saw, "hidden-1")
    hidden = {each.invocation["about"]["task"]: unsealed(saw, each) for each in saw.begun}
    assert hidden["by-variable"]["secrets"] == {"BLADE": "hidden-1"}
    assert "hidden-1" in hidden["by-argument"]["stdin"]
    assert "hidden-1" in hidden["by-argument"]["masks"]


def unsealed(machine: Machine, offer: Offer) -> dict[str, Any]:
    sealed = offer.invocation["sealed"]
    with pytest.raises(sealing.BadSeal):
        sealing.unseal(machine.sealing_key, sealed, "another.1")
    found: dict[str, Any] = json.loads(sealing.unseal(machine.sealing_key, sealed, offer.attempt))
    return found


async def test_a_task_whose_secret_is_not_to_be_had_fails_and_says_why(
    served: Served, saw: Machine
) -> None:
    text = TYPE.replace("run: [saw, --fast]", "run: [saw]\n    secrets: {BLADE: nowhere}")
    async with a_line(served, saw):
        run = await order(served, saw, text)
        await served.becomes("select 1 from runs where id = %s and state = 'FAILED'", run)
    assert "nowhere" in await served.one("select error from tasks where run_id = %s", run)
    assert not saw.begun


# Servers.


async def test_two_servers_share_one_database(served: Served, saw: Machine) -> None:
    async with a_server(served.dsn, served.folder) as other, a_line(other, saw):
        run = await order(served, saw)  # asked here, connected there
        offer = await saw.has_begun()
        await tell(served, run, "stop")
        await saw.until(lambda: saw.steered)
        saw.end(offer.attempt, "STOPPED", exit_code=None)
        await served.becomes("select 1 from runs where id = %s and state = 'STOPPED'", run)


async def test_a_server_that_is_stopped_says_that_nobody_is_there_any_more(
    served: Served, saw: Machine
) -> None:
    there = "select server is not null from workstations where name = %s"
    async with AsyncExitStack() as lines:
        async with a_server(served.dsn, served.folder) as other:
            line = await lines.enter_async_context(a_line(other, saw))
            await saw.has_session()
            assert await served.one(there, saw.name) is True
        await until(lambda: line.closed)
    assert await served.one(there, saw.name) is False
    seen = "select why from workstation_sightings s join workstations w on w.id = s.workstation"
    assert await served.one(f"{seen} where w.name = %s", saw.name)


async def test_a_workstation_that_comes_back_elsewhere_is_fenced_where_it_was(
    served: Served, saw: Machine
) -> None:
    async with a_server(served.dsn, served.folder) as other, a_line(served, saw) as older:
        await saw.has_session()
        async with a_line(other, saw):
            closed = await until(lambda: older.closed)
    assert closed[0] == 4409


async def test_who_says_no_hello_is_heard_no_more(served: Served, saw: Machine) -> None:
    url = f"ws{served.url[4:]}/api/v1/workstations/{saw.name}/stream"
    async with connect(
        url, additional_headers={"Authorization": f"Bearer {saw.token}"}, proxy=None
    ) as socket:
        await socket.send(wire.encode(Frame(7, (Lease((), 1, 0.0),))))
        frame = wire.decode(await socket.recv())
        assert isinstance(frame.messages[0], Bye)
        await socket.wait_closed()
        assert socket.close_code == 4409


async def test_what_is_seen_of_a_workstation_is_written_down(served: Served, saw: Machine) -> None:
    seen = "select 1 from workstation_sightings s join workstations w on w.id = s.workstation"
    async with a_line(served, saw):
        await served.becomes(f"{seen} where w.name = %s and ended_at is null", saw.name)
    await served.becomes(f"{seen} where w.name = %s and ended_at is not null", saw.name)
    assert not await served.one("select server from workstations where name = %s", saw.name)


def test_a_hello_names_all_that_is_in_hand() -> None:
    """Attempts of a hello are looked up with all others, so that each gets its verdict."""
    from edge.gateway.frames import keys_in
    from edge.messages import Known, Phase

    known = (Known("7.1", Phase.ENDED), Known("no attempt", Phase.RUNNING))
    hello = Hello(1, 1, 1, "book", 2, 0.0, known=known)
    assert keys_in(Frame(0, (hello,))) == {(7, 1)}
