import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from scheduler.embedded.postmaster import of_process
from scheduler.supervise import TETHER, Part, supervise
from tests.support.waiting import patience, until

pytestmark = pytest.mark.anyio

# Leaves its process number in a file, says when it is told to stop, and obeys or not.
PART = """
import os, signal, sys
name, obeys, book = sys.argv[1:]

def told(number, frame):
    with open(book, "a") as file:
        file.write(f"{name} told {signal.Signals(number).name}\\n")
    if obeys == "obeys":
        sys.exit(0)

signal.signal(signal.SIGTERM, told)
signal.signal(signal.SIGINT, told)
with open(book, "a") as file:
    file.write(f"{name} {os.getpid()}\\n")
while True:
    signal.pause()
"""

# A supervisor in a process of its own, to be killed.
SUPERVISOR = """
import asyncio, sys
from scheduler.supervise import Part, supervise
part = Part(name="part", argv=[sys.executable, "-c", *sys.argv[1:]])
asyncio.run(supervise([part], asyncio.Event()))
"""


def part(name: str, book: Path, *, obeys: bool = True, grace: float = 30.0) -> Part:
    manners = "obeys" if obeys else "does not"
    argv = [sys.executable, "-c", PART, name, manners, str(book)]
    return Part(name=name, argv=argv, grace=grace)


def pids(book: Path, name: str) -> list[int]:
    lines = book.read_text().splitlines() if book.exists() else []
    words = [line.split() for line in lines]
    return [int(found[1]) for found in words if found[0] == name and found[1].isdigit()]


def is_alive(pid: int) -> bool:
    return bool(of_process(pid, "cmdline"))


@asynccontextmanager
async def supervised(*parts: Part) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(supervise(parts, stop))
    try:
        yield stop
    finally:
        stop.set()
        await task


async def test_a_part_that_dies_is_started_again_and_said_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = tmp_path / "book"
    async with supervised(part("worker", book)):
        [first] = await until(lambda: pids(book, "worker"))
        os.kill(first, signal.SIGKILL)
        await until(lambda: len(pids(book, "worker")) == 2)
    [said] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert said.getMessage() == "a part ended and is started again"
    assert (vars(said)["part"], vars(said)["ended"]) == ("worker", "killed by SIGKILL")
    assert not any(is_alive(pid) for pid in pids(book, "worker"))


async def test_the_other_parts_go_on_when_one_dies(tmp_path: Path) -> None:
    book = tmp_path / "book"
    async with supervised(part("server", book), part("worker", book)):
        await until(lambda: pids(book, "server"))
        [worker] = await until(lambda: pids(book, "worker"))
        os.kill(worker, signal.SIGKILL)
        await until(lambda: len(pids(book, "worker")) == 2)
        assert len(pids(book, "server")) == 1


async def test_parts_stop_in_reverse_order_each_before_the_next(tmp_path: Path) -> None:
    book = tmp_path / "book"
    names = ["database", "server", "worker"]
    async with supervised(*(part(name, book) for name in names)):
        await until(lambda: all(pids(book, name) for name in names))
    told = [line for line in book.read_text().splitlines() if "told" in line]
    assert told == [f"{name} told SIGTERM" for name in reversed(names)]


async def test_a_part_that_will_not_stop_is_killed_after_its_grace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = tmp_path / "book"
    async with supervised(part("stubborn", book, obeys=False, grace=0.2)):
        [pid] = await until(lambda: pids(book, "stubborn"))
    assert not is_alive(pid)
    assert "a part did not stop in time and is killed" in caplog.messages


async def test_a_stop_between_two_starts_does_not_wait_for_the_next(tmp_path: Path) -> None:
    gone = Part(name="gone", argv=[str(tmp_path / "no-such-program")])
    async with asyncio.timeout(patience(5)), supervised(gone, gone) as stop:
        stop.set()


async def test_a_cancelled_supervisor_leaves_nothing_running(tmp_path: Path) -> None:
    book = tmp_path / "book"
    task = asyncio.create_task(supervise([part("worker", book)], asyncio.Event()))
    [pid] = await until(lambda: pids(book, "worker"))
    task.cancel()
    await asyncio.wait([task])
    await until(lambda: not is_alive(pid))


async def test_ctrl_c_in_the_terminal_reaches_no_part(tmp_path: Path) -> None:
    book = tmp_path / "book"
    async with supervised(part("worker", book)):
        [pid] = await until(lambda: pids(book, "worker"))
        assert os.getsid(pid) == pid != os.getsid(0)


async def test_parts_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    book = tmp_path / "book"
    argv = [sys.executable, "-c", SUPERVISOR, PART, "part", "does not", str(book)]
    supervisor = await asyncio.create_subprocess_exec(*argv)
    [pid] = await until(lambda: pids(book, "part"))
    supervisor.kill()
    await supervisor.wait()
    await until(lambda: not is_alive(pid), within=2)


async def test_a_part_whose_supervisor_is_gone_before_it_begins_does_not_begin() -> None:
    argv = [sys.executable, "-ISc", TETHER, "1", "echo", "begun"]
    orphan = await asyncio.create_subprocess_exec(
        *argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    said, complaint = await orphan.communicate()
    assert (said, complaint) == (b"", b"the supervisor is gone\n")
