"""Workers, runners and guards are killed under a whole system; the database tells the truth.

`PROCESSION_LONG=1` asks for 200 kills of workers and 100 each of runners and guards.
"""

import asyncio
import hashlib
import os
import random
import secrets
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.support.postgres import Databases
from tests.support.runners import LONG, all_gone, is_dead, processes_of
from tests.support.system import (
    PROCESSION,
    Asking,
    System,
    Worker,
    a_system,
    arguments_of,
    clean_environment,
    ledger_of,
)
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1800 if LONG else 180)]

WORKER_KILLS = 200 if LONG else 6
TREE_KILLS = 100 if LONG else 5
LIVE = 6  # commands at the same time, of eight slots


@pytest.fixture(scope="module")
def system(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with a_system(databases, tmp_path_factory.mktemp("system")) as system:
        yield system


@pytest.fixture
async def api(system: System) -> AsyncIterator[Asking]:
    async with system.asking() as api:
        yield api


NOTE = "| dd of={ledger} oflag=append conv=notrunc,fsync status=none"
WORK = """
echo begin $N $$ {note}
seq $LINES; sleep $PAUSE; seq $LINES
echo end $N $$ {note}
exit $((N % 3))
"""
RECORDED = """
select r.id, r.state::text, r.input, t.id as task, a.number, a.exit_code, a.detail,
       (select string_agg(data, ''::bytea order by start)
          from output_chunks c
         where c.task_id = t.id and c.attempt = a.number) as output,
       count(*) over (partition by t.id) as attempts
  from runs r
  join tasks t on t.run_id = r.id
  left join attempts a on a.task_id = t.id
 where r.type = %s
"""


def work(name: str, ledger: Path) -> dict[str, Any]:
    names = {"N": "n", "LINES": "lines", "PAUSE": "pause"}
    return {
        "name": name,
        "queue": name,
        "tasks": [
            {
                "name": "it",
                "run": ["/bin/sh", "-c", WORK.format(note=NOTE.format(ledger=ledger))],
                "env": {key: f"${{{{ input.{value} }}}}" for key, value in names.items()},
                "on_failure": "continue",
            }
        ],
    }


def printed(lines: int) -> str:
    text = b"".join(b"%d\n" % number for number in range(1, lines + 1)) * 2
    return hashlib.sha256(text).hexdigest()


def recorded(system: System, name: str) -> list[dict[str, Any]]:
    url = system.environment["PROCESSION_DATABASE_URL"]
    with psycopg.connect(url, row_factory=dict_row) as conn:
        return conn.execute(RECORDED, [name]).fetchall()


async def test_killed_workers_neither_lose_repeat_nor_orphan_a_command(
    system: System, api: Asking, tmp_path: Path
) -> None:
    name, ledger = "many", tmp_path / "ledger"
    ledger.touch()
    await api.publish(work(name, ledger))
    count = alive_at_kills = 0
    slowest = 0.0

    async def keep_busy() -> None:
        nonlocal count
        while count - len(ends(ledger)) < LIVE:
            choice = {
                "n": count,
                "lines": random.choice([1, 10, 20_000]),
                "pause": random.choice([0, 0.5, 1.5]),
            }
            await api.post("/runs", {"type": name, "input": choice})
            count += 1

    async with system.worker(name) as worker:
        for _ in range(WORKER_KILLS):
            await keep_busy()
            await asyncio.sleep(random.uniform(0.0, 0.3))
            alive_at_kills += len(begins(ledger)) - len(ends(ledger))
            at = monotonic()
            await worker.killed()
            slowest = max(slowest, monotonic() - at)
        await until(lambda: len(ends(ledger)) == count, within=60)
        await until(lambda: all(row["number"] for row in recorded(system, name)))
        assert await all_gone(str(ledger))

    assert alive_at_kills >= WORKER_KILLS
    assert slowest < (20 if LONG else 10)
    rows = recorded(system, name)
    assert len(rows) == count
    pids = {int(n): pid for _, n, pid in begins(ledger)}
    assert len(begins(ledger)) == len(pids) == count
    assert sorted(ends(ledger)) == sorted(["end", str(n), pid] for n, pid in pids.items())
    for row in rows:
        given = row["input"]
        assert row["attempts"] == 1
        assert (row["exit_code"], row["detail"]["pid"]) == (given["n"] % 3, int(pids[given["n"]]))
        assert hashlib.sha256(row["output"]).hexdigest() == printed(given["lines"])
    print(f"{WORKER_KILLS} kills, {count} commands, {alive_at_kills} of them alive at a kill")


def begins(ledger: Path) -> list[list[str]]:
    return [line for line in ledger_of(ledger) if line[0] == "begin"]


def ends(ledger: Path) -> list[list[str]]:
    return [line for line in ledger_of(ledger) if line[0] == "end"]


TREE = """
if mkdir {folder}/$PROCESSION_RUN 2>/dev/null; then
    trap '' TERM HUP INT
    setsid sleep 300 &
    (setsid sh -c 'trap "" TERM; sleep 300 & sleep 300' &)
    sleep 300
fi
echo again
"""
ALIVE = 6
POLICIES = ("retry", "fail", "wait")


async def test_what_a_killed_runner_or_guard_leaves_is_gone_in_two_seconds_and_judged_by_policy(
    system: System, api: Asking, tmp_path: Path
) -> None:
    slowest = await asyncio.gather(
        felled_again_and_again(system, api, tmp_path, "runner"),
        felled_again_and_again(system, api, tmp_path, "guard"),
    )
    print(f"{TREE_KILLS} kills each of runner and guard: all gone within {max(slowest):.3f} s")


async def felled_again_and_again(system: System, api: Asking, folder: Path, who: str) -> float:
    queue, took = f"trees-of-the-{who}", []
    async with system.worker(queue) as worker:
        for number in range(TREE_KILLS):
            mark = f"tree-{os.getpid()}-{who}-{number}"
            runs = await planted(api, queue, folder, mark)
            trees = await grown(mark)
            took.append(await felled(worker.runner if who == "runner" else worker.guard, trees))
            await judged(api, runs)
            assert not processes_of(mark)
        assert worker.starts == TREE_KILLS + 1
    return max(took)


async def grown(mark: str) -> list[int]:
    """Every process of every tree."""

    def complete() -> list[int] | None:
        found = processes_of(mark)
        return found if len(found) == ALIVE * len(POLICIES) else None

    return await until(complete)


async def felled(pid: int, trees: list[int]) -> float:
    """Kills the process; how many seconds it took until nothing of the trees was left."""
    at = monotonic()
    os.kill(pid, signal.SIGKILL)
    await until(lambda: all(is_dead(each) for each in trees), within=2.0)
    return monotonic() - at


async def planted(api: Asking, queue: str, folder: Path, mark: str) -> dict[str, str]:
    """A tree for each policy, in a run of its own."""
    return {
        policy: await api.script(
            f"{queue}-{policy}",
            queue,
            TREE.format(folder=folder),
            env={"TREE": mark},
            on_lost=policy,
        )
        for policy in POLICIES
    }


async def judged(api: Asking, runs: dict[str, str]) -> None:
    """What waits waits for the truth: where that is LOST, it is done again as with `retry`."""
    for policy, run in runs.items():
        status = (await api.ended(run))["status"]
        lost, *again = await api.attempts(run)
        assert (lost["status"], lost["exit_code"]) == ("LOST", None)
        assert "runner ended" in lost["error"]
        if policy == "fail":
            assert (status, again) == ("FAILED", [])
        else:
            assert (status, [each["status"] for each in again]) == ("COMPLETED", ["SUCCEEDED"])
            assert await api.output(run, again[0]["number"]) == b"again\n"


async def test_an_exit_that_its_runner_wrote_down_outlives_runner_and_worker(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with system.worker("diary") as worker:
        script = (
            f"echo $$ > {tmp_path}/pid; until [ -e {tmp_path}/go ]; do sleep 0.05; done; exit 7"
        )
        run = await api.script("diary", "diary", script)
        pid = await until(lambda: pid_in(tmp_path / "pid"))
        worker.signal(signal.SIGSTOP)
        (tmp_path / "go").touch()
        await until(lambda: is_dead(pid))
        await until(lambda: '"ended"' in journal(worker))
        os.kill(worker.runner, signal.SIGKILL)
        worker.signal(signal.SIGKILL)
        assert (await api.ended(run))["status"] == "FAILED"
        [attempt] = await api.attempts(run)
    assert (attempt["status"], attempt["exit_code"]) == ("FAILED", 7)
    assert attempt["detail"]["pid"] == pid


def pid_in(file: Path) -> int | None:
    """What a command wrote there, once the line is whole."""
    text = file.read_text() if file.exists() else ""
    return int(text) if text.endswith("\n") else None


def journal(worker: Worker) -> str:
    folder = worker.system.folder / "data" / "runners" / worker.name
    return (folder / "journal").read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "upgrade"])
async def test_a_worker_that_ends_leaves_its_commands_to_its_next_life(
    system: System, api: Asking, tmp_path: Path, number: signal.Signals
) -> None:
    name = f"ends-by-{number.name.lower()}"
    async with system.worker(name) as worker:
        script = f"echo $$ | tee {tmp_path}/pid; until [ -e {tmp_path}/go ]; do sleep 0.05; done"
        run = await api.script(name, name, script)
        pid = await until(lambda: pid_in(tmp_path / "pid"))
        before = worker.times_ready()
        worker.signal(number)
        await until(lambda: worker.times_ready() > before)
        assert not is_dead(pid)
        (tmp_path / "go").touch()
        assert (await api.ended(run))["status"] == "COMPLETED"
        [attempt] = await api.attempts(run)
        assert attempt["detail"]["pid"] == pid
        assert await api.output(run) == b"%d\n" % pid


async def test_a_supervised_worker_that_was_killed_has_adopted_its_commands_within_five_seconds(
    databases: Databases, tmp_path: Path
) -> None:
    with everything(databases, tmp_path) as system:
        async with system.asking() as api:
            script = (
                f"echo $$ | tee {tmp_path}/pid; until [ -e {tmp_path}/go ]; do sleep 0.05; done"
            )
            run = await api.script("adopted", "default", script)
            pid = await until(lambda: pid_in(tmp_path / "pid"))
            log = tmp_path / "up.log"
            os.kill(worker_of(system), signal.SIGKILL)
            await until(lambda: log.read_text().count("worker ready") == 2, within=5.0)
            assert not is_dead(pid)
            (tmp_path / "go").touch()
            assert (await api.ended(run))["status"] == "COMPLETED"
            [attempt] = await api.attempts(run)
    assert (attempt["status"], attempt["detail"]["pid"]) == ("SUCCEEDED", pid)


@contextmanager
def everything(databases: Databases, folder: Path) -> Iterator[System]:
    """`procession up` on a database of the tests."""
    token = f"pn_admin_{secrets.token_urlsafe(32)}"
    with databases.cloned() as dsn, (folder / "up.log").open("w") as log:
        environment = {
            **clean_environment(),
            "PROCESSION_DATABASE_URL": dsn,
            "PROCESSION_DATA_DIR": str(folder / "data"),
            "PROCESSION_ADMIN_TOKEN": token,
        }
        up = subprocess.Popen(
            [*PROCESSION, "up", "--port", "0"], env=environment, stdout=subprocess.PIPE, stderr=log
        )
        assert up.stdout is not None
        try:
            words = up.stdout.readline().decode().split()
            assert words[:1] == ["ready"], (folder / "up.log").read_text()
            yield System(folder, words[1], token, environment)
        finally:
            up.send_signal(signal.SIGINT)
            up.communicate(timeout=60)


def worker_of(system: System) -> int:
    """The worker that `up` keeps."""
    mark = f"PROCESSION_DATA_DIR={system.folder / 'data'}"
    [pid] = [pid for pid in processes_of(mark) if arguments_of(pid)[-2:-1] == ["worker"]]
    return pid
