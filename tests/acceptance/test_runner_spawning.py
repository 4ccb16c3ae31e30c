"""What a command finds when it begins, and what becomes of one that cannot begin."""

import asyncio
import json
import os
import resource
import sys
from pathlib import Path

import pytest

from executor.base import Ending, Limits
from executor.link import ensure_runner
from tests.support.runners import Client, a_runner, end_runner, processes_of

pytestmark = pytest.mark.anyio

STANDARD_SIGNALS = (1 << 31) - 1
SHOW = "import json,os,sys; print(json.dumps(%s))"


def python(expression: str) -> tuple[str, ...]:
    return sys.executable, "-I", "-S", "-c", SHOW % expression


@pytest.fixture
def files(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    (tmp_path / "plain").write_text("no program")
    for name, text in (("headless", "\x01\x02\x03"), ("orphan", "#!/no/such/interpreter\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "options", "said"),
    [
        (("no-such-program",), {}, "not found along PATH"),
        (("{}/missing",), {}, "ENOENT"),
        (("{}/plain",), {}, "EACCES"),
        (("plain",), {"env": {"PATH": "{}"}}, "not executable"),
        (("{}/folder",), {}, "a folder, not a program"),
        (("{}/plain/below",), {}, "ENOTDIR"),
        (("{}/headless",), {}, "ENOEXEC"),
        (("{}/orphan",), {}, "interpreter"),
        (("",), {}, "not found"),
        (("true", "x" * (128 << 10)), {}, "E2BIG"),
        (("true", "nul\0nul"), {}, "null byte"),
        (("nul\0",), {}, "null byte"),
        (("true", "\ud800"), {}, "UTF-8"),
        (("true",), {"env": {"A=B": "c"}}, "'='"),
        (("true",), {"env": {"": "c"}}, "empty"),
        (("true",), {"env": {"A": "\0"}}, "null byte"),
        (("true",), {"cwd": "{}/missing"}, "working folder"),
        (("true",), {"cwd": "{}/plain"}, "ENOTDIR"),
        (("true",), {"cwd": "a\0b"}, "null"),
        (("true",), {"user": "nobody-knows-me"}, "no"),
        (("true",), {"stdin": "\ud800"}, "UTF-8"),
    ],
)
@pytest.mark.parametrize("limits", [None, Limits(open_files=400)], ids=["plain", "prepared"])
async def test_a_command_that_cannot_begin_ends_for_good_and_says_why(
    files: Path,
    argv: tuple[str, ...],
    options: dict[str, object],
    said: str,
    limits: Limits | None,
) -> None:
    filled = json.loads(json.dumps([argv, options]).replace("{}/", f"{files}/"))
    if "env" in filled[1] and filled[1]["env"].get("PATH") == "{}":
        filled[1]["env"]["PATH"] = str(files)
    async with a_runner(files) as client:
        ended = await client.run("bad.1", *filled[0], limits=limits, **filled[1])
        after = await client.run("good.1", "true")
    assert ended.outcome.ending is Ending.FAILED
    assert not ended.outcome.retryable
    assert ended.outcome.counted
    assert said in (ended.outcome.error or "")
    assert after.outcome.ending is Ending.SUCCEEDED


async def test_a_lack_of_descriptors_may_pass_and_is_worth_another_try(tmp_path: Path) -> None:
    async with a_runner(tmp_path) as client:
        pid = client.link.hello.pid
        used = len(os.listdir(f"/proc/{pid}/fd"))
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 1, before[1]))
        ended = await client.run("a.1", "true")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        again = await client.run("a.2", "true")
    assert "EMFILE" in (ended.outcome.error or "")
    assert ended.outcome.retryable
    assert again.outcome.ending is Ending.SUCCEEDED


async def test_the_environment_is_built_from_nothing(tmp_path: Path) -> None:
    os.environ["PROCESSION_SECRET_OF_THE_WORKER"] = "x"
    try:
        async with a_runner(tmp_path) as client:
            ended = await client.run("a.1", *python("dict(os.environ)"), env={"MINE": "1=2"})
    finally:
        del os.environ["PROCESSION_SECRET_OF_THE_WORKER"]
    found = json.loads(client.output("a.1"))
    assert ended.outcome.exit_code == 0
    assert set(found) - {"LC_CTYPE"} == {
        "PATH",
        "LANG",
        "MINE",
        "PROCESSION_ATTEMPT",
        "PROCESSION_OUTPUT",
    }
    assert found["MINE"] == "1=2"
    assert found["PROCESSION_ATTEMPT"] == "a.1"


async def test_a_command_inherits_the_standard_descriptors_and_the_tie_alone(
    tmp_path: Path,
) -> None:
    async with a_runner(tmp_path) as client:
        for limits in (None, Limits(open_files=999)):
            key = f"a.{limits is None}"
            await client.run(key, "sh", "-c", "ls /proc/$$/fd", limits=limits)
            assert client.output(key).split() == [b"0", b"1", b"198", b"2"]


async def test_a_command_has_a_session_a_mask_and_signals_of_its_own(tmp_path: Path) -> None:
    show = "[os.getsid(0)==os.getpid(), os.getpgid(0)==os.getpid(), os.umask(0), os.getcwd()]"
    async with a_runner(tmp_path) as client:
        await client.run("a.1", *python(show))
        await client.run("b.1", "grep", "^Sig[BI]", "/proc/self/status")
    assert json.loads(client.output("a.1")) == [True, True, 0o077, "/"]
    masks = [int(line.split()[1], 16) for line in client.output("b.1").splitlines()]
    assert [mask & STANDARD_SIGNALS for mask in masks] == [0, 0]


async def test_standard_input_is_nothing_or_the_given_text(tmp_path: Path) -> None:
    text = "a line\nü" * 100_000
    async with a_runner(tmp_path) as client:
        nothing = await client.run("a.1", "cat")
        await client.run("b.1", "sha256sum", stdin=text)
        await client.run("c.1", "wc", "-c", stdin=text, limits=Limits(open_files=300))
    assert nothing.size == 0
    assert int(client.output("c.1")) == len(text.encode())


async def test_limits_hold_from_the_first_instruction(tmp_path: Path) -> None:
    limits = Limits(cpu_seconds=9, memory_bytes=1 << 30, open_files=333, processes=77, file_bytes=5)
    script = "ulimit -t; ulimit -v; ulimit -n; ulimit -f; ulimit -c"
    async with a_runner(tmp_path) as client:
        await client.run("a.1", "sh", "-c", script, limits=limits)
        spent = await client.run(
            "b.1", "sh", "-c", "while :; do :; done", limits=Limits(cpu_seconds=1)
        )
    assert client.output("a.1").split() == [b"9", b"1048576", b"333", b"0", b"0"]
    assert "CPU time limit" in (spent.outcome.error or "") or spent.outcome.exit_code == 137


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
async def test_a_command_may_run_as_another_user_without_a_way_back(tmp_path: Path) -> None:
    show = "[os.getuid(), os.geteuid(), os.getgroups(), os.environ['USER']]"
    async with a_runner(tmp_path) as client:
        await client.run("a.1", "/usr/bin/env", "python3", "-c", SHOW % show, user="nobody")
        await client.run("b.1", "grep", "NoNewPrivs", "/proc/self/status", user="nobody")
    uid, euid, groups, name = json.loads(client.output("a.1"))
    assert uid == euid != 0
    assert 0 not in groups
    assert name == "nobody"
    assert client.output("b.1").split()[1] == b"1"


async def test_secrets_of_a_worker_are_not_in_the_runners_environment(tmp_path: Path) -> None:
    os.environ["PROCESSION_DATABASE_URL"] = "canary-8e2f"
    try:
        async with a_runner(tmp_path) as client:
            await client.run("a.1", "true")
            assert client.link.hello.pid not in processes_of("canary-8e2f")
    finally:
        del os.environ["PROCESSION_DATABASE_URL"]


async def test_more_starts_than_slots_wait_in_order_of_arrival(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    async with a_runner(tmp_path, slots=1) as client:
        for number in range(20):
            client.script(f"n{number}.1", f"echo {number} >> {ledger}")
        await client.end("n19.1")
    assert ledger.read_text().split() == [str(number) for number in range(20)]


async def test_a_start_that_is_said_twice_happens_once(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    async with a_runner(tmp_path) as client:
        for _ in range(3):
            client.script("a.1", f"echo x >> {ledger}")
        await client.end("a.1")
        client.script("a.1", f"echo x >> {ledger}")
        await client.run("b.1", "true")
    assert ledger.read_text() == "x\n"
    assert client.tellings == ["a.1", "b.1"]


async def test_two_who_ask_for_a_runner_at_once_get_the_same(tmp_path: Path) -> None:
    spool = tmp_path.joinpath(*["deep" * 10] * 4)
    await asyncio.gather(*(ensure_runner(spool) for _ in range(4)))
    client = await Client(spool).connect()
    await ensure_runner(spool)
    other = await Client(spool).connect()
    assert client.link.hello.incarnation == other.link.hello.incarnation
    await client.link.wait_closed()
    await end_runner(other)


async def test_a_lack_of_processes_may_pass_and_leaves_nothing_open(tmp_path: Path) -> None:
    """Only a plain user is held to the limit on processes."""
    if os.geteuid() == 0:
        pytest.skip("root is not held to the limit on processes")
    async with a_runner(tmp_path) as client:
        pid = client.link.hello.pid
        await client.run("a.1", "true")
        before = len(os.listdir(f"/proc/{pid}/fd"))
        most = resource.prlimit(pid, resource.RLIMIT_NPROC)
        resource.prlimit(pid, resource.RLIMIT_NPROC, (0, most[1]))
        for limits in (None, Limits(open_files=300)):
            ended = await client.run(f"b.{limits is None}", "true", limits=limits)
            assert "EAGAIN" in (ended.outcome.error or "")
            assert ended.outcome.retryable
        resource.prlimit(pid, resource.RLIMIT_NPROC, most)
        after = await client.run("c.1", "true")
        assert len(os.listdir(f"/proc/{pid}/fd")) == before
    assert after.outcome.ending is Ending.SUCCEEDED
