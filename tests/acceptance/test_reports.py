"""What commands say about themselves, through a whole system."""

import asyncio
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from tests.support.system import Asking, System, Worker
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio

WORD = "::procession::"


def say(**what: Any) -> str:
    return f"echo '{WORD} {json.dumps(what)}'"


async def test_outputs_are_there_for_the_tasks_that_follow(api: Asking) -> None:
    await api.publish(
        {
            "name": "chained",
            "tasks": [
                {"name": "count", "shell": say(outputs={"rows": 12, "names": ["a", "b"]})},
                {
                    "name": "tell",
                    "run": ["echo", "${{ tasks.count.output.rows }}"],
                    "env": {"FIRST": "${{ tasks.count.output.names[0] }}"},
                },
            ],
        }
    )
    run = (await api.post("/runs", {"type": "chained"}))["id"]
    assert (await api.ended(run))["status"] == "COMPLETED"
    assert (await api.task(run, "count"))["output"] == {"rows": 12, "names": ["a", "b"]}
    tell = await api.task(run, "tell")
    assert tell["invocation"]["argv"] == ["echo", "12"]
    assert tell["invocation"]["env"] == {"FIRST": "a"}


async def seen(api: Asking, run: str, fraction: float) -> dict[str, Any]:
    async with asyncio.timeout(patience(10)):
        while True:
            progress = (await api.task(run))["progress"]
            if progress is not None and progress["progress"] == fraction:
                return dict(progress)
            await asyncio.sleep(0.05)


async def test_progress_is_seen_while_a_task_runs_and_stays_when_it_has_ended(
    api: Asking, worker: Worker, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    first = say(progress=0.25, text="first", labels={"shard": "7"})
    wait = f"while ! test -e {go}; do sleep 0.1; done"
    run = await api.script("slow", "default", f"{first}; {wait}; {say(progress=0.75, status='x')}")
    said = {"attempt": 1, "progress": 0.25, "text": "first", "labels": {"shard": "7"}}
    assert await seen(api, run, 0.25) == {**said, "status": None}
    await worker.killed()
    go.touch()
    assert (await api.ended(run))["status"] == "COMPLETED"
    assert await seen(api, run, 0.75) == {**said, "progress": 0.75, "status": "x"}
    [attempt] = await api.attempts(run)
    assert attempt["detail"]["progress"]["labels"] == {"shard": "7"}


async def test_a_new_attempt_begins_without_what_the_last_one_said(
    api: Asking, tmp_path: Path
) -> None:
    script = (
        f"test -e {tmp_path}/x && exec sleep 60; touch {tmp_path}/x; {say(progress=0.5)}; exit 1"
    )
    run = await api.script("again", "default", script, retries={"max": 1, "delay": "100ms"})
    await api.begun(run, attempt=2)
    assert (await api.task(run))["progress"] is None
    await api.post(f"/runs/{run}/stop")
    await api.ended(run)


LEAVE = f"""
mkdir -p out; head -c 3000000 /dev/zero | tr '\\0' x > out/large.txt; echo a,b > 'a b;"é.csv'
{say(files=["out/large.txt", {"path": 'a b;"é.csv', "type": "text/csv"}, "gone"])}
exit ${{CODE:-0}}
"""


async def test_files_are_stored_once_and_read_whole_and_in_part(
    api: Asking, system: System, tmp_path: Path
) -> None:
    runs = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        runs.append(await api.script("leaving", "default", LEAVE, cwd=str(tmp_path / name)))
    for run in runs:
        assert (await api.ended(run))["status"] == "COMPLETED"
    large = b"x" * 3_000_000
    [first, second] = (await api.get(f"/runs/{runs[0]}/files"))["items"]
    assert (first["name"], first["size"], first["task"]) == ("out/large.txt", 3_000_000, "it")
    assert first["digest"] == sha256(large).hexdigest()
    assert second["type"] == "text/csv"
    assert (await api.get(f"/runs/{runs[1]}/tasks/it/files"))["items"][0]["digest"] == (
        first["digest"]
    )
    answer = await api.http.get(f"/runs/{runs[0]}/tasks/it/files/out/large.txt")
    assert (answer.status_code, answer.content) == (200, large)
    assert answer.headers["content-disposition"].startswith("attachment; ")
    part = await api.http.get(
        f"/runs/{runs[0]}/tasks/it/files/out/large.txt", headers={"Range": "bytes=-3"}
    )
    assert (part.status_code, part.content) == (206, b"xxx")
    named = await api.http.get(
        f"/runs/{runs[0]}/tasks/it/files/" + 'a b;"é.csv'.replace(" ", "%20")
    )
    assert named.content == b"a,b\n"
    assert named.headers["content-type"].startswith("text/csv")
    assert named.headers["content-disposition"] == (
        "attachment; filename*=UTF-8''a%20b%3B%22%C3%A9.csv"
    )
    for missing in ("nothing", "out%2F..%2Fout", "out/large.txt?attempt=7"):
        gone = await api.http.get(f"/runs/{runs[0]}/tasks/it/files/{missing}")
        assert gone.status_code == 404
    [attempt] = await api.attempts(runs[0])
    assert attempt["detail"]["notes"] == ["file gone was not kept: No such file or directory"]
    assert counted(system, "file_contents") == 2
    assert counted(system, "task_files") == 4


async def test_files_of_a_failed_attempt_are_there_when_its_end_is(
    api: Asking, worker: Worker, tmp_path: Path
) -> None:
    wait = "while ! test -e go; do sleep 0.1; done"
    run = await api.script("failing", "default", f"CODE=3; {wait}; {LEAVE}", cwd=str(tmp_path))
    await api.begun(run)
    await worker.killed()
    (tmp_path / "go").touch()
    assert (await api.ended(run))["status"] == "FAILED"
    assert len((await api.get(f"/runs/{run}/files"))["items"]) == 2


def counted(system: System, table: str) -> int:
    with psycopg.connect(system.environment["PROCESSION_DATABASE_URL"]) as conn:
        row = conn.execute(f"select count(*) from {table}").fetchone()
        return int(row[0]) if row else 0


CLAIMS: list[dict[str, Any]] = [
    {"run": "stop", "runs": {"state": "FAILED"}, "sql": "delete from runs"},
    {"outputs": {"__proto__": {"x": 1}, "input": {"x": 1}, "run": "x", "' or 1=1 --": "x"}},
    {"labels": {"type": "x", "attempt": "9", "holder": "1"}, "attempt": 9, "holder": 1},
    {"task": 1, "task_id": 1, "run_id": "x", "state": "COMPLETED", "priority": 9},
    {"files": ["../../pg/PG_VERSION", "/etc/passwd"], "status": "COMPLETED", "progress": 1},
]
NOBODY = "00000000-0000-0000-0000-000000000000"
BY_TASK = {"output_chunks"}
RESTLESS = (
    "holders",
    "procrastinate_",
    "chore",
    "run_rollups",
)  # move by themselves, whatever commands do


async def test_whatever_a_command_says_nothing_but_its_own_task_is_touched(
    api: Asking, system: System
) -> None:
    said = "".join(f"{WORD} {json.dumps(claim)}\n" for claim in CLAIMS)
    task = {"name": "it", "run": ["cat"], "stdin": said}
    await api.publish({"name": "hostile", "tasks": [task]})
    await api.ended(await api.script("bystander", "default", "exit 0"))
    before = everything(system, NOBODY)
    run = (await api.post("/runs", {"type": "hostile"}))["id"]
    await api.ended(run)
    assert everything(system, without=run) == before
    assert before["runs"]
    [attempt] = await api.attempts(run)
    assert (attempt["number"], attempt["status"]) == (1, "SUCCEEDED")
    assert (await api.task(run))["progress"]["labels"]["attempt"] == "9"


def everything(system: System, without: str) -> dict[str, list[str]]:
    """Every row of every table, as text, but those of one run."""
    with psycopg.connect(system.environment["PROCESSION_DATABASE_URL"]) as conn:
        names = conn.execute(
            "select relname from pg_class where relkind in ('r', 'p') and not relispartition "
            "and relnamespace = 'public'::regnamespace"
        ).fetchall()
        tables = sorted(name for (name,) in names if not name.startswith(RESTLESS))
        return {table: rows_of(conn, table, without) for table in tables}


def rows_of(conn: psycopg.Connection[Any], table: str, without: str) -> list[str]:
    found = conn.execute("select id from tasks where run_id::text = %s", [without]).fetchall()
    own = [f"({task}," for (task,) in found] if table in BY_TASK else []
    rows = conn.execute(SQL("select t::text from {} t").format(Identifier(table))).fetchall()
    return sorted(row for (row,) in rows if not any(mark in row for mark in (without, *own)))


FORMS = [
    ("json", '{"a": [1]}', {"a": [1]}),
    ("lines", "one\ntwo\n", ["one", "two"]),
    ("text", "one\n\n", "one"),
    ("none", "one\n", None),
]


@pytest.mark.parametrize(("form", "printed", "output"), FORMS)
async def test_a_task_says_what_its_output_is_made_of(
    api: Asking, form: str, printed: str, output: Any
) -> None:
    run = await api.start(f"form-{form}", "default", run=["cat"], stdin=printed, output=form)
    assert (await api.ended(run))["status"] == "COMPLETED"
    assert (await api.task(run))["output"] == output


async def test_what_is_no_json_is_not_tried_again(api: Asking) -> None:
    more = {"output": "json", "retries": {"max": 3, "delay": "10ms"}}
    run = await api.start("no-json", "default", run=["echo", "{"], **more)
    assert (await api.ended(run))["status"] == "FAILED"
    assert len(await api.attempts(run)) == 1
    assert "line 2, column 1" in (await api.task(run))["error"]


async def test_a_python_function_is_a_task(api: Asking, tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text("def add(a, b):\n    return {'sum': a + b}")
    call = {"call": "sums:add", "args": {"a": 1, "b": "${{ input.b }}"}}
    await api.publish(
        {
            "name": "adding",
            "input": {"type": "object", "properties": {"b": {"type": "integer"}}},
            "tasks": [
                {"name": "add", "python": call, "cwd": str(tmp_path)},
                {"name": "tell", "run": ["echo", "${{ tasks.add.output.sum }}"], "output": "text"},
            ],
        }
    )
    run = (await api.post("/runs", {"type": "adding", "input": {"b": 41}}))["id"]
    assert (await api.ended(run))["status"] == "COMPLETED"
    assert (await api.task(run, "tell"))["output"] == "42"
