"""Two canaries fly through a whole system, printed in every form: nobody hears of them again."""

import asyncio
import contextlib
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from executor.masks import forms
from executor.secret_files import PLACES
from tests.support.postgres import Databases
from tests.support.system import PROCESSION, Asking, System, a_system, pids

pytestmark = pytest.mark.anyio

NEST = "nobody-minds-this"  # printed beside the canaries: where this is found, they would be
WORD = "::procession::"

SING = """
import base64, html, json, os, sys, urllib.parse as url
key = open(os.environ["KEY"]).read()
for song in (os.environ["PW"], key, *key.splitlines()):
    data = song.encode()
    for said in (
        song, repr(song), json.dumps({"x": song}), json.dumps(json.dumps([song])),
        url.quote(song), url.quote_plus(song, safe=""), html.escape(song), data.hex(),
        base64.b64encode(data).decode(), base64.encodebytes(b"a" + data).decode(),
        base64.urlsafe_b64encode(b"ab" + data + b"c").decode(),
    ):
        print("nobody-minds-this", said)
        print("nobody-minds-this", said, file=sys.stderr)
    for letter in song[:40]:
        print(letter, end="", flush=True)
    print(f" {song}", flush=True)
word = "::procession::"
told = {"text": song, "status": "nobody-minds-this", "labels": {"l": song}, "outputs": {"o": song}}
print(word, json.dumps(told))
escaped = "".join(f"\\\\u{ord(each):04x}" for each in os.environ["PW"])
with open(os.environ["PROCESSION_OUTPUT"], "w") as out:
    out.write('{"written": "nobody-minds-this %s"}\\nplain=%s\\n' % (escaped, os.environ["PW"]))
with open("left", "w") as left:
    left.write("nobody-minds-this " + key + os.environ["PW"])
print(word, json.dumps({"files": [{"path": "left", "name": "of " + os.environ["PW"]}]}))
"""


SONG = """
def sing(token, words):
    print("nobody-minds-this", token, words)
    return {"nest": "nobody-minds-this", token: [token, words]}


def cry(token):
    raise ValueError("nobody-minds-this " + token)
"""


def a_canary() -> str:
    """With something in it that each way of writing writes otherwise."""
    return f"{secrets.token_urlsafe(9)}/'\"<&> %+\\é{secrets.token_urlsafe(9)}"


def a_key() -> str:
    lines = [secrets.token_urlsafe(48) for _ in range(8)]
    return "\n".join(["-----BEGIN CANARY-----", *lines, "-----END CANARY-----", ""])


def songs(*canaries: str) -> frozenset[bytes]:
    """What must be nowhere. Lines that begin or end a key are no secret, and everybody's."""
    found = {form for canary in canaries for form in forms(canary)}
    common = {
        form for line in ("-----BEGIN CANARY-----", "-----END CANARY-----") for form in forms(line)
    }
    return frozenset(found - common)


def heard(canaries: Iterable[bytes], where: bytes) -> list[bytes]:
    return [each for each in canaries if each in where]


def put(system: System, name: str, value: str, *grants: str) -> None:
    """As people do: by the standard input."""
    options = [word for type in grants for word in ("--grant", type)]
    done = subprocess.run(
        [*PROCESSION, "secrets", "set", name, *options],
        input=value.encode(),
        env=system.asker,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def output_of(system: System, line: str) -> bytes:
    done = system.cli(*line.split())
    assert done.returncode == 0, done.stderr
    return done.stdout


def a_dump(system: System) -> dict[str, bytes]:
    """Every table as it is, bytes as bytes."""
    dump = {}
    with psycopg.connect(system.environment["PROCESSION_DATABASE_URL"]) as conn:
        tables = conn.execute(
            "select relname from pg_class"
            " where relkind = 'r' and relnamespace = 'public'::regnamespace"
        ).fetchall()
        for (table,) in tables:
            statement = SQL("copy {} to stdout (format binary)").format(Identifier(table))
            with conn.cursor().copy(statement) as copy:
                dump[table] = b"".join(bytes(block) for block in copy)
    return dump


def files_below(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if file.is_file():
                yield file, file.read_bytes()


def left_in_memory() -> Iterator[tuple[Path, bytes]]:
    for place in PLACES:
        for folder in Path(place).glob("procession-*"):
            yield from files_below(folder)


def command_lines() -> bytes:
    found = []
    for pid in pids():
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes())
    return b"\n".join(found)


@contextlib.asynccontextmanager
async def watching(canaries: Iterable[bytes], folder: Path) -> AsyncIterator[list[bytes]]:
    """Command lines of all processes and the spool, again and again while something goes on."""
    caught: list[bytes] = []

    async def look() -> None:
        while True:
            caught.extend(heard(canaries, command_lines()))
            for file, data in files_below(folder):
                if file.name != "left" and file.parent.name != "said":  # the command's own
                    caught.extend(heard(canaries, data))
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    try:
        yield caught
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking


async def everything_said(api: Asking, runs: Iterable[str]) -> bytes:
    """All that the API tells of these runs, and of what they are made of."""
    paths = [
        "/runs",
        "/secrets",
        "/audit",
        "/history",
        "/dead-letters",
        "/process-types",
        "/workers",
        "/statistics",
        "/secret-keys",
        "/process-types/choir",
    ]
    for run in runs:
        paths += [f"/runs/{run}", f"/runs/{run}/tasks", f"/runs/{run}/events", f"/runs/{run}/why"]
        for task in (await api.get(f"/runs/{run}/tasks"))["items"]:
            below = f"/runs/{run}/tasks/{task['name']}"
            paths += [below, f"{below}/attempts"]
            for attempt in (await api.get(f"{below}/attempts"))["items"]:
                paths.append(f"{below}/attempts/{attempt['number']}/output")
    answers = [await api.http.get(path) for path in paths]
    return b"\n".join(answer.content for answer in answers)


async def test_canaries_are_heard_nowhere_but_in_their_commands(
    databases: Databases, tmp_path: Path
) -> None:
    password, key, foreign = a_canary(), a_key(), a_canary()
    canaries = songs(password, key, foreign)
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    (work / "sing.py").write_text(SING)
    (work / "song.py").write_text(SONG)
    token, words = "${{ secrets['db/password'] }}", ["as ${{ secrets['deploy-key'] }} says"]
    sung = {"call": "song:sing", "args": {"token": token, "words": words}}
    cried = {"call": "song:cry", "args": {"token": token}}
    asked = {"secrets": {"PW": "db/password"}, "secret_files": {"KEY": "deploy-key"}}
    sing = {"run": ["python3", "-I", "sing.py"], "cwd": str(work), **asked}
    hold = 'echo "begun $PW"; until [ -e go ]; do sleep 0.05; done; echo "nobody-minds-this $PW"'
    choir = {
        "name": "choir",
        "queue": "nest",
        "tasks": [
            {"name": "sing", **sing},
            {"name": "hold", "shell": hold, "cwd": str(work), **asked},
            {"name": "call", "python": sung, "cwd": str(work)},
            {"name": "cry", "python": cried, "cwd": str(work), "on_failure": "continue"},
            {"name": "fail", "shell": 'echo "$PW" >&2; cat "$KEY" >&2; exit 3', **asked},
        ],
    }
    thief = {
        "name": "thief",
        "queue": "nest",
        "tasks": [{"name": "it", "shell": 'echo "$X"', "secrets": {"X": "foreign"}}],
    }
    with a_system(databases, tmp_path) as system:
        put(system, "db/password", password, "choir")
        put(system, "deploy-key", key, "choir", "another")
        put(system, "foreign", foreign, "choir")
        async with (
            system.asking() as api,
            system.worker("nest") as worker,
            watching(canaries, tmp_path / "data") as caught,
        ):
            await api.publish(choir)
            await api.publish(thief)
            run = str((await api.post("/runs", {"type": "choir"}))["id"])
            stolen = str((await api.post("/runs", {"type": "thief"}))["id"])
            await begun(api, run, "hold")
            await worker.killed()
            (work / "go").touch()
            assert (await api.ended(run))["status"] == "FAILED"
            assert (await api.ended(stolen))["status"] == "FAILED"

            tasks = {t["name"]: t for t in (await api.get(f"/runs/{run}/tasks"))["items"]}
            ended = {name: task["status"] for name, task in tasks.items()}
            assert ended == {
                "sing": "COMPLETED",
                "hold": "COMPLETED",
                "call": "COMPLETED",
                "cry": "FAILED",
                "fail": "FAILED",
            }
            assert tasks["sing"]["output"]["written"] == f"{NEST} ***"
            assert tasks["call"]["output"] == {"nest": NEST, "***": ["***", ["as *** says"]]}
            assert tasks["cry"]["error"] == f"ValueError: {NEST} ***"
            refused = await api.task(stolen)
            assert "secret 'foreign' is not granted to the type 'thief'" in refused["error"]
            assert "grant" in refused["error"]
            said = await everything_said(api, [run, stolen])
            shown = b"".join(
                output_of(system, line)
                for line in (f"show {run}", f"logs {run}", "secrets", "secrets show db/password")
            )
            assert caught == []
        dump = a_dump(system)
        assert NEST.encode() in said
        assert NEST.encode() in shown
        assert {"secrets", "secret_cells", "audit"} <= dump.keys()
        assert [table for table, data in dump.items() if NEST.encode() in data] != []
        assert heard(canaries, said + shown) == []
        assert {
            table: heard(canaries, data) for table, data in dump.items() if heard(canaries, data)
        } == {}
        left = {
            file: heard(canaries, data)
            for file, data in files_below(tmp_path)
            if file.parent != work
        }
        assert {file: found for file, found in left.items() if found} == {}
        assert (tmp_path / "serve.log").exists()
        assert (tmp_path / "nest.log").exists()
        assert heard(canaries, command_lines()) == []
    assert not [file for file, data in left_in_memory() if heard(canaries, data)]


async def begun(api: Asking, run: str, name: str) -> None:
    path = f"/runs/{run}/tasks/{name}/attempts/1/output"
    async with asyncio.timeout(60):
        while True:
            answer = await api.http.get(path)
            if b"begun" in answer.content:
                return
            await asyncio.sleep(0.1)
