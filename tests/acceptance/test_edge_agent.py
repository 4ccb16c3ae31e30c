"""Agents as processes: killed, cut off, with a full disk, a wrong clock, a double of themselves."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.agent import local
from executor import kin
from tests.support.agents import SHELL, Station, a_cable, a_station, script
from tests.support.disks import a_small_disk, fill
from tests.support.runners import is_dead, processes_of
from tests.support.standing import stands_still, states_of
from tests.support.system import ROOT, Asking, Json, System, clean_environment
from tests.support.waiting import patience, until

pytestmark = pytest.mark.anyio

THREE_DAYS = 3 * 24 * 3600


@pytest.fixture
async def api(system: System) -> Any:
    async with system.asking() as api:
        yield api


async def seen(look: Callable[[], Awaitable[bool]], within: float = 60.0) -> None:
    async with asyncio.timeout(patience(within)):
        while not await look():  # noqa: ASYNC110 - what is awaited is elsewhere
            await asyncio.sleep(0.05)


def slow(folder: Path, seconds: int = 60) -> str:
    """Notes each time it begins, prints, and waits to be let go."""
    return (
        f"echo $$ >> {folder}/begun; echo before; "
        f"i=0; while [ ! -e {folder}/go ] && [ $i -lt {seconds * 20} ]; "
        "do sleep 0.05; i=$((i+1)); done; echo after; echo wrong >&2; exit 3"
    )


def begun(folder: Path) -> list[int]:
    file = folder / "begun"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


async def test_a_command_outlives_its_agent_and_is_told_of_once_and_whole(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with a_station(system, api, "press-1") as station:
        await station.run()
        run = await script(api, "press-1", "outlives", slow(tmp_path))
        await until(lambda: begun(tmp_path))
        for _ in range(3):
            await station.killed()
            await station.run()
        await station.killed()
        [pid] = begun(tmp_path)
        assert not is_dead(pid)
        (tmp_path / "go").touch()
        await until(lambda: is_dead(pid))
        await station.run()
        ended = await api.ended(run)
        task = await api.task(run)
        assert begun(tmp_path) == [pid]
        assert (ended["status"], task["exit_code"], task["attempt"]) == ("FAILED", 3, 1)
        await station.delivered()
        assert await texts(api, run) == {"out": b"before\nafter\n", "err": b"wrong\n"}
        assert not list((station.home / "work").iterdir())


async def test_what_a_command_prints_is_seen_while_it_runs_and_whole_when_it_was_much(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with a_station(system, api, "press-2") as station:
        await station.run()
        run = await script(api, "press-2", "prints", slow(tmp_path))
        await seen(lambda: printed(api, run, b"before\n"))
        (tmp_path / "go").touch()
        await api.ended(run)
        line = "line $i of a flood that is kept whole"
        flood = f"i=0; while [ $i -lt 20000 ]; do echo {line}; i=$((i+1)); done"
        run = await script(api, "press-2", "floods", flood)
        assert (await api.ended(run))["status"] == "COMPLETED"
        await station.delivered()
        lines = [f"line {n} of a flood that is kept whole\n" for n in range(20000)]
        assert await api.output(run) == "".join(lines).encode()


async def test_work_goes_on_without_the_server_and_is_told_of_when_it_is_back(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with a_cable(system) as cable, a_station(system, api, "press-3", server=cable.url) as s:
        await s.run()
        run = await script(api, "press-3", "alone", slow(tmp_path))
        await until(lambda: begun(tmp_path))
        await cable.pull()
        await s.shows(state="away")
        (tmp_path / "go").touch()
        told = await s.shows(free=4)
        assert told["waiting"]["results"] == 1
        await s.killed()
        await s.start()
        await s.shows(state="away", free=4)
        assert (await api.get(f"/runs/{run}"))["status"] == "IN_PROGRESS"
        await cable.plug()
        await s.ask("connect")
        assert (await api.ended(run))["status"] == "FAILED"
        await s.delivered()
        assert await texts(api, run) == {"out": b"before\nafter\n", "err": b"wrong\n"}
        assert len(begun(tmp_path)) == 1


LEAVES = """
seq 1 300000 > out.txt; : > empty; seq 1 300000 > again.csv
echo '::procession:: {"files": ["out.txt", "empty", {"path": "again.csv", "type": "text/csv"}]}'
"""


async def test_files_that_a_command_leaves_come_whole_whatever_becomes_of_the_cable(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with a_cable(system) as cable, a_station(system, api, "press-14", server=cable.url) as s:
        await s.run()
        run = await script(api, "press-14", "leaves", f"{slow(tmp_path)}".replace("exit 3", LEAVES))
        await until(lambda: begun(tmp_path))
        await cable.pull()
        (tmp_path / "go").touch()
        told = await s.shows(free=4)
        assert told["waiting"]["file_bytes"] > 3 << 20
        await s.killed()
        await cable.plug()
        await s.start()
        for _ in range(3):
            await s.connected()
            await cable.pull()
            await cable.plug()
            await s.ask("connect")
        await s.delivered()
        assert (await api.ended(run))["status"] == "COMPLETED"
        left = (await api.get(f"/runs/{run}/files"))["items"]
        numbers = "".join(f"{n}\n" for n in range(1, 300_001)).encode()
        assert sorted((each["name"], each["type"], each["size"]) for each in left) == [
            ("again.csv", "text/csv", len(numbers)),
            ("empty", None, 0),
            ("out.txt", None, len(numbers)),
        ]
        for each in left:
            answer = await api.http.get(f"/runs/{run}/tasks/it/files/{each['name']}")
            assert answer.content == (b"" if each["name"] == "empty" else numbers)
        assert len({each["digest"] for each in left}) == 2
        assert not list((s.home / "runner" / "out").iterdir())
        alone = {"name": "make", "process": "leaves", "on": {"workstation": "press-14"}}
        await api.publish({"name": "leaves-alone", "tasks": [alone]})
        handed = (await api.post("/runs", {"type": "leaves-alone"}))["id"]
        assert (await api.ended(handed))["status"] == "COMPLETED"
        await s.delivered()
        [own] = [r for r in (await api.get("/runs", type="leaves"))["items"] if r["id"] != run]
        found = (await api.get(f"/runs/{own['id']}/files"))["items"]
        assert {each["digest"] for each in found} == {each["digest"] for each in left}


async def test_what_a_dead_runner_had_begun_is_lost_and_never_run_again_by_itself(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with a_station(system, api, "press-4") as station:
        await station.run()
        run = await script(api, "press-4", "runner-dies", slow(tmp_path))
        await until(lambda: begun(tmp_path))
        before = station.runner()
        os.kill(before, signal.SIGKILL)
        await station.delivered()
        attempts = await api.attempts(run)
        assert [each["status"] for each in attempts] == ["LOST"]
        assert len(begun(tmp_path)) == 1
        assert not processes_of(tmp_path)
        told = await station.shows(free=4)
        assert told["runner"]["pid"] not in (None, before)
        again = await script(api, "press-4", "runner-lives", "echo here")
        assert (await api.ended(again))["status"] == "COMPLETED"


async def test_where_no_stream_gets_through_polls_carry_as_much_until_one_does(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with a_cable(system) as cable, a_station(system, api, "press-5", server=cable.url) as s:
        cable.lets_streams_through = False
        await s.run()
        assert (await s.connected())["carrier"] == "poll"
        run = await script(api, "press-5", "polled", slow(tmp_path))
        await until(lambda: begun(tmp_path))
        cable.lets_streams_through = True
        await s.ask("connect")
        await s.shows(state="connected", carrier="stream")
        cable.lets_streams_through = False
        await cable.pull()
        await cable.plug()
        await s.ask("connect")
        await s.shows(state="connected", carrier="poll")
        await api.post(f"/runs/{run}/stop", {"why": "enough", "kill": True})
        assert (await api.ended(run))["status"] == "STOPPED"
        await s.delivered()
        assert await api.output(run) == b"before\n"
        assert len(begun(tmp_path)) == 1


async def test_who_takes_no_work_says_so_over_a_restart_and_goes_on_with_what_it_has(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with a_station(system, api, "press-6") as station:
        await station.run()
        run = await script(api, "press-6", "held", slow(tmp_path))
        await until(lambda: begun(tmp_path))
        assert (await station.edge("drain", "the belt is torn")).returncode == 0
        await station.killed()
        await station.run()
        told = await station.connected()
        assert (told["draining"], told["drain_reason"]) == (True, "the belt is torn")
        waits = await script(api, "press-6", "waits", "echo late")
        (tmp_path / "go").touch()
        assert (await api.ended(run))["status"] == "FAILED"
        assert (await api.get(f"/runs/{waits}"))["status"] == "IN_PROGRESS"
        shown = await station.edge("status")
        assert "takes no new work: the belt is torn" in shown.stdout
        await station.edge("undrain")
        assert (await api.ended(waits))["status"] == "COMPLETED"


async def test_people_at_the_machine_hold_resume_and_stop(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with a_station(system, api, "press-7") as station:
        await station.run()
        run = await script(api, "press-7", "steered", slow(tmp_path))
        await until(lambda: begun(tmp_path))
        [pid] = begun(tmp_path)
        assert (await station.edge("hold")).returncode == 0
        await until(lambda: stands_still(pid))
        await station.edge("resume")
        await until(lambda: "T" not in states_of([pid, *kin.descendants([pid])]))
        refused = await station.edge("stop", "9999999.1")
        assert (refused.returncode, "is not in hand" in refused.stderr) == (2, True)
        await station.edge("stop", "--why", "the guard is open")
        assert (await api.ended(run))["status"] == "FAILED"
        [attempt] = await api.attempts(run)
        assert attempt["error"] == "stopped at the workstation: the guard is open"


async def test_the_owner_is_asked_again_right_before_a_command_begins(
    system: System, api: Asking
) -> None:
    async with a_station(system, api, "press-8") as station:
        await station.run()
        run = await script(api, "press-8", "allowed", "echo may")
        assert (await api.ended(run))["status"] == "COMPLETED"
        policy = station.home / "policy.toml"
        policy.write_text("# nothing any more\n")
        run = await script(api, "press-8", "refused", "echo may not")
        ended = await api.ended(run)
        assert ended["status"] == "FAILED"
        assert "/bin/sh" in (await api.task(run))["error"]
        policy.chmod(0o666)
        await seen(lambda: says(station, "may be written by others"))
        examined = await station.edge("doctor", "--json")
        found = {each["check"]: each for each in json.loads(examined.stdout)}
        assert (examined.returncode, found["policy"]["level"]) == (1, "fault")
        assert "policy.toml" in found["policy"]["remedy"]


async def test_a_damaged_book_is_put_aside_and_what_runs_is_still_told_of(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with a_station(system, api, "press-9") as station:
        await station.run()
        run = await script(api, "press-9", "damaged", slow(tmp_path))
        await until(lambda: begun(tmp_path))
        await station.killed()
        for end in ("-wal", "-shm"):
            (station.home / f"book.db{end}").unlink(missing_ok=True)
        (station.home / "book.db").write_bytes(b"this is no book" * 1000)
        await station.run()
        assert list(station.home.glob("book.db.damaged-*"))
        (tmp_path / "go").touch()
        ended = await api.ended(run)
        assert (ended["status"], (await api.task(run))["exit_code"]) == ("FAILED", 3)
        await station.delivered()
        assert await texts(api, run) == {"out": b"before\nafter\n", "err": b"wrong\n"}
        assert len(begun(tmp_path)) == 1


async def test_a_clock_that_is_wrong_by_three_days_starts_nothing_late_and_locks_nobody_out(
    system: System, api: Asking, tmp_path: Path
) -> None:
    """Python's own clocks are moved; certificates and leases are the system's."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import time\n_real = time.time\ntime.time = lambda: _real() + {THREE_DAYS}\n"
    )
    wrong = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    async with a_station(system, api, "press-10") as station:
        await station.run(**wrong)
        told = await station.connected()
        assert abs(told["clock_ahead"] - THREE_DAYS) < 3600
        run = await script(api, "press-10", "in-time", "echo in time")
        assert (await api.ended(run))["status"] == "COMPLETED"
        seen = await api.get("/workstations/press-10")
        assert abs(seen["skew"] - THREE_DAYS) < 3600
        examined = await station.edge("doctor", "--json", **wrong)
        found = {each["check"]: each for each in json.loads(examined.stdout)}
        assert (examined.returncode, found["clock"]["level"]) == (0, "warning")
        assert "NTP" in found["clock"]["remedy"]


async def test_of_two_agents_with_one_identity_the_older_is_fenced_and_people_are_told(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with a_station(system, api, "press-11") as station:
        await station.run()
        double = station.copied(tmp_path / "double")
        try:
            await double.run()
            await station.shows(state="fenced")
            assert "fenced" in (await station.edge("status")).stdout
            examined = await station.edge("doctor")
            assert examined.returncode == 1
            await station.ask("connect")
            await seen(lambda: told_of(api, "workstation.cloned", "press-11"))
            run = await script(api, "press-11", "by-one", "echo one")
            assert (await api.ended(run))["status"] == "COMPLETED"
        finally:
            await double.leave_nothing()


async def texts(api: Asking, run: str) -> dict[str, bytes]:
    """What an attempt printed, by stream."""
    path = f"/runs/{run}/tasks/it/attempts/1/output/events"
    told = (await api.http.get(path, params={"follow": "false"})).text
    found: dict[str, bytes] = {}
    for event in told.split("\n\n"):
        said = dict(line.split(": ", 1) for line in event.splitlines() if ": " in line)
        if (kind := said.get("event", "")) in ("out", "err"):
            found[kind] = found.get(kind, b"") + b64decode(json.loads(said["data"])["data"])
    return found


async def printed(api: Asking, run: str, text: bytes) -> bool:
    return await api.output(run) == text


async def says(station: Station, text: str) -> bool:
    """Why it is away, or why it takes nothing."""
    told = await station.status()
    return told is not None and text in f"{told['why']} {told['policy']['fault']}"


async def told_of(api: Asking, type: str, key: str) -> bool:
    found = (await api.get("/events", type=type))["items"]
    return any(each["key"] == key for each in found)


async def test_whoever_joins_may_have_to_wait_and_whoever_leaves_keeps_no_key(
    system: System, api: Asking
) -> None:
    async with a_station(system, api, "press-12", approve=True) as station:
        await station.start()
        await seen(lambda: says(station, "accept"))
        await api.post("/workstations/press-12/accept")
        await station.ask("connect")
        await station.connected()
        second = await station.edge("run")
        assert (second.returncode, "runs already" in second.stderr) == (2, True)
        await station.end()
        assert (await station.edge("leave", "--yes")).returncode == 0
        assert not (station.home / "key.pem").exists()
        away = await station.edge("status")
        assert (away.returncode, "no agent runs here" in away.stderr) == (2, True)
        unjoined = await station.edge("run")
        assert (unjoined.returncode, "edge join" in unjoined.stderr) == (2, True)


def waits_for(go: Path, note: Path, then: str) -> str:
    return f"echo begun >> {note}; while [ ! -e {go} ]; do sleep 0.05; done; {then}"


def an_inner(go: Path, notes: Path) -> Json:
    """A process that its workstation decides about: its tasks come one after the other."""
    texts = {
        "one": waits_for(go, notes / "one", "exit 0"),
        "two": f"echo begun >> {notes}/two",
        "three": f"echo begun >> {notes}/three",
    }
    tasks = [{"name": name, "run": [SHELL, "-c", text]} for name, text in texts.items()]
    return {"name": "three-in-a-row", "tasks": tasks}


async def why(api: Asking, run: str) -> str:
    return " ".join((await api.get(f"/runs/{run}/why"))["reasons"])


async def reports(api: Asking, run: str, text: str) -> bool:
    return text in await why(api, run)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
async def test_a_disk_that_is_full_costs_new_work_alone_and_when_there_is_room_all_goes_on(
    system: System, api: Asking, tmp_path: Path
) -> None:
    home = system.folder / "press-15.home"
    first, second, notes = tmp_path / "first", tmp_path / "second", tmp_path / "notes"
    notes.mkdir()
    with a_small_disk(home, 48) as disk:
        async with a_station(system, api, "press-15") as station:
            await station.run()
            told = waits_for(first, notes / "told", "echo said; exit 3")
            kept = waits_for(second, notes / "kept", "exit 4")
            runs = [await script(api, "press-15", "told", told)]
            runs.append(await script(api, "press-15", "kept", kept))
            await api.publish(an_inner(first, notes))
            outer = {"name": "make", "process": "three-in-a-row", "on": {"workstation": "press-15"}}
            await api.publish({"name": "all-three", "tasks": [outer]})
            runs.append((await api.post("/runs", {"type": "all-three"}))["id"])
            await until(lambda: len(list(notes.iterdir())) == 3)

            fillers = [fill(disk, "filler")]
            late = f"echo begun >> {notes}/late"
            runs.append(await script(api, "press-15", "late", late))
            await seen(lambda: reports(api, runs[3], "room on its disk"))
            first.touch()  # what is done is written where the reserve was, and what follows waits
            assert (await api.ended(runs[0]))["status"] == "FAILED"
            assert (await api.task(runs[0]))["exit_code"] == 3
            await until(lambda: not (home / "reserve").exists())
            assert await api.output(runs[0]) == b"said\n"

            await seen(lambda: nothing_is_written(station, disk, fillers))
            second.touch()
            await station.killed()
            await seen(lambda: lives_unwritable(station))
            assert (await station.edge("doctor")).returncode == 1
            assert {each.name for each in notes.iterdir()} == {"told", "kept", "one"}
            waiting = [(await api.get(f"/runs/{run}"))["status"] for run in runs[2:]]
            assert waiting == ["IN_PROGRESS", "IN_PROGRESS"]

            for filler in fillers:
                filler.unlink()
            await seen(lambda: undrained(station))
            ended = [(await api.ended(run))["status"] for run in runs]
            assert ended == ["FAILED", "FAILED", "COMPLETED", "COMPLETED"]
            assert (await api.task(runs[1]))["exit_code"] == 4
            await station.delivered()
            assert len(await api.attempts(runs[0])) == len(await api.attempts(runs[1])) == 1
            begun = {each.name: each.read_text() for each in notes.iterdir()}
            assert begun == dict.fromkeys(
                ("told", "kept", "one", "two", "three", "late"), "begun\n"
            )
            assert (home / "reserve").exists()


async def nothing_is_written(station: Station, disk: Path, fillers: list[Path]) -> bool:
    """What is told and thanked for leaves room behind, which is taken as well."""
    fillers.append(fill(disk, f"filler-{len(fillers)}"))
    try:
        await station.ask("drain", why="it is full")
    except local.Refused as refused:
        return "cannot be written" in str(refused)
    return False


async def lives_unwritable(station: Station) -> bool:
    """Started again where it has ended, as a service manager would."""
    if station.process is None or station.process.returncode is not None:
        await station.start()
    told = await station.status()
    return told is not None and bool(told["unwritable"])


async def undrained(station: Station) -> bool:
    with contextlib.suppress(local.Refused):
        await station.ask("undrain")
        return True
    return False


SERVERS_OWN = (
    "argon2",
    "fastapi",
    "httptools",
    "procrastinate",
    "psycopg",
    "psycopg_pool",
    "pydantic",
    "pydantic_core",
    "pydantic_settings",
    "starlette",
    "uvicorn",
)
BLOCKER = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""


async def test_an_agent_needs_nothing_of_the_server_and_little_of_its_machine(
    system: System, api: Asking, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKER.format(names=SERVERS_OWN))
    alone = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    async with a_station(system, api, "press-13") as station:
        station.environment = {**clean_environment(), **alone}
        await station.run()
        run = await script(api, "press-13", "alone-installed", "echo here")
        assert (await api.ended(run))["status"] == "COMPLETED"
        assert (await station.edge("doctor")).returncode == 0
        shown = await station.edge("install", "--print", "--user", "press")
        assert "WatchdogSec=" in shown.stdout
        assert "--slots" in (await station.edge("runner", "--help")).stdout
        assert resident(station.pid) <= 45 << 20
        for names in (SERVERS_OWN, ("uvicorn",)):
            (tmp_path / "sitecustomize.py").write_text(BLOCKER.format(names=names))
            missing = await asyncio.to_thread(without_server, station.environment)
            assert (missing.returncode, "procession[server]" in missing.stderr) == (2, True)


def resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) << 10


def without_server(environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "scheduler", "serve"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
