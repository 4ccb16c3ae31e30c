"""Secrets in a real runner: a command finds them, nobody else does, and nothing of them stays."""

import base64
import glob
import json
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.base import Ending
from executor.link import ensure_runner
from executor.secret_files import PLACES
from tests.support.runners import Client, a_runner, all_gone, end_runner, parent_of
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

FORMS = 'echo "$PW"; echo -n "$PW" | base64; echo -n "$PW" | od -An -tx1 | tr -d " \\n"; echo'
SLOWLY = 'for c in $(echo "$PW" | fold -w1); do printf %s "$c"; sleep 0.01; done; echo .'


@pytest.fixture
def secret() -> str:
    return secrets.token_urlsafe(18)


@pytest.fixture
def pem() -> str:
    lines = [secrets.token_urlsafe(48) for _ in range(30)]
    return "\n".join(["-----BEGIN KEY-----", *lines, "-----END KEY-----", ""])


def folders(spool: Path) -> set[str]:
    """What the runner of this spool, and no other, keeps for commands."""
    facts = spool.stat()
    rooms = f"procession-{facts.st_dev:x}-{facts.st_ino:x}-*"
    return {found for place in PLACES for found in glob.glob(f"{place}/{rooms}/*")}


def is_there(path: Path | str) -> bool:
    return Path(path).exists()


def everything_in(folder: Path) -> Iterator[bytes]:
    for file in (folder, *folder.rglob("*")):
        if file.is_file():
            yield file.read_bytes()


async def test_a_command_finds_a_secret_in_its_environment_and_its_output_shows_stars(
    tmp_path: Path, secret: str
) -> None:
    async with a_runner(tmp_path) as client:
        await client.run("a.1", "sh", "-c", f"{FORMS}; ({FORMS}) >&2", secrets={"PW": secret})
        assert client.output("a.1", "out") == b"***\n***\n***\n"
        assert client.output("a.1", "err") == b"***\n***\n***\n"
        assert client.has_no_gap("a.1")


async def test_a_secret_printed_letter_by_letter_is_hidden_as_well(
    tmp_path: Path, secret: str
) -> None:
    async with a_runner(tmp_path) as client:
        await client.run("a.1", "sh", "-c", SLOWLY, secrets={"PW": secret})
        assert client.output("a.1") == b"***.\n"


async def test_a_secret_file_is_the_commands_alone_and_gone_when_it_ends(
    tmp_path: Path, pem: str
) -> None:
    look = 'stat -c %a "$KEY" "$(dirname "$KEY")"; cmp "$KEY" - && echo same'
    show = f'echo "$KEY"; {look}; cat "$KEY"'
    async with a_runner(tmp_path) as client:
        ended = await client.run(
            "a.1", "sh", "-c", show, secret_files={"KEY": pem}, stdin=pem, masks=[pem]
        )
        assert ended.outcome.ending is Ending.SUCCEEDED
        place, *said = client.output("a.1").decode().splitlines()
        assert said == ["600", "700", "same", "***"]
        assert not is_there(place)
        assert folders(client.spool) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run commands as another user")
async def test_a_command_of_another_user_can_read_its_secret_file_and_no_others(
    tmp_path: Path, pem: str
) -> None:
    async with a_runner(tmp_path) as client:
        client.script("a.1", 'echo "$KEY" >&2; sleep 60', secret_files={"KEY": pem}, user="daemon")
        await client.printed("a.1", b"\n")
        path = client.output("a.1").decode().strip()
        await client.run("a.2", "cat", path, user="nobody")
        assert b"Permission denied" in client.output("a.2", "err")
        room = str(Path(path).parent.parent)
        await client.run("a.3", "ls", room, user="nobody")
        assert b"Permission denied" in client.output("a.3", "err")
        ended = await client.run(
            "a.4", "sh", "-c", 'wc -l < "$KEY"', secret_files={"KEY": pem}, user="nobody"
        )
        assert ended.outcome.ending is Ending.SUCCEEDED
        assert client.output("a.4").strip() == str(pem.count("\n")).encode()


async def test_what_a_command_reports_is_masked_even_where_json_escapes_hide_a_secret(
    tmp_path: Path, secret: str
) -> None:
    """In progress, outputs, labels, the output file, and a file that is left."""
    escaped = "".join(f"\\u{ord(each):04x}" for each in secret)
    said = '{"text": "X", "progress": 0.5, "labels": {"l": "X"}, "outputs": {"o": ["X", {"X": 1}]}}'
    script = f"""
        echo '::procession:: {said.replace("X", escaped)}'
        echo '::procession:: {said.replace("X", secret)}'
        echo '{{"written": "{escaped}", "plain": "{secret}"}}' > "$PROCESSION_OUTPUT"
        echo {secret} > left; echo '::procession:: {{"files": [{{"path": "left"}}]}}'
        sleep 1.2
    """
    async with a_runner(tmp_path) as client:
        client.script("a.1", script, masks=[secret], cwd=str(tmp_path))
        ended = await client.end("a.1")
        outcome = ended.outcome
        assert outcome.ending is Ending.SUCCEEDED
        told = json.dumps([outcome.output, outcome.detail, client.progress["a.1"]])
        assert secret not in told
        assert told.count("***") >= 6
        assert json.loads(outcome.output or "")["written"] == "***"
        (left,) = outcome.files
        assert [*everything_in(Path(left.path))] == [b"***\n"]


async def test_masks_stay_when_the_worker_goes_and_another_comes(
    tmp_path: Path, secret: str
) -> None:
    go = tmp_path / "go"
    script = f'echo "begin $PW"; until [ -e {go} ]; do sleep 0.02; done; echo "end $PW"'
    async with a_runner(tmp_path) as client:
        client.script("a.1", script, secrets={"PW": secret})
        await client.printed("a.1", b"begin ***\n")
        await client.link.close()
        after = await Client(tmp_path / "spool").connect({"a.1": len(b"begin ***\n")})
        go.touch()
        await after.end("a.1")
        assert after.output("a.1") == b"end ***\n"
        await after.link.close()


async def test_nothing_of_a_secret_lies_in_the_spool_whatever_its_state(
    tmp_path: Path, secret: str, pem: str
) -> None:
    """Running, waiting for a slot, ended and not acknowledged, with output that went to disk."""
    async with a_runner(tmp_path, slots=1) as client:
        given = {"secrets": {"PW": secret}, "secret_files": {"KEY": pem}}
        flood = 'i=0; while [ $i -lt 6000 ]; do echo "$PW and more of it"; i=$((i+1)); done'
        await client.run("a.1", "sh", "-c", f'{flood}; cat "$KEY"', **given)
        client.script("a.2", 'cat "$KEY"; echo "$PW"; sleep 60', **given)
        client.script("a.3", "sleep 60", **given)
        await client.printed("a.2", b"***\n")
        looked_at = b"".join(everything_in(tmp_path / "spool"))
        assert b"and more of it" in looked_at
        for shown in (
            secret.encode(),
            base64.b64encode(secret.encode())[:20],
            *pem.encode().split(),
        ):
            assert shown not in looked_at
            assert shown not in client.output("a.1") + client.output("a.2")


async def test_a_killed_runners_secret_files_go_with_its_commands(tmp_path: Path, pem: str) -> None:
    async with a_runner(tmp_path) as client:
        client.script("a.1", 'echo "$KEY"; sleep 60', secret_files={"KEY": pem})
        await client.printed("a.1", b"\n")
        room = Path(client.output("a.1").decode().strip()).parent.parent
        await end_runner(client)
        await until(lambda: not is_there(room), within=2)


async def test_what_runner_and_guard_left_of_secret_files_the_next_runner_takes_away(
    tmp_path: Path, pem: str
) -> None:
    async with a_runner(tmp_path) as client:
        client.script("a.1", 'echo "$KEY"; sleep 60', secret_files={"KEY": pem})
        await client.printed("a.1", b"\n")
        left = Path(client.output("a.1").decode().strip())
        os.kill(parent_of(client.link.hello.pid), signal.SIGSTOP)
        await end_runner(client)
        os.kill(parent_of(client.link.hello.pid), signal.SIGKILL)
        assert await all_gone("PROCESSION_ATTEMPT=a.1", tmp_path)
    assert is_there(left)
    await ensure_runner(tmp_path / "spool")
    assert not is_there(left.parent.parent)
    await end_runner(await Client(tmp_path / "spool").connect())


async def test_a_runner_that_leaves_takes_its_room_with_it(tmp_path: Path, pem: str) -> None:
    async with a_runner(tmp_path) as client:
        await client.run("a.1", "sh", "-c", 'dirname "$KEY"', secret_files={"KEY": pem})
        room = Path(client.output("a.1").decode().strip()).parent
        assert is_there(room)
        client.link.acknowledge(["a.1"])
        client.link.bye(stop_commands=True)
        await client.link.wait_closed()
        await until(lambda: not is_there(room))


async def test_a_command_that_cannot_begin_leaves_no_file_and_no_word_of_its_secrets(
    tmp_path: Path, secret: str, pem: str
) -> None:
    async with a_runner(tmp_path) as client:
        ended = await client.run(
            "a.1", f"/no/{secret}", secrets={"PW": secret}, secret_files={"KEY": pem}
        )
        assert ended.outcome.error is not None
        assert ended.outcome.error.startswith("/no/***: ")
        ended = await client.run("a.2", "true", secrets={"A=B": secret})
        assert "A=B" in str(ended.outcome.error)
        ended = await client.run("a.3", "true", secrets={"A": "\ud800" + secret})
        assert "secrets" in str(ended.outcome.error)
        assert secret not in str(ended.outcome.error)
        assert folders(client.spool) == set()


async def test_a_stop_in_the_middle_of_a_secret_shows_no_more_than_was_printed(
    tmp_path: Path, secret: str
) -> None:
    async with a_runner(tmp_path) as client:
        script = f"printf %s {secret[:8]}; echo printed >&2; sleep 60"
        client.script("a.1", script, masks=[secret])
        await client.printed("a.1", b"printed\n")
        assert client.output("a.1", "out") == b""
        client.link.kill("a.1")
        await client.end("a.1")
        assert client.output("a.1", "out") == secret[:8].encode()


async def test_signals_find_a_masked_command_as_any_other(tmp_path: Path, secret: str) -> None:
    async with a_runner(tmp_path) as client:
        script = "trap 'echo \"bye $PW\"; exit 3' TERM; echo up; while :; do sleep 0.05; done"
        client.script("a.1", script, secrets={"PW": secret})
        await client.printed("a.1", b"up\n")
        client.link.stop("a.1")
        ended = await client.end("a.1")
        assert ended.outcome.ending is Ending.STOPPED
        lines = client.output("a.1").splitlines()  # a shell may tell of the sleep it lost, too
        assert b"bye ***" in lines
        assert secret.encode() not in client.output("a.1")
