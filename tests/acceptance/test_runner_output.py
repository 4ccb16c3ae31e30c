"""Whatever a command prints, and however it holds on to its pipes."""

import asyncio
import hashlib
import os
import sys
import time
from pathlib import Path

import pytest

from executor.base import Ending
from executor.link import Began, Piece, RunnerLink
from tests.support.runners import LONG, Client, a_runner, children_of
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

CAP = 4 << 20
FLOOD = 10 << 30 if LONG else 512 << 20
PEAK = 100 << 20
HOLDING = 60  # seconds that a command left behind would live


def peak_memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


async def test_bytes_are_kept_as_they_are(tmp_path: Path) -> None:
    poison = bytes(range(256)) * 3 + b"\xff\xfe\xed\xa0\x80\x1b[31m\r 10%\r 20%\r\n\0\0"
    (tmp_path / "poison").write_bytes(poison)
    async with a_runner(tmp_path) as client:
        ended = await client.run("a.1", "cat", str(tmp_path / "poison"))
    assert client.output("a.1") == poison
    assert ended.size == len(poison)


async def test_streams_are_told_apart_or_merged_in_order(tmp_path: Path) -> None:
    script = "for i in 1 2 3; do echo o$i; echo e$i >&2; done"
    async with a_runner(tmp_path) as client:
        await client.run("a.1", "sh", "-c", script)
        await client.run("b.1", "sh", "-c", script, merge_output=True)
    assert client.output("a.1", "out") == b"o1\no2\no3\n"
    assert client.output("a.1", "err") == b"e1\ne2\ne3\n"
    assert client.output("b.1", "out") == b"o1\ne1\no2\ne2\no3\ne3\n"


@pytest.mark.parametrize("size", [0, 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, CAP - 1, CAP])
async def test_output_up_to_the_cap_is_whole(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "data").write_bytes(data)
    async with a_runner(tmp_path) as client:
        ended = await client.run("a.1", "cat", str(tmp_path / "data"))
        client.link.acknowledge(["a.1"])
        await client.run("b.1", "true")
        assert os.listdir(tmp_path / "spool" / "out") == []
    assert hashlib.sha256(client.output("a.1")).digest() == hashlib.sha256(data).digest()
    assert client.has_no_gap("a.1")
    assert sum(len(chunk.data) for chunk in ended.chunks) <= 64 << 10
    assert "dropped" not in (ended.outcome.detail or {})


async def test_beyond_the_cap_head_and_tail_are_kept_and_the_rest_is_counted(
    tmp_path: Path,
) -> None:
    async with a_runner(tmp_path) as client:
        ended = await client.run("a.1", "seq", "3000000")
        small = await client.run("b.1", "seq", "3000", output_cap=1000)
    whole = b"".join(b"%d\n" % number for number in range(1, 3_000_001))
    kept = client.output("a.1")
    assert ended.size == len(whole)
    assert len(kept) == CAP
    assert ended.outcome.detail is not None
    assert ended.outcome.detail["dropped"] == len(whole) - CAP
    for chunk in client.stored["a.1"]:
        assert whole[chunk.offset : chunk.offset + len(chunk.data)] == chunk.data
    assert kept.startswith(whole[: CAP // 2])
    assert kept.endswith(whole[-(64 << 10) :])
    assert small.outcome.detail is not None
    assert small.outcome.detail["dropped"] == small.size - 1000


async def test_output_is_seen_while_the_command_runs(tmp_path: Path) -> None:
    async with a_runner(tmp_path) as client:
        for key in ("a.1", "b.1", "c.1"):
            client.script(key, "echo first; exec sleep 60")
            await client.printed(key, b"first\n")
            client.link.kill(key)
            await client.end(key)
            assert client.output(key) == b"first\n"


async def test_a_background_process_that_holds_the_pipe_does_not_hold_the_result(
    tmp_path: Path,
) -> None:
    scripts = {
        "group.1": f"sleep {HOLDING} & sleep {HOLDING} & echo done",
        "session.1": f"setsid sleep {HOLDING} & echo done",
        "daemon.1": f"(setsid sh -c 'sleep {HOLDING} & sleep {HOLDING}' &) ; echo done",
        "unmarked.1": f"(setsid env -i sh -c 'sleep {HOLDING}' &) ; echo done",
        "silent.1": f"sleep {HOLDING} >/dev/null 2>&1 & echo done",
    }
    async with a_runner(tmp_path) as client:
        begun = time.monotonic()
        for key, script in scripts.items():
            client.script(key, script)
        for key in scripts:
            ended = await client.end(key)
            assert time.monotonic() - begun < HOLDING
            assert ended.outcome.ending is Ending.SUCCEEDED
            assert client.output(key) == b"done\n"
            assert ended.outcome.detail is not None
            if key != "unmarked.1":
                assert ended.outcome.detail["left_behind"] >= 1
        await client.run("last.1", "true")
        await until(lambda: not children_of(client.link.hello.pid))
    group = client.ends["group.1"].outcome.detail
    assert group is not None
    assert group["left_behind"] == 2


async def test_output_that_a_background_process_still_prints_is_waited_for(
    tmp_path: Path,
) -> None:
    async with a_runner(tmp_path) as client:
        ended = await client.run("a.1", "sh", "-c", "(sleep 0.3; echo late) & echo early")
    assert client.output("a.1") == b"early\nlate\n"
    assert "left_behind" not in (ended.outcome.detail or {})


async def test_streams_may_be_closed_early_in_any_order(tmp_path: Path) -> None:
    async with a_runner(tmp_path) as client:
        for number, script in enumerate(
            ["exec >&-; echo e >&2", "exec 2>&-; echo o", "exec >&- 2>&-; sleep 0.1; exit 7"]
        ):
            client.script(f"c{number}.1", script)
        codes = [(await client.end(f"c{n}.1")).outcome.exit_code for n in range(3)]
    assert codes == [0, 0, 7]


async def test_a_line_without_end_and_a_flood_stay_small_and_leave_room_for_others(
    tmp_path: Path,
) -> None:
    async with a_runner(tmp_path) as client:
        pid = client.link.hello.pid
        alone = await launch_times(client, "alone")
        client.script("line.1", f"head -c {FLOOD} /dev/zero")
        client.script("flood.1", "yes")
        beside = await launch_times(client, "beside")
        client.link.kill("flood.1")
        line = await client.end("line.1", 300)
        flood = await client.end("flood.1")
        assert peak_memory(pid) < PEAK
    assert line.size == FLOOD
    assert line.outcome.detail is not None
    assert line.outcome.detail["dropped"] == FLOOD - CAP
    assert flood.outcome.ending is Ending.STOPPED
    print(f"p99 alone {alone * 1e3:.1f} ms, beside floods {beside * 1e3:.1f} ms", file=sys.stderr)


async def launch_times(client: Client, name: str) -> float:
    times = []
    for number in range(50):
        begun = time.monotonic()
        await client.run(f"{name}{number}.1", "true")
        times.append(time.monotonic() - begun)
    return sorted(times)[-2]


async def test_a_client_that_stops_reading_costs_the_runner_no_memory(tmp_path: Path) -> None:
    async with a_runner(tmp_path) as client:
        transport = client.link.transport
        assert transport is not None
        transport.pause_reading()
        for number in range(8):
            client.script(f"c{number}.1", "head -c 20000000 /dev/urandom; echo end")
        out = tmp_path / "spool" / "out"
        await until(lambda: len(os.listdir(out)) == 8)
        transport.resume_reading()
        for number in range(8):
            await client.end(f"c{number}.1")
            assert client.output(f"c{number}.1").endswith(b"end\n")
        assert peak_memory(client.link.hello.pid) < PEAK


async def test_output_beyond_the_quota_is_dropped_and_counted_but_the_exit_is_told(
    tmp_path: Path,
) -> None:
    async with a_runner(tmp_path, quota=1 << 20) as client:
        ended = await client.run("a.1", "sh", "-c", "head -c 3000000 /dev/zero; echo end; exit 3")
        assert ended.outcome.exit_code == 3
        assert ended.outcome.detail is not None
        kept = client.output("a.1")
        assert ended.outcome.detail["dropped"] == ended.size - len(kept)
        assert 0 < len(kept) <= 1 << 20
        client.link.acknowledge(["a.1"])
        after = await client.run("b.1", "head", "-c", "500000", "/dev/zero")
    assert len(client.output("b.1")) == after.size == 500000


async def test_what_is_kept_can_be_read_at_any_offset_while_a_command_lives_and_afterwards(
    tmp_path: Path,
) -> None:
    script = "echo out; echo err >&2; sleep 60"
    async with a_runner(tmp_path) as client:
        pieces: asyncio.Queue[Piece] = asyncio.Queue()
        starts: asyncio.Queue[Began] = asyncio.Queue()
        reader = await RunnerLink.connect(
            client.spool,
            on_ended=client.hear_end,
            on_output=client.store,
            on_piece=pieces.put_nowait,
            on_began=starts.put_nowait,
        )
        client.link = reader
        client.script("a.1", script)
        began = await starts.get()
        await client.printed("a.1", b"err\n")
        reader.read("a.1", 2, 100)
        living = await pieces.get()
        reader.kill("a.1")
        ended = await client.end("a.1")
        reader.read("a.1", 4, 2)
        over = await pieces.get()
        reader.read("b.1", 0, 9)
        unknown = await pieces.get()
    assert began.key == "a.1"
    assert began.pid == (ended.outcome.detail or {})["pid"]
    assert [(each.stream, each.offset, each.data) for each in living.chunks] == [
        ("out", 2, b"t\n"),
        ("err", 4, b"err\n"),
    ]
    assert living.size is None
    assert [each.data for each in over.chunks] == [b"er"]
    assert over.size == ended.size == 8
    assert not unknown.known
