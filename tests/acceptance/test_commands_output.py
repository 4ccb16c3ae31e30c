"""What commands print, as readers of the API and of the command line get it."""

import asyncio
import hashlib
import json
import time
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.runners import LONG, processes_of
from tests.support.system import Asking, System, Worker
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900 if LONG else 180)]

Event = tuple[str, dict[str, Any]]
HOLDING = 60  # seconds that a command left behind would live


async def followed(api: Asking, run: str, attempt: int = 1, **params: Any) -> AsyncIterator[Event]:
    path = f"/runs/{run}/tasks/it/attempts/{attempt}/output/events"
    async with api.http.stream("GET", path, params=params) as answer:
        kind = ""
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield kind, json.loads(value)


def data_of(event: Event) -> bytes:
    return b64decode(event[1].get("data", ""))


async def all_of(api: Asking, run: str, **params: Any) -> list[Event]:
    return [event async for event in followed(api, run, **params)]


# Prints a number, and the next one when its reader says that this one has come.
ASKED = "for n in 1 2 3 4 5 6; do echo $n; until [ -e {folder}/$n ]; do sleep 0.01; done; done"


@pytest.mark.parametrize("way", ["events", "bytes"])
async def test_a_byte_that_is_printed_reaches_its_reader_while_the_command_waits(
    system: System, api: Asking, tmp_path: Path, way: str
) -> None:
    run = await api.script("asked", "default", ASKED.format(folder=tmp_path))
    await api.begun(run)
    seen: list[str] = []
    async for data in by_events(api, run) if way == "events" else by_bytes(api, run):
        for number in data.decode().split():
            (tmp_path / number).touch()
            seen.append(number)
    assert seen == ["1", "2", "3", "4", "5", "6"]


async def by_events(api: Asking, run: str) -> AsyncIterator[bytes]:
    async for event in followed(api, run):
        yield data_of(event)


async def by_bytes(api: Asking, run: str) -> AsyncIterator[bytes]:
    path = f"/runs/{run}/tasks/it/attempts/1/output"
    async with api.http.stream("GET", path, params={"follow": "true"}) as answer:
        async for data in answer.aiter_raw():
            yield data


COUNTING = (
    "n=0; while [ $n -lt 120 ]; do n=$((n+1)); seq $((n*1000)) $((n*1000+400)); sleep 0.04; done"
)


async def test_followers_get_no_gap_and_no_repetition_across_kills_of_the_worker(
    system: System, api: Asking, worker: Worker
) -> None:
    run = await api.script("counting", "default", COUNTING)
    await api.begun(run)
    cli = asyncio.create_task(asyncio.to_thread(system.cli, "logs", "-f", run, "it"))
    events = asyncio.create_task(all_of(api, run))
    raw = asyncio.create_task(api.output(run, follow="true"))
    for _ in range(2):
        await worker.killed()
    expected = hashlib.sha256(
        b"".join(b"%d\n" % line for n in range(1, 121) for line in range(n * 1000, n * 1000 + 401))
    ).hexdigest()
    told = await events
    assert hashlib.sha256(b"".join(map(data_of, told))).hexdigest() == expected
    assert hashlib.sha256(await raw).hexdigest() == expected
    assert hashlib.sha256((await cli).stdout).hexdigest() == expected
    place = 0
    for event in told[:-1]:
        assert event[1]["offset"] == place
        place += len(data_of(event))
    assert [attempt["status"] for attempt in await api.attempts(run)] == ["SUCCEEDED"]
    assert told[-1][1]["exit_code"] == 0


async def test_the_streams_are_told_apart_in_the_order_in_which_they_came(
    system: System, api: Asking
) -> None:
    script = "for n in 1 2 3; do echo out $n; sleep 0.15; echo err $n >&2; sleep 0.15; done"
    run = await api.script("both", "default", script)
    await api.ended(run)
    told = await all_of(api, run)
    lines = [(kind, data_of((kind, body)).decode()) for kind, body in told[:-1]]
    assert lines == [(kind, f"{kind} {n}\n") for n in (1, 2, 3) for kind in ("out", "err")]
    merged = await api.script(
        "merged", "default", script.replace("sleep 0.15;", ""), merge_output=True
    )
    await api.ended(merged)
    told = await all_of(api, merged)
    assert {kind for kind, _ in told} == {"out", "end"}
    assert b"".join(map(data_of, told)) == "".join(line for _, line in lines).encode()


async def test_bytes_that_are_no_text_are_kept_as_they_are(system: System, api: Asking) -> None:
    script = r"printf 'a\000b\377\376\r 50%%\r100%%\n\303'"
    run = await api.script("bytes", "default", script)
    await api.ended(run)
    expected = b"a\x00b\xff\xfe\r 50%\r100%\n\xc3"
    assert await api.output(run) == expected
    assert system.cli("logs", run).stdout == expected


async def test_a_follower_goes_on_behind_the_last_event_it_received(
    system: System, api: Asking
) -> None:
    run = await api.script("again", "default", "printf 0123456789")
    await api.ended(run)
    path = f"/runs/{run}/tasks/it/attempts/1/output/events"
    rest = await api.http.get(path, headers={"Last-Event-ID": "4"})
    assert b64decode(json.loads(rest.text.split("data: ")[1].split("\n")[0])["data"]) == b"456789"
    assert "id: end" in rest.text
    over = await api.http.get(path, headers={"Last-Event-ID": "end"})
    assert over.status_code == 204
    assert (await api.http.get(path, headers={"Last-Event-ID": "-1"})).status_code == 422
    missing = await api.http.get(path.replace("/1/", "/9/"))
    assert missing.status_code == 404


async def test_of_too_much_output_head_tail_and_the_exact_number_between_are_known(
    system: System, api: Asking
) -> None:
    run = await api.script("much", "default", "seq 200000", output_cap="64KiB")
    await api.ended(run)
    whole = b"".join(b"%d\n" % number for number in range(1, 200_001))
    head, tail = whole[: 48 << 10], whole[-(16 << 10) :]
    dropped = len(whole) - len(head) - len(tail)

    answer = await api.http.get(f"/runs/{run}/tasks/it/attempts/1/output")
    assert answer.content == head + tail
    assert answer.headers["Output-Size"] == str(len(whole))
    assert answer.headers["Output-Dropped"] == str(dropped)
    told = await all_of(api, run)
    assert ("gap", {"offset": len(head), "missing": dropped}) in told
    assert told[-1][1]["dropped"] == dropped
    [attempt] = await api.attempts(run)
    assert attempt["detail"]["dropped"] == dropped

    shown = await asyncio.to_thread(system.cli, "logs", run)
    assert shown.stdout == head + tail
    assert f"[{dropped} bytes are missing here" in shown.stderr.decode()


async def test_a_line_says_where_bytes_are_missing(system: System, api: Asking) -> None:
    run = await api.script("holes", "default", "seq 200000", output_cap="64KiB")
    await api.ended(run)
    both = await asyncio.to_thread(system.shell, f"logs {run} 2>&1")
    head, note, tail = both.partition(b"\n[")
    assert (len(head), note) == (48 << 10, b"\n[")
    assert tail.split(b"\n", 1)[0].endswith(
        b"bytes are missing here: more was printed than is kept]"
    )
    assert tail.endswith(b"\n200000\n")


async def test_what_keeps_the_pipe_open_after_the_exit_delays_the_result_by_two_seconds_at_most(
    system: System, api: Asking, tmp_path: Path
) -> None:
    script = f"sleep {HOLDING} & setsid sleep {HOLDING} & echo $$ > {tmp_path}/pid; exit 0"
    run = await api.script("keeper", "default", script)
    await until((tmp_path / "pid").exists)
    begun = time.monotonic()
    assert (await api.ended(run))["status"] == "COMPLETED"
    assert time.monotonic() - begun < HOLDING
    [attempt] = await api.attempts(run)
    assert attempt["detail"]["left_behind"] == 2
    assert processes_of(f"PROCESSION_RUN={run}") == []


FLOOD = (10 << 30) if LONG else (300 << 20)
SMALL = 50


async def test_a_flood_and_an_endless_line_cost_neither_memory_nor_the_commands_beside_them(
    api: Asking, worker: Worker
) -> None:
    flood = await api.script("flood", "default", f"yes | head -c {FLOOD}")
    line = await api.script("line", "default", f"head -c {FLOOD // 10} /dev/zero | tr '\\0' x")
    await api.publish({"name": "small", "tasks": [{"name": "it", "run": "echo small"}]})
    await asyncio.gather(api.begun(flood), api.begun(line))
    runs = [(await api.post("/runs", {"type": "small"}))["id"] for _ in range(SMALL)]
    assert {(await api.ended(run))["status"] for run in runs} == {"COMPLETED"}
    for run, size in ((flood, FLOOD), (line, FLOOD // 10)):
        assert (await api.ended(run, within=600))["status"] == "COMPLETED"
        [attempt] = await api.attempts(run)
        assert attempt["detail"]["dropped"] == size - (4 << 20)
        assert len(await api.output(run)) == 4 << 20
    for pid in (worker.pid, *worker.of_spool()):
        assert peak_of(pid) < 100 << 20


def peak_of(pid: int) -> int:
    """The most memory that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10
