"""What commands say about themselves to a real runner: progress, outputs, files."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from executor.base import Ending, Left, Outcome
from executor.report import MOST_OUTPUT
from tests.support.runners import Client, a_runner, end_runner
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

WORD = "::procession::"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


def say(**what: Any) -> str:
    return f"echo '{WORD} {json.dumps(what)}'"


async def ended(client: Client, script: str, **options: Any) -> Outcome:
    return (await client.run("it.1", "sh", "-c", script, **options)).outcome


def notes(outcome: Outcome) -> list[str]:
    assert outcome.detail is not None
    return list(outcome.detail.get("notes", ()))


async def test_what_is_said_goes_along_with_the_end_and_stays_in_the_log(tmp_path: Path) -> None:
    script = f"echo before; {say(progress=0.5, outputs={'rows': 3})}; echo after >&2"
    async with a_runner(tmp_path) as client:
        outcome = await ended(client, script)
        assert (outcome.ending, outcome.output) == (Ending.SUCCEEDED, '{"rows":3}')
        assert outcome.detail is not None
        assert outcome.detail["progress"] == {"progress": 0.5}
        assert WORD.encode() in client.output("it.1")


async def test_stderr_may_say_it_as_well_and_only_stdout_is_output(tmp_path: Path) -> None:
    script = f"echo shown; {say(status='busy')}; {say(labels={'a': 'b'})} >&2; echo hidden >&2"
    async with a_runner(tmp_path) as client:
        outcome = await ended(client, script, output="text")
        assert json.loads(outcome.output or "") == "shown"
        assert outcome.detail is not None
        assert outcome.detail["progress"] == {"status": "busy", "labels": {"a": "b"}}


async def test_progress_is_told_while_a_command_runs_and_again_to_its_next_client(
    tmp_path: Path,
) -> None:
    async with a_runner(tmp_path) as client:
        client.script("it.1", f"{say(progress=0.25, text='first')}; sleep 60")
        await client.told("it.1", progress=0.25, text="first")
        await client.link.close()
        second = await Client(client.spool).connect()
        await second.told("it.1", progress=0.25, text="first")
        second.link.kill("it.1")
        outcome = (await second.end("it.1")).outcome
        assert outcome.ending is Ending.STOPPED
        assert outcome.detail is not None
        assert outcome.detail["progress"] == {"progress": 0.25, "text": "first"}
        await second.link.close()


COUNT = f"""
import sys, time
end = time.monotonic() + 2.5
while time.monotonic() < end:
    for n in range(100):
        print('{WORD} {{"progress": %.2f}}' % (n / 100))
    sys.stdout.flush()
"""


async def test_a_command_that_reports_without_pause_is_told_of_once_a_second(
    tmp_path: Path,
) -> None:
    async with a_runner(tmp_path) as client:
        begun = time.monotonic()
        outcome = (await client.run("it.1", "python3", "-c", COUNT)).outcome
        took = time.monotonic() - begun
        assert outcome.ending is Ending.SUCCEEDED
        assert 1 <= len(client.progress["it.1"]) <= took + 1
        assert "came too fast" in notes(outcome)[-1]


async def test_json_on_stdout_is_the_output_and_what_is_none_fails_for_good(tmp_path: Path) -> None:
    async with a_runner(tmp_path) as client:
        good = await client.run("good.1", "echo", '{"a": [1, 2]}', output="json")
        assert good.outcome.output == '{"a":[1,2]}'
        bad = (await client.run("bad.1", "echo", '{"a": nope}', output="json")).outcome
        assert (bad.ending, bad.exit_code, bad.retryable) == (Ending.FAILED, 0, False)
        assert bad.error == "output: stdout is not JSON: Expecting value (line 1, column 7)"
        failed = await client.run("failed.1", "sh", "-c", "echo no; exit 3", output="json")
        assert failed.outcome.error == "exit code 3"
        assert failed.outcome.retryable


async def test_the_output_file_is_read_at_the_end_and_then_gone(tmp_path: Path) -> None:
    script = """
    test ! -e "$PROCESSION_OUTPUT" || exit 9
    echo name=value >> "$PROCESSION_OUTPUT"; echo '{"rows": [1]}' >> "$PROCESSION_OUTPUT"
    echo "$PROCESSION_OUTPUT"
    """
    async with a_runner(tmp_path) as client:
        outcome = await ended(client, script)
        assert outcome.output == '{"name":"value","rows":[1]}'
        assert not is_there(client.output("it.1").strip())
        wrong = (await client.run("b.1", "sh", "-c", "echo x > $PROCESSION_OUTPUT")).outcome
        assert wrong.ending is Ending.FAILED
        assert wrong.error == "output file, line 1: KEY=VALUE or a JSON object is expected"
        own = await client.run(
            "c.1", "sh", "-c", "echo $PROCESSION_OUTPUT", env={"PROCESSION_OUTPUT": "/etc/motd"}
        )
        assert own.outcome.ending is Ending.SUCCEEDED
        assert b"/etc/motd" not in client.output("c.1")


@pytest.mark.parametrize(
    "script",
    [
        'ln -s /etc/passwd "$PROCESSION_OUTPUT"',
        'mkfifo "$PROCESSION_OUTPUT"',
        'mkdir "$PROCESSION_OUTPUT"',
        'touch x; ln x "$PROCESSION_OUTPUT"',
    ],
)
async def test_an_output_file_that_is_none_is_not_followed(tmp_path: Path, script: str) -> None:
    (tmp_path / "work").mkdir()
    async with a_runner(tmp_path) as client:
        outcome = await ended(client, script, cwd=str(tmp_path / "work"))
        assert outcome.ending is Ending.SUCCEEDED
        assert outcome.output is None
        assert "the output file was not read" in notes(outcome)[0]


async def test_an_output_file_without_end_costs_no_more_than_its_limit(tmp_path: Path) -> None:
    script = f'head -c {MOST_OUTPUT * 4} /dev/zero > "$PROCESSION_OUTPUT"'
    async with a_runner(tmp_path) as client:
        outcome = await ended(client, script)
        assert outcome.error == f"the output file is larger than {MOST_OUTPUT} bytes"


def content(left: Left) -> bytes:
    return Path(left.path).read_bytes()


def is_there(path: str | bytes) -> bool:
    return os.path.exists(path)


def kept(outcome: Outcome) -> dict[str, Left]:
    return {each.name: each for each in outcome.files}


async def test_files_are_kept_until_the_end_is_acknowledged(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    script = f"""
    mkdir out; echo a,b > out/a.csv; printf x > b
    {say(files=["out/a.csv", {"path": "./b", "name": "report", "type": "text/plain"}])}
    exit 1
    """
    async with a_runner(tmp_path) as client:
        outcome = await ended(client, script, cwd=str(work))
        assert outcome.ending is Ending.FAILED
        left = kept(outcome)
        assert left["out/a.csv"].digest == sha256(b"a,b\n").hexdigest()
        assert (left["report"].size, left["report"].type) == (1, "text/plain")
        (work / "out" / "a.csv").unlink()
        assert content(left["out/a.csv"]) == b"a,b\n"
        client.link.acknowledge(["it.1"])
        await until(lambda: not any(is_there(each.path) for each in left.values()))


async def test_files_outlive_their_runner(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    async with a_runner(tmp_path) as client:
        await ended(client, f"echo kept > a; {say(files='a')}", cwd=str(work))
        await end_runner(client)
        async with a_runner(tmp_path) as again:
            left = kept((await again.end("it.1")).outcome)
            assert content(left["a"]) == b"kept\n"


HOSTILE = """
ln -s /etc/passwd link; ln -s /etc linked; mkfifo pipe; mkdir folder; touch one; ln one two
ln -s /proc/self/root root; dd if=/dev/zero of=large bs=1024 count=2000 2> /dev/null
"""
REFUSED = ["link", "linked/passwd", "pipe", "folder", "two", "root/etc/passwd", "large", "gone"]


async def test_nothing_outside_of_the_working_folder_is_kept(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    script = f"{HOSTILE}\n{say(files=REFUSED)}\n{say(files=['../spool/journal', '/etc/passwd'])}"
    async with a_runner(tmp_path) as client:
        outcome = await ended(client, script, cwd=str(work), files_cap=1 << 20)
        assert outcome.ending is Ending.SUCCEEDED
        assert outcome.files == ()
        for name in REFUSED:
            assert any(note.startswith(f"file {name} was not kept: ") for note in notes(outcome))
        assert "larger than the 1048576 bytes" in "".join(notes(outcome))
        assert os.listdir(client.spool / "out") == []


async def test_a_command_without_a_folder_of_its_own_leaves_no_files(tmp_path: Path) -> None:
    async with a_runner(tmp_path) as client:
        for key, cwd in (("a.1", None), ("b.1", "/"), ("c.1", "/tmp/..")):
            end = await client.run(key, "sh", "-c", say(files="etc/passwd"), cwd=cwd)
            assert end.outcome.files == ()
            assert "has no working folder of its own" in notes(end.outcome)[0]


async def test_secrets_are_hidden_in_all_that_is_reported(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    script = f"""
    echo '{WORD} {{"outputs": {{"a": "'$KEY'"}}, "status": "'$KEY'", "labels": {{"l": "'$KEY'"}}}}'
    echo "b=$KEY" > "$PROCESSION_OUTPUT"; echo "$KEY" > file; {say(files="file")}
    """
    async with a_runner(tmp_path) as client:
        outcome = await ended(client, script, cwd=str(work), secrets={"KEY": "hunter2hunter2"})
        assert outcome.output == '{"a":"***","b":"***"}'
        assert "hunter2" not in repr(outcome)
        assert content(outcome.files[0]) == b"***\n"


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that another user may write to, with a file that this one may not read."""
    folder = Path(tempfile.mkdtemp(prefix="shared-"))
    folder.chmod(0o777)
    (folder / "secret").touch(mode=0o600)
    yield folder
    shutil.rmtree(folder)


@needs_root
async def test_a_command_of_another_user_has_an_output_file_and_leaves_only_what_is_its_own(
    tmp_path: Path, shared: Path
) -> None:
    script = f"""
    echo user=$(id -un) > "$PROCESSION_OUTPUT"; echo mine > mine
    {say(files=["mine", "secret"])}; dirname "$PROCESSION_OUTPUT"
    """
    async with a_runner(tmp_path) as client:
        outcome = await ended(client, script, cwd=str(shared), user="nobody")
        assert outcome.output == '{"user":"nobody"}'
        assert list(kept(outcome)) == ["mine"]
        assert "does not belong to the command's user" in notes(outcome)[0]
        place = client.output("it.1").decode().splitlines()[-1]
        assert not is_there(place)
        assert is_there(os.path.dirname(place))
    async with a_runner(tmp_path):
        assert not is_there(os.path.dirname(place))
