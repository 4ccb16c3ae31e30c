"""Workstations from the command line: the printed line is run on a machine, as a person would."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

from scheduler import cli
from scheduler.services.access import Role
from tests.support.api import tokens_of
from tests.support.postgres import Databases
from tests.support.servers import served
from tests.support.system import arguments_of, pids
from tests.support.waiting import patience

PROCESSION = [sys.executable, "-m", "scheduler"]


@dataclass(frozen=True)
class Shell:
    url: str
    admin: str
    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Within this process: a new one for each takes longer than all that it does."""
        out, error = io.StringIO(), io.StringIO()
        place = {"PROCESSION_SERVER": self.url, "PROCESSION_TOKEN": self.admin}
        with patch.dict(os.environ, place), redirect_stdout(out), redirect_stderr(error):
            code = cli.carry_out(list(arguments))
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), error.getvalue())

    def carry_out(self, argv: list[str], **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            env={**os.environ, "PROCESSION_SERVER": self.url, **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def says(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def shown(self, name: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.says("workstation", "show", name, "--json"))
        return found

    def becomes(self, name: str, **wanted: object) -> dict[str, object]:
        """What is shown of it once it is so."""
        end = time.monotonic() + patience(60)
        while not wanted.items() <= (found := self.shown(name)).items():
            assert time.monotonic() < end, found
        return found

    @contextmanager
    def running(self, machine: str) -> Iterator[None]:
        """Its agent, until it is told to end."""
        with (self.folder / f"{machine}.log").open("w") as log:
            agent = subprocess.Popen(
                [*PROCESSION, "edge", "run"],
                env={**os.environ, "PROCESSION_EDGE_HOME": str(self.folder / machine)},
                stdout=log,
                stderr=log,
            )
            try:
                yield
            finally:
                agent.terminate()
                agent.wait()
                self.end_runner(str(self.folder / machine / "runner"))

    def end_runner(self, place: str) -> None:
        """It outlives its agent."""
        for pid in pids():
            if place in arguments_of(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def paste(self, line: str, machine: str) -> subprocess.CompletedProcess[str]:
        """The line, in a shell of the machine."""
        own = line.replace("| procession ", f"| {sys.executable} -m scheduler ")
        home = str(self.folder / machine)
        return self.carry_out(["sh", "-c", own], PROCESSION_EDGE_HOME=home)


@pytest.fixture(scope="module")
def shell(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("workstations")
    with databases.cloned() as dsn, served(dsn, folder) as url:
        yield Shell(url, asyncio.run(tokens_of(dsn))[Role.ADMIN], folder)


def test_the_printed_line_makes_a_machine_a_workstation_once_and_it_is_looked_after(
    shell: Shell,
) -> None:
    made = shell.run("workstation", "add", "saw-1", "--label", "line=2")
    [line] = made.stdout.splitlines()
    assert line.endswith(f"| procession edge join {shell.url} -")
    assert "--url" in made.stderr  # it is for this machine alone
    assert "one machine" in made.stderr
    joined = shell.paste(line, "saw-1")
    assert joined.returncode == 0, joined.stderr
    assert "joined" in joined.stdout
    shown = shell.shown("saw-1")
    assert str(shown["fingerprint"]) in joined.stdout
    assert shown["labels"] == {"line": "2"}
    again = shell.paste(line, "saw-2")
    assert again.returncode != 0
    assert "used already" in again.stderr
    assert "procession workstation add" in again.stderr

    shell.says("workstation", "label", "saw-1", "hall=7", "line=")
    shell.says("workstation", "note", "saw-1", "the blade is worn")
    shell.says("workstation", "drain", "saw-1", "--reason", "a new blade")
    shell.says("workstation", "allow", "saw-1", "press-1", "--type", "pressing")
    shell.says("workstation", "address", "saw-1", "wss://saw-1:8443", "--dial")
    shown = shell.shown("saw-1")
    assert shown["labels"] == {"hall": "7"}
    assert (shown["note"], shown["drain_reason"]) == ("the blade is worn", "a new blade")
    assert shown["peers"] == {"press-1": ["pressing"]}
    assert (shown["address"], shown["is_dialled"]) == ("wss://saw-1:8443", True)
    assert "saw-1" in shell.says("workstation", "--label", "hall=7")
    assert "no workstations" in shell.says("workstation", "--label", "hall=8")
    shell.says("workstation", "undrain", "saw-1")
    shell.says("workstation", "allow", "saw-1", "press-1")
    shell.says("workstation", "address", "saw-1")
    shown = shell.shown("saw-1")
    assert (shown["draining"], shown["peers"], shown["address"]) == (False, {}, None)

    shell.says("workstation", "revoke", "saw-1", "--yes")
    assert shell.shown("saw-1")["state"] == "REVOKED"
    shell.says("workstation", "remove", "saw-1")
    missing = shell.run("workstation", "show", "saw-1")
    assert missing.returncode == 2
    assert "procession workstation" in missing.stderr


def test_a_machine_that_waits_is_accepted_by_the_fingerprint_that_it_shows(shell: Shell) -> None:
    made = json.loads(shell.says("workstation", "add", "--approve", "--count", "2", "--json"))
    [invitation] = json.loads(shell.says("workstation", "invitations", "--json"))
    assert (invitation["id"], invitation["count"]) == (made["id"], 2)
    assert made["token"] not in json.dumps(invitation)
    joined = shell.paste(f"{made['join']} --name press-1", "press-1")
    assert joined.returncode == 0, joined.stderr
    mark = str(shell.shown("press-1")["fingerprint"])
    assert mark in joined.stdout
    other = "0000:" * 7 + "0000"
    refused = shell.run("workstation", "accept", "press-1", "--fingerprint", other)
    assert refused.returncode == 2
    assert mark in refused.stderr
    shell.says("workstation", "accept", "press-1", "--fingerprint", mark)
    assert shell.shown("press-1")["state"] == "ACCEPTED"
    shell.says("workstation", "withdraw", str(made["id"]))
    assert shell.says("workstation", "invitations").strip() == "nobody is invited"


def test_an_agent_that_runs_takes_another_key_up_and_is_sent_away_when_it_is_revoked(
    shell: Shell,
) -> None:
    line = shell.says("workstation", "add", "saw-3").strip()
    assert shell.paste(line, "saw-3").returncode == 0
    with shell.running("saw-3"):
        before = shell.becomes("saw-3", seen="ONLINE", carrier="stream")
        home = str(shell.folder / "saw-3")
        done = shell.carry_out([*PROCESSION, "edge", "rotate"], PROCESSION_EDGE_HOME=home)
        assert done.returncode == 0, done.stderr
        mark = done.stdout.split()[-1]
        assert mark != before["fingerprint"]
        end = time.monotonic() + patience(60)
        while shell.shown("saw-3")["connected_at"] == before["connected_at"]:
            assert time.monotonic() < end, "it did not come back with its new key"
        shell.becomes("saw-3", seen="ONLINE", fingerprint=mark)
        shell.says("workstation", "revoke", "saw-3", "--yes")
        gone = shell.becomes("saw-3", seen="REVOKED")
        doctor = shell.carry_out([*PROCESSION, "edge", "doctor"], PROCESSION_EDGE_HOME=home)
        assert doctor.returncode == 1
        assert "was revoked by" in doctor.stdout
        assert "--replace" in doctor.stdout
    # A machine that was set up anew takes its place, with all that is known of it.
    line = shell.says("workstation", "add", "saw-3", "--replace").strip()
    assert shell.paste(line, "saw-3 anew").returncode == 0
    found = shell.shown("saw-3")
    assert (found["state"], found["created_at"]) == ("ACCEPTED", gone["created_at"])
    assert found["fingerprint"] != mark
