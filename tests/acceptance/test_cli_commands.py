"""The command line against a whole system on loopback: database, server, worker, runner."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import Databases

PROCESSION = [sys.executable, "-m", "scheduler"]
READY_WITHIN = 60


@dataclass(frozen=True)
class Shell:
    """A user's shell on the machine that `procession up` runs on."""

    folder: Path
    environment: dict[str, str]

    def run(
        self, *arguments: str, input: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROCESSION, *arguments],
            env=self.environment | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            input=input,
            timeout=60,
            check=False,
        )

    def says(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.says(*arguments, "--json"))

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*PROCESSION, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def apply(self, name: str, *tasks: str, more: str = "") -> None:
        (self.folder / f"{name}.yaml").write_text(
            f"name: {name}\n{more}tasks:\n" + "\n".join(f"  - {{{task}}}" for task in tasks)
        )
        self.says("apply", f"{name}.yaml")


@pytest.fixture(scope="module")
def shell(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("home")
    with databases.cloned() as dsn:
        environment = {
            **{name: value for name, value in os.environ.items() if "PROCESSION" not in name},
            "PROCESSION_DATABASE_URL": dsn,
            "PROCESSION_DATA_DIR": str(folder / "data"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONWARNINGS": "default",
        }
        log = (folder / "up.log").open("w")
        system = subprocess.Popen(
            [*PROCESSION, "up", "--port", "0"],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert system.stdout is not None
            line = system.stdout.readline()
            assert line.startswith("ready http://127.0.0.1:"), (folder / "up.log").read_text()
            del environment["PROCESSION_DATABASE_URL"]
            yield Shell(folder, environment)
        finally:
            system.send_signal(signal.SIGINT)
            system.communicate(timeout=60)
            log.close()


def test_the_server_on_this_machine_is_found_without_being_told(shell: Shell) -> None:
    names = [each["name"] for each in shell.json("types")]
    assert "two-task-process" in names


def test_a_start_that_waits_shows_each_task_and_ends_as_the_run_does(shell: Shell) -> None:
    done = shell.run("start", "two-task-process", "--wait")
    failed = shell.run("start", "failing-process", "--wait")
    lines = done.stdout.splitlines()

    assert done.returncode == 0
    assert [line.split()[1] for line in lines if line.startswith("COMPLETED")] == [
        "test-2-1",
        "test-2-2",
    ]
    assert lines[-1].endswith("COMPLETED")
    assert failed.returncode == 1
    assert "test-failing" in failed.stderr


def test_a_run_that_is_stopped_ends_its_waiter_with_three(shell: Shell) -> None:
    shell.apply("sleeper", "name: sleep, run: sleep 60")
    waiting = shell.begin("start", "sleeper", "--wait", "--json")
    run = until_running(shell, "sleeper")
    shell.says("stop", run["id"][-12:], "--kill", "--why", "enough")
    out, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 3
    assert json.loads(out)["status"] == "STOPPED"


def test_an_interrupted_waiter_leaves_the_run_running_and_says_so(shell: Shell) -> None:
    shell.apply("napper", "name: nap, run: sleep 60")
    waiting = shell.begin("start", "napper", "--wait")
    run = until_running(shell, "napper")
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 130
    assert f"{run['id'][-12:]} goes on" in err
    assert "Traceback" not in err
    assert shell.json("show", run["id"])["status"] == "IN_PROGRESS"
    shell.says("stop", run["id"], "--kill")


def until_running(shell: Shell, type: str) -> dict[str, Any]:
    """The run of that type whose command has begun; pytest's own patience bounds the wait."""
    for _ in range(100):
        for run in shell.json("runs", "--type", type):
            [task] = shell.json("show", run["id"])["task_list"]
            if task["status"] == "IN_PROGRESS":
                return dict(run)
    raise AssertionError(f"no run of {type} began")


def test_input_reaches_commands_as_the_type_declares_it(shell: Shell) -> None:
    schema = "input: {type: object, properties: {n: {type: integer}, word: {type: string}}}\n"
    shell.apply("echoer", "name: say, run: 'echo ${{ input.n }} ${{ input.word }}'", more=schema)
    run = shell.json("start", "echoer", "--wait", "--input", "n=3", "--input", "word=007 a b")
    assert run["input"] == {"n": 3, "word": "007 a b"}
    assert shell.says("logs", run["id"], "say") == "3 007 a b\n"
    refused = shell.run("start", "echoer", "--input", "n=many")
    assert refused.returncode == 2
    assert "n" in refused.stderr


def test_logs_are_followed_to_the_end_of_the_run(shell: Shell) -> None:
    shell.apply(
        "talker",
        "name: one, shell: 'echo one; sleep 0.5; echo more'",
        "name: two, shell: 'printf \"\\\\001\\\\377end\"'",
    )
    run = shell.json("start", "talker")
    followed = subprocess.run(
        [*PROCESSION, "logs", run["id"], "-f"],
        env=shell.environment,
        cwd=shell.folder,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert followed.stdout == b"one\nmore\n\x01\xffend"
    assert b"==> two, attempt 1 <==" in followed.stderr


def test_the_same_key_starts_one_run(shell: Shell) -> None:
    first = shell.json("start", "single-task-process", "--key", "today")
    again = shell.json("start", "single-task-process", "--key", "today")
    assert again["id"] == first["id"]


def test_a_record_is_created_started_changed_and_deleted(shell: Shell) -> None:
    shell.says("records", "create", "nightly", "single-task-process", "--priority", "7")
    assert shell.run("start", "nightly", "--wait").returncode == 0
    assert shell.json("records", "show", "nightly")["current_status"] == "COMPLETED"
    shell.says("records", "update", "nightly", "--description", "every night")
    assert shell.json("records")[0]["description"] == "every night"
    assert "nightly" in shell.says("records")
    shell.says("records", "delete", "nightly")
    assert shell.run("records", "show", "nightly").returncode == 2


def test_a_dead_letter_is_listed_redriven_and_discarded(shell: Shell) -> None:
    shell.run("start", "failing-process", "--wait")
    letter = shell.json("dead-letters", "list")[0]
    shell.says("dead-letters", "redrive", str(letter["id"]))
    assert shell.run("dead-letters", "redrive", str(letter["id"])).returncode == 2
    shell.run("start", "failing-process", "--wait")
    other = shell.json("dead-letters")[0]
    assert "DISCARDED" in shell.says("dead-letters", "discard", str(other["id"]), "--note", "x")


def test_many_dead_letters_are_decided_on_by_ids_or_by_what_they_are(shell: Shell) -> None:
    shell.apply("brittle", "name: snap, run: 'false'")
    for _ in range(5):
        shell.run("start", "brittle", "--wait")
    one, other, *_ = [
        each["id"] for each in shell.json("dead-letters", "list", "--type", "brittle")
    ]
    both = (str(one), str(other))
    assert "discarded" in shell.says("dead-letters", "discard", *both, "--note", "x")
    assert "skipped" in shell.says("dead-letters", "discard", *both, "--note", "x")
    refused = shell.run("dead-letters", "discard", "--type", "brittle", "--note", "x", input="n\n")
    assert refused.returncode == 130
    assert "3 in all" in refused.stderr
    told = shell.says("dead-letters", "redrive", "--type", "brittle", "--since", "1h", "--yes")
    assert told == "3 redriven\n"
    assert shell.run("dead-letters", "redrive", "--yes").returncode == 2
    assert shell.run("dead-letters", "redrive", "7", "--all").returncode == 2


def test_runs_are_found_by_labels_times_and_errors_and_changed(shell: Shell) -> None:
    run = shell.json("start", "two-task-process", "--label", "team=reports")["id"]
    shell.says("change", run, "--label", "line=2", "--unlabel", "team", "--priority", "9")
    assert [each["id"] for each in shell.json("runs", "--label", "line=2")] == [run]
    assert shell.json("runs", "--label", "team=reports") == []
    assert shell.json("runs", "--until", "2020-01-01") == []
    assert run in [each["id"] for each in shell.json("runs", "--since", "1h")]
    assert "no such run" in shell.says("runs", "--error", "no such error")
    assert shell.run("runs", "--since", "yesterday").returncode == 2
    assert shell.run("change", run).returncode == 2


def test_statistics_name_the_types_that_ran(shell: Shell) -> None:
    shell.apply("counted", "name: only, noop: true")
    shell.run("start", "counted", "--wait")
    told = shell.says("statistics", "--window", "1h")
    assert "counted" in told
    assert shell.json("statistics")["window"] == "24h"


def test_a_type_is_compared_retired_and_reinstated(shell: Shell) -> None:
    shell.apply("passing", "name: only, noop: true")
    shell.apply("passing", "name: only, noop: true", more="timeout: 5m\n")
    assert "+timeout: 5m" in shell.says("types", "passing", "--diff", "1")
    shell.says("retire", "passing", "--note", "use counted")
    assert "use counted" in shell.run("start", "passing").stderr
    assert "passing" not in shell.says("types")
    assert "passing" in shell.says("types", "--retired")
    shell.says("reinstate", "passing")
    assert "passing" in shell.says("types", "--find", "ASSI")


def test_hold_why_resume_and_retry_reach_a_run(shell: Shell) -> None:
    shell.says("queues", "pause", "slow", "--note", "serviced")
    shell.apply("waiter", "name: wait, run: 'true', queue: slow")
    run = shell.json("start", "waiter")["id"]
    assert "serviced" in shell.says("why", run)
    assert "HELD" in shell.says("hold", run[-12:])
    assert "IN_PROGRESS" in shell.says("resume", run[-8:])
    assert "STOPPED" in shell.says("stop", run)
    assert "round 2" in shell.says("retry", run, "--whole")
    shell.says("stop", run)
    assert "slow" in shell.says("queues")
    shell.says("queues", "resume", "slow")


def test_a_file_with_faults_is_refused_with_their_places_and_nothing_is_published(
    shell: Shell,
) -> None:
    folder = shell.folder / "definitions"
    folder.mkdir()
    (folder / "a.yaml").write_text("name: fine\ntasks: [{name: a, noop: true}]\n")
    (folder / "b.yml").write_text("name: faulty\ntasks:\n  - {name: a, rum: x}\n")
    applied, checked = shell.run("apply", "definitions"), shell.run("check", "definitions")
    assert applied.returncode == 2
    assert "definitions/b.yml:3:" in applied.stderr
    assert "fine" not in [each["name"] for each in shell.json("types")]
    assert checked.returncode == 1
    assert "definitions/b.yml:3:" in checked.stderr
    assert "definitions/a.yaml: fine" in checked.stdout
    (folder / "b.yml").unlink()
    assert shell.says("apply", "definitions") == "fine v1 published\n"
    assert shell.says("apply", "definitions") == "fine v1 unchanged\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "ffffffffffff"),
        ("show", "xyz"),
        ("start", "no-such-type"),
        ("start", "two-task-process", "--input", "novalue"),
        ("start", "two-task-process", "--json-input", "[1]"),
        ("apply", "no-such-file.yaml"),
        ("retry", "no-run-here"),
        ("runs", "--limit", "0"),
        ("nonsense",),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_and_ends_with_two(
    shell: Shell, arguments: tuple[str, ...]
) -> None:
    done = shell.run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


def test_a_server_that_does_not_answer_is_named(shell: Shell) -> None:
    done = shell.run("runs", PROCESSION_SERVER="http://127.0.0.1:9")
    assert done.returncode == 2
    assert "http://127.0.0.1:9 does not answer" in done.stderr


def test_the_local_admin_token_is_not_sent_to_another_server(shell: Shell) -> None:
    server = json.loads((shell.folder / "data" / "server.json").read_text())["url"]
    other = server.replace("127.0.0.1", "localhost")
    done = shell.run("runs", PROCESSION_SERVER=other)
    assert done.returncode == 2
    assert "bearer token" in done.stderr


def test_a_pipe_that_closes_early_is_no_fault(shell: Shell) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{' '.join(PROCESSION)} types --json | head -c 1"],
        env=shell.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "["
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: Shell, name: str) -> None:
    assert "_PROCESSION_COMPLETE" in shell.says("completion", name)
