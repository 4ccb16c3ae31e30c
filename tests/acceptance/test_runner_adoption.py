"""Workers, runners and guards are killed; what lives, what ends, and what is known afterwards."""

import asyncio
import hashlib
import json
import os
import random
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from executor.base import Ending, Invocation
from executor.link import Hello, RunnerAway, RunnerLink, ensure_runner, hold_spool
from tests.support.runners import (
    LONG,
    Client,
    a_runner,
    all_gone,
    end_runner,
    is_dead,
    parent_of,
    processes_of,
)
from tests.support.waiting import patience, until

pytestmark = pytest.mark.anyio

WORKER_KILLS = 200 if LONG else 10
RUNNER_KILLS = 100 if LONG else 6

# A worker in a process of its own. It stores output and exits in a file, a line each.
WORKER = """
import asyncio, json, os, sys
from pathlib import Path
from executor.base import Invocation
from executor.link import RunnerLink, ensure_runner, hold_spool

spool, book = Path(sys.argv[1]), Path(sys.argv[2])
jobs = json.loads((book / "jobs").read_text())

def write(entry):
    with open(book / "records", "ab", buffering=0) as file:
        file.write(json.dumps(entry).encode() + b"\\n")

async def main():
    async with hold_spool(spool):
        done, stored = set(), {}
        if (book / "records").exists():
            whole = (book / "records").read_bytes()
            os.truncate(book / "records", whole.rfind(b"\\n") + 1)  # a kill tears a write
            for line in (book / "records").read_bytes().splitlines():
                entry = json.loads(line)
                stored[entry["key"]] = entry["until"]
                if "ending" in entry:
                    done.add(entry["key"])
        finished = asyncio.Event()

        def output(chunk):
            until = chunk.offset + len(chunk.data)
            write({"key": chunk.key, "offset": chunk.offset, "until": until,
                   "data": chunk.data.decode("latin-1")})
            link.received(chunk.key, until)

        def ended(end):
            data = b"".join(chunk.data for chunk in end.chunks).decode("latin-1")
            first = end.chunks[0].offset if end.chunks else end.size
            if end.key not in done:
                write({"key": end.key, "offset": first, "until": end.size, "data": data,
                       "ending": end.outcome.ending, "code": end.outcome.exit_code,
                       "pid": end.outcome.detail.get("pid")})
                done.add(end.key)
            link.acknowledge([end.key])
            if len(done) == len(jobs):
                finished.set()

        async def offsets(hello):
            return {key: stored.get(key, 0) for key in hello.keys}

        await ensure_runner(spool)
        link = await RunnerLink.connect(
            spool, on_ended=ended, on_output=output, offsets=offsets)
        for key, script in jobs.items():
            if key not in done and key not in link.hello.keys:
                link.start(key, Invocation(argv=["sh", "-c", script]))
        print("up", flush=True)
        if len(done) < len(jobs):
            await finished.wait()
        link.bye(stop_commands=False)
        await link.close()

asyncio.run(main())
"""


def work(number: int, ledger: Path) -> str:
    """Says in the ledger that it begins and ends, and prints a known text in between."""
    lines = random.choice([1, 10, 20_000])
    pause = random.choice(["0", "0.5", "1"])
    note = f"echo {{}} {number} $$ >> {ledger}"
    return (
        f"{note.format('begin')}; seq {lines}; sleep {pause}; seq {lines}; "
        f"{note.format('end')}; exit {number % 3}"
    )


def expected(script: str) -> bytes:
    lines = int(script.split("seq ")[1].split(";")[0])
    return b"".join(b"%d\n" % number for number in range(1, lines + 1)) * 2


async def test_killed_workers_neither_lose_repeat_nor_orphan_a_command(tmp_path: Path) -> None:
    spool, book, ledger = tmp_path / "spool", tmp_path, tmp_path / "ledger"
    ledger.touch()
    jobs = {f"job{n}.1": work(n, ledger) for n in range((14 if LONG else 8) * WORKER_KILLS)}
    (book / "jobs").write_text(json.dumps(jobs))
    kills = 0
    while True:
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, str(spool), str(book), stdout=asyncio.subprocess.PIPE
        )
        assert worker.stdout is not None
        assert await worker.stdout.readline() == b"up\n"
        try:
            patience = random.uniform(0.0, 0.2) if kills < WORKER_KILLS else 60
            await asyncio.wait_for(worker.wait(), patience)
            break
        except TimeoutError:
            worker.kill()
            await worker.communicate()
            kills += 1
    assert worker.returncode == 0
    assert kills >= WORKER_KILLS // 2
    assert await all_gone("PROCESSION_ATTEMPT=job", tmp_path)
    noted = [line.split() for line in ledger.read_text().splitlines()]
    records = [json.loads(line) for line in (book / "records").read_bytes().splitlines()]
    for number, (key, script) in enumerate(jobs.items()):
        begins = [pid for word, n, pid in noted if word == "begin" and int(n) == number]
        ends = [pid for word, n, pid in noted if word == "end" and int(n) == number]
        assert len(begins) == 1
        assert begins == ends
        of_key = [record for record in records if record["key"] == key]
        exits = [record for record in of_key if "ending" in record]
        assert [(e["code"], e["pid"]) for e in exits] == [(number % 3, int(begins[0]))]
        place, text = 0, b""
        for record in of_key:
            assert record["offset"] == place
            place, text = record["until"], text + record["data"].encode("latin-1")
        assert hashlib.sha256(text).digest() == hashlib.sha256(expected(script)).digest()
    print(f"{kills} kills of the worker, {len(jobs)} commands", file=sys.stderr)


TREES = {
    "plain": "exec sleep 300",
    "deaf": "trap '' TERM HUP INT; sleep 300 & sleep 300 & wait; sleep 300",
    "session": "setsid sleep 300 & wait",
    "daemon": "(setsid sh -c 'trap \"\" TERM; sleep 300 & sleep 300' &) ; sleep 300",
}
ALIVE = {"plain": 1, "deaf": 3, "session": 2, "daemon": 5}


async def grown(client: Client, mark: str) -> None:
    """Start one of each tree and wait until every process of it is there."""
    for name, script in TREES.items():
        client.script(f"{name}.1", script, env={"TREE": mark})
    await until(lambda: len(processes_of(mark)) == sum(ALIVE.values()))


@pytest.mark.parametrize("who", ["runner", "guard", "worker and runner"])
async def test_everything_is_gone_within_two_seconds_of_a_kill(tmp_path: Path, who: str) -> None:
    for number in range(RUNNER_KILLS):
        spool = tmp_path / str(number)
        mark = f"tree-{os.getpid()}-{who.replace(' ', '')}-{number}"
        await ensure_runner(spool)
        client = await Client(spool).connect()
        await grown(client, mark)
        runner = client.link.hello.pid
        os.kill(parent_of(runner) if who == "guard" else runner, signal.SIGKILL)
        if who == "worker and runner":
            await client.link.close()
        assert await all_gone(mark)
        await client.link.wait_closed()
        await ensure_runner(spool)
        after = await Client(spool).connect()
        for name in TREES:
            ended = await after.end(f"{name}.1")
            assert ended.outcome.ending is Ending.LOST
            assert "runner ended" in (ended.outcome.error or "")
        await end_runner(after)


async def test_a_dead_worker_leaves_its_commands_alive(tmp_path: Path) -> None:
    async with a_runner(tmp_path) as client:
        mark = f"tree-{os.getpid()}-worker"
        await grown(client, mark)
        before = sorted(processes_of(mark))
        await client.link.close()
        await client.connect()
        assert sorted(processes_of(mark)) == before
        assert set(client.link.hello.live) == {f"{name}.1" for name in TREES}
        for name in TREES:
            client.link.kill(f"{name}.1")
            await client.end(f"{name}.1")
        assert processes_of(mark) == []


async def test_a_command_that_begins_while_a_client_introduces_itself_is_not_told_twice(
    tmp_path: Path,
) -> None:
    async with a_runner(tmp_path, slots=1) as client:
        client.script("a.1", "exec sleep 300")
        client.script("b.1", f"echo x; sleep 0.3; touch {tmp_path}/begun; exec sleep 300")
        await until(lambda: processes_of("PROCESSION_ATTEMPT=a.1", tmp_path))
        await client.link.close()

        async def offsets(hello: Hello) -> Mapping[str, int]:
            assert list(hello.waiting) == ["b.1"]
            os.kill(hello.live["a.1"].pid, signal.SIGKILL)
            await until((tmp_path / "begun").exists)
            return {"a.1": 0, "b.1": 0}

        client.link = await RunnerLink.connect(
            client.spool, on_ended=client.hear_end, on_output=client.store, offsets=offsets
        )
        await client.printed("b.1", b"x\n")
        client.link.kill("b.1")
        await client.end("b.1")
        assert client.output("b.1") == b"x\n"


async def test_an_exit_is_told_until_it_is_acknowledged_even_by_the_next_runner(
    tmp_path: Path,
) -> None:
    spool = tmp_path / "spool"
    await ensure_runner(spool)
    client = await Client(spool).connect()
    await client.run("small.1", "sh", "-c", "echo small; exit 4")
    await client.run("large.1", "seq", "100000")
    await client.run("done.1", "true")
    client.link.acknowledge(["done.1"])
    await client.run("last.1", "true")
    await end_runner(client)
    await ensure_runner(spool)
    after = await Client(spool).connect({"large.1": 12345})
    small, large = await after.end("small.1"), await after.end("large.1")
    assert (small.outcome.exit_code, after.output("small.1")) == (4, b"small\n")
    whole = b"".join(b"%d\n" % number for number in range(1, 100_001))
    assert large.size == len(whole)
    assert after.output("large.1") == whole[12345:]
    assert "done.1" not in after.link.hello.keys
    after.link.acknowledge(["small.1", "large.1", "last.1"])
    await after.run("b.1", "true")
    after.link.acknowledge(["b.1"])
    await after.link.close()
    await after.connect()
    assert after.link.hello.keys == frozenset()
    assert list((spool / "out").iterdir()) == []
    await end_runner(after)


async def test_a_restart_of_the_host_is_told_as_lost(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o700)
    (spool / "journal").write_text(
        '{"boot":"another"}\n{"start":"a.1"}\n'
        '{"ended":{"key":"b.1","ending":"SUCCEEDED","code":0,"detail":{},"size":0}}\n{"sta'
    )
    await ensure_runner(spool)
    client = await Client(spool).connect()
    lost, known = await client.end("a.1"), await client.end("b.1")
    assert lost.outcome.ending is Ending.LOST
    assert "host" in (lost.outcome.error or "")
    assert known.outcome.ending is Ending.SUCCEEDED
    await end_runner(client)


async def test_a_second_worker_waits_for_the_first_and_inherits_nothing(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    order: list[str] = []

    async def second() -> None:
        async with hold_spool(spool):
            order.append("second")

    async with hold_spool(spool):
        await ensure_runner(spool)
        client = await Client(spool).connect()
        client.script("a.1", "exec sleep 300")
        waiting = asyncio.create_task(second())
        await client.run("b.1", "true")
        order.append("first")
    async with asyncio.timeout(patience(5)):
        await waiting
    assert order == ["first", "second"]
    await end_runner(client)


async def test_whoever_is_not_this_user_is_not_let_in(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    async with a_runner(tmp_path):
        assert (spool.stat().st_mode & 0o777, (spool / "sock").stat().st_mode & 0o777) == (
            0o700,
            0o600,
        )
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    with pytest.raises(RunnerAway, match="chmod 700"):
        await ensure_runner(open_to_all)


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b'{"do":"start"}',
        b'{"do":"start","key":"../../etc/passwd","invocation":{}}',
        b'{"do":"lease","deadline":"soon","grace":1}',
        b'{"do":"lease","deadline":NaN,"grace":1}',
        b'{"do":{}}',
        b"[" * 100_000,
        b"x" * (33 << 20),
    ],
    ids=lambda line: line[:30].decode(),
)
async def test_a_peer_that_talks_nonsense_is_put_out_and_commands_go_on(
    tmp_path: Path, line: bytes
) -> None:
    async with a_runner(tmp_path) as client:
        client.script("a.1", "exec sleep 300")
        await client.run("b.1", "true")
        assert client.link.transport is not None
        client.link.transport.write(line + b"\n")
        async with asyncio.timeout(patience(10)):
            await client.link.wait_closed()
        await client.connect()
        assert set(client.link.hello.live) == {"a.1"}


async def test_a_start_with_a_wrong_field_ends_and_names_the_field(tmp_path: Path) -> None:
    async with a_runner(tmp_path) as client:
        invocations: list[dict[str, Any]] = [
            {},
            {"argv": []},
            {"argv": "true"},
            {"argv": ["true"], "sudo": True},
            {"argv": ["true"], "env": {"A": 1}},
            {"argv": ["true"], "timeout": -1},
        ]
        for number, wrong in enumerate(invocations):
            client.link.order({"do": "start", "key": f"a{number}.1", "invocation": wrong})
            ended = await client.end(f"a{number}.1")
            assert not ended.outcome.retryable
            assert (ended.outcome.error or "").startswith(
                [*wrong, "argv"][-1 if len(wrong) < 2 else 1]
            )


async def test_a_runner_without_worker_and_work_goes_away(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    await ensure_runner(spool, idle_exit=0.2)
    client = await Client(spool).connect()
    await client.run("a.1", "true")
    await client.link.close()
    await until(lambda: is_dead(client.link.hello.pid))
    with pytest.raises(RunnerAway):
        await RunnerLink.connect(spool, on_ended=print, on_output=print)
    await ensure_runner(spool)
    again = await Client(spool).connect()
    assert (await again.end("a.1")).outcome.ending is Ending.SUCCEEDED
    again.link.start("c.1", Invocation(argv=["true"]))
    await again.end("c.1")
    await end_runner(again)
