"""A full disk, a lack of memory: the exit is told all the same."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.base import Ending
from executor.link import Ended
from tests.support.disks import a_small_disk, fill
from tests.support.runners import Client, a_runner

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk"),
]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with a_small_disk(tmp_path / "disk", 3) as disk:
        yield disk


async def test_output_that_finds_no_room_is_counted_and_the_exit_is_told(
    small_disk: Path,
) -> None:
    async with a_runner(small_disk) as client:
        ended = await client.run("a.1", "sh", "-c", "head -c 9000000 /dev/urandom; exit 3")
    assert ended.outcome.exit_code == 3
    assert ended.outcome.detail is not None
    assert ended.outcome.detail["dropped"] == 9_000_000 - len(client.output("a.1"))


async def run_until_refused(client: Client) -> Ended:
    """The journal's last page takes some more lines, whatever else is full."""
    for number in range(500):
        ended = await client.run(f"c{number}.1", "true")
        if ended.outcome.ending is not Ending.SUCCEEDED:
            return ended
    raise AssertionError("never refused")


async def test_on_a_full_disk_exits_are_kept_starts_refused_and_both_recover(
    small_disk: Path, tmp_path: Path
) -> None:
    async with a_runner(small_disk) as client:
        client.script("a.1", f"while ! [ -e {tmp_path}/go ]; do sleep 0.02; done; echo x; exit 3")
        await client.run("b.1", "true")
        first = fill(small_disk, "first")
        (tmp_path / "go").touch()
        ended = await client.end("a.1")
        journal = (small_disk / "spool" / "journal").read_bytes()
        second = fill(small_disk, "second")
        refused = await run_until_refused(client)
        first.unlink()
        second.unlink()
        after = await client.run("d.1", "true")
    assert ended.outcome.exit_code == 3
    assert client.output("a.1") == b"x\n"
    assert b'"key":"a.1"' in journal
    assert "disk is full" in (refused.outcome.error or "")
    assert refused.outcome.retryable
    assert after.outcome.ending is Ending.SUCCEEDED


CGROUP = Path("/sys/fs/cgroup/memory")


@pytest.mark.skipif(not (CGROUP / "memory.oom_control").exists(), reason="no memory cgroup here")
async def test_a_kill_for_want_of_memory_is_told_with_its_evidence(tmp_path: Path) -> None:
    group = CGROUP / f"procession-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(16 << 20))
        eat = f"echo $$ > {group}/tasks; exec head -c 200000000 /dev/zero | tail"
        async with a_runner(tmp_path) as client:
            ended = await client.run(
                "a.1", "sh", "-c", f"echo $$ > {group}/tasks; exec tail /dev/zero"
            )
            shell = await client.run("b.1", "sh", "-c", eat)
    finally:
        group.rmdir()
    assert ended.outcome.exit_code == 137
    assert "likely out of memory (oom_kill of" in (ended.outcome.error or "")
    assert shell.outcome.ending is Ending.FAILED
