"""Units that are written for systemd: it reads them as meant, and what they say is true."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from edge import identity, sealing
from edge.agent import installing, local, units
from edge.agent.home import Config, Home, Unusable
from tests.support import units as trial
from tests.support.waiting import patience, until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(bool(trial.why_not()), reason=trial.why_not() or ""),
]

NOWHERE = "http://127.0.0.1:9"  # a port that nobody serves
FOLDER = Path("/mnt/100% of $HOME, it's a hall/edge")


def joined(folder: Path) -> Home:
    home = Home(folder)
    home.prepare()
    identity.make_key(home.key)
    sealing.make_key(home.sealing)
    home.save(Config(server=NOWHERE, name="press-7", slots=2))
    units.give_to(folder, trial.USER)
    return home


@pytest.mark.skipif(not trial.has_systemd(), reason="systemd is not on this machine")
def test_systemd_reads_units_as_they_are_meant_wherever_the_folder_is(tmp_path: Path) -> None:
    places = units.write(units.units(FOLDER, trial.USER, 8), tmp_path)
    found = subprocess.run(
        ["systemd-analyze", "verify", *map(str, places)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in found.stderr.splitlines() if "Special user" not in line]
    assert (found.returncode, said) == (0, [])
    read = trial.as_systemd_reads(tmp_path)
    assert f"ReadWritePaths: {FOLDER}\n" in read
    meant = str(FOLDER).replace("$", "\\$\\$")  # `$$` is `$` when it is carried out
    assert f'edge run --attach --home "{meant}"\n' in read
    assert f'edge runner --slots 8 -- "{meant}/runner"\n' in read


def test_units_are_not_written_for_somebody_who_cannot_run_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "procession"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    monkeypatch.setattr(units, "command", lambda: [str(program)])
    installing.require_runs("root")
    tmp_path.chmod(0o700)
    with pytest.raises(Unusable, match=f"'{trial.USER}' cannot run it: .*Permission denied"):
        installing.require_runs(trial.USER)
    with pytest.raises(Unusable, match="there is no user 'press-9'"):
        installing.require_runs("press-9")
    with pytest.raises(Unusable, match="of its own"):
        installing.require_place(Path("/tmp/edge"))


@contextmanager
def started(unit: trial.Unit, place: Path, **told: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = unit.started(FOLDER, place, place.with_name("log"), **told)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(patience(30))


async def test_what_units_say_is_enough_for_an_agent_and_its_runner(tmp_path: Path) -> None:
    home, made = joined(tmp_path / "home"), units.units(FOLDER, trial.USER, 2)
    with ExitStack() as stack:
        manager = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind(f"\0procession-units-{os.getpid()}")
        manager.setblocking(False)
        told = {"NOTIFY_SOCKET": f"@procession-units-{os.getpid()}", "WATCHDOG_USEC": "300000"}
        heard: list[str] = []

        def hears(text: str) -> bool:
            with suppress(BlockingIOError):
                heard.append(manager.recv(4096).decode())
            return any(text in each for each in heard)

        stack.enter_context(started(trial.read(made.runner), home.path))
        agent = stack.enter_context(started(trial.read(made.agent), home.path, **told))
        await until(lambda: hears("WATCHDOG=1") or agent.poll() is not None)
        assert agent.poll() is None, (tmp_path / "log").read_text()
        assert any("READY=1" in each for each in heard)

        def status() -> dict[str, object] | None:
            found = local.ask(home.path, "status")
            return found if found["runner"]["pid"] else None

        found = await until(status)
        assert (found["unwritable"], found["full"]) == (None, None)
        await until(lambda: "not reached" in (tmp_path / "log").read_text())
        local.ask(home.path, "drain", why="a new blade")
        agent.send_signal(signal.SIGTERM)
        await until(lambda: hears("STOPPING=1"))
        assert agent.wait(patience(30)) == 0
