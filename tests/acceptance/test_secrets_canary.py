"""Two canaries fly through a whole system, printed in every form: nobody hears of them again."""

import asyncio
import contextlib
import json
import secrets
import subprocess
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from executor.masks import forms
from executor.secret_files import PLACES
from tests.support.postgres import Databases
from tests.support.system import PROCESSION, Asking, System, a_system, pids

pytestmark = pytest.mark.anyio

NEST = "nobody-minds-this"  # printed beside the canaries: where this is found, they would be
NEAR = {"PROCESSION_HTTP__ALLOW_PRIVATE": '["127.0.0.0/8"]'}

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


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent, as it came and with every letter escaped."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        heard = [self.headers["authorization"], body]
        escaped = [[f"\\u{ord(each):04x}" for each in said] for said in heard]
        said = ", ".join(f'"{"".join(each)}"' for each in escaped)
        answer = f'{{"nest": "{NEST}", "heard": {json.dumps(heard)}, "again": [{said}]}}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("location", "/" + quote(heard[0]))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def an_echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


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


PASSWORD, TOKEN = "${{ secrets['db/password'] }}", "${{ secrets.token }}"
WORDS = ["as ${{ secrets['deploy-key'] }} says"]
ASKED = {"secrets": {"PW": "db/password"}, "secret_files": {"KEY": "deploy-key"}}
HOLD = 'echo "begun $PW"; until [ -e go ]; do sleep 0.05; done; echo "nobody-minds-this $PW"'
FAIL = 'echo "$PW" >&2; cat "$KEY" >&2; exit 3'
THIEF = {
    "name": "thief",
    "queue": "nest",
    "tasks": [{"name": "it", "shell": 'echo "$X"', "secrets": {"X": "foreign"}}],
}


def the_choir(work: Path, url: str) -> dict[str, Any]:
    """Every way to a secret, and every way out for it."""
    here = {"cwd": str(work)}
    ask = {
        "method": "POST",
        "url": url,
        "allow_private": True,
        "headers": {"Authorization": f"Bearer {TOKEN}"},
        "json": {"a": [PASSWORD, *WORDS]},
    }
    call = {"call": "song:sing", "args": {"token": PASSWORD, "words": WORDS}}
    cry = {"call": "song:cry", "args": {"token": PASSWORD}}
    tasks: list[dict[str, Any]] = [
        {"name": "sing", "run": ["python3", "-I", "sing.py"], **here, **ASKED},
        {"name": "hold", "shell": HOLD, **here, **ASKED},
        {"name": "ask", "http": ask},
        {"name": "call", "python": call, **here},
        {"name": "cry", "python": cry, **here, "on_failure": "continue"},
        {"name": "fail", "shell": FAIL, **ASKED},
    ]
    return {"name": "choir", "queue": "nest", "tasks": tasks}


def a_folder(parent: Path) -> Path:
    work = parent / "work"
    work.mkdir()
    (work / "sing.py").write_text(SING)
    (work / "song.py").write_text(SONG)
    return work


async def test_canaries_are_heard_nowhere_but_in_their_commands(
    databases: Databases, tmp_path: Path
) -> None:
    values = {"db/password": a_canary(), "deploy-key": a_key(), "token": secrets.token_urlsafe(16)}
    foreign, work = a_canary(), a_folder(tmp_path)
    canaries = songs(*values.values(), foreign)
    with an_echo() as url, a_system(databases, tmp_path, **NEAR) as system:
        for name, value in values.items():
            put(system, name, value, "choir", "another")
        put(system, "foreign", foreign, "choir")
        async with (
            system.asking() as api,
            system.worker("nest") as worker,
            watching(canaries, tmp_path / "data") as caught,
        ):
            await api.publish(the_choir(work, url))
            await api.publish(THIEF)
            run = str((await api.post("/runs", {"type": "choir"}))["id"])
            stolen = str((await api.post("/runs", {"type": "thief"}))["id"])
            await begun(api, run, "hold")
            await worker.killed()
            (work / "go").touch()
            assert (await api.ended(run))["status"] == "FAILED"
            assert (await api.ended(stolen))["status"] == "FAILED"
            await everybody_sang(api, run)
            refused = str((await api.task(stolen))["error"])
            assert "secret 'foreign' is not granted to the type 'thief'" in refused
            said = await everything_said(api, [run, stolen])
            lines = (f"show {run}", f"logs {run}", "secrets", "secrets show db/password")
            shown = [output_of(system, line) for line in lines]
            assert caught == []
        dump = a_dump(system)
        assert NEST.encode() in said
        assert NEST.encode() in shown[1]
        assert {"secrets", "secret_cells", "audit"} <= dump.keys()
        assert [table for table, data in dump.items() if NEST.encode() in data] != []
        assert heard(canaries, said + b"".join(shown)) == []
        assert [table for table, data in dump.items() if heard(canaries, data)] == []
        kept = [found for found in files_below(tmp_path) if found[0].parent != work]
        assert {"serve.log", "nest.log", "secret.keys", "journal"} <= {
            file.name for file, _ in kept
        }
        assert [file for file, data in kept if heard(canaries, data)] == []
        assert heard(canaries, command_lines()) == []
    assert [file for file, data in left_in_memory() if heard(canaries, data)] == []


async def everybody_sang(api: Asking, run: str) -> None:
    tasks = {task["name"]: task for task in (await api.get(f"/runs/{run}/tasks"))["items"]}
    ended = {name: task["status"] for name, task in tasks.items()}
    done = dict.fromkeys(("sing", "hold", "ask", "call"), "COMPLETED")
    assert ended == {**done, "cry": "FAILED", "fail": "FAILED"}
    assert tasks["sing"]["output"]["written"] == f"{NEST} ***"
    answer = tasks["ask"]["output"]["body"]
    assert answer["nest"] == NEST
    assert answer["heard"] == answer["again"]
    assert answer["heard"][0] == "Bearer ***"
    assert tasks["call"]["output"] == {"nest": NEST, "***": ["***", ["as *** says"]]}
    assert tasks["cry"]["error"] == f"ValueError: {NEST} ***"


async def begun(api: Asking, run: str, name: str) -> None:
    path = f"/runs/{run}/tasks/{name}/attempts/1/output"
    async with asyncio.timeout(60):
        while True:
            answer = await api.http.get(path)
            if b"begun" in answer.content:
                return
            await asyncio.sleep(0.1)
