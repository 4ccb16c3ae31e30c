"""`procession exec`: run a command once, as a recorded run, and see it through."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import click

from scheduler import cli_output, show
from scheduler.cli_base import Desk, asks, read_text
from scheduler.client import Client, Refused
from scheduler.show import FINAL

TIMED_OUT = 124  # as timeout(1) says it
NOT_BEGUN = 126
STOPPED = 3
INTERRUPTED = 130
SHORTEST, LONGEST = 0.03, 0.5


@click.command("exec", context_settings={"allow_interspersed_args": False})
@click.argument("argv", nargs=-1, required=True, metavar="[--] COMMAND…", type=click.UNPROCESSED)
@click.option("--queue", help="Whose workers may run it.  [default: default]")
@click.option("--on", metavar="WHERE", help="A workstation: its name, any, or LABEL=VALUE,….")
@click.option("--timeout", metavar="TIME", help="Such as 90s or 10m.")
@click.option("--cwd", metavar="FOLDER", help="On the worker's machine.  [default: /]")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="Repeatable.")
@click.option("--name", help="What its task is called.  [default: command]")
@click.option("--stdin", metavar="FILE", help="Its standard input, as text; - is ours.")
@asks
def exec_(
    desk: Desk,
    argv: tuple[str, ...],
    queue: str | None,
    on: str | None,
    timeout: str | None,
    cwd: str | None,
    variables: tuple[str, ...],
    name: str | None,
    stdin: str | None,
) -> None:
    """Run a command on a worker or a workstation, show what it prints, and end with its exit code.

    124 if it timed out, 126 if it could not begin, 3 if it was stopped before it began. Ctrl-C
    stops it; a second one leaves it to itself.
    """
    wish = {
        "argv": list(argv),
        "queue": queue,
        "on": None if on is None else {"workstation": where(on)},
        "timeout": timeout,
        "cwd": cwd,
        "env": dict(variable(each) for each in variables) or None,
        "name": name,
        "stdin": None if stdin is None else text_of(stdin),
    }
    given = {key: value for key, value in wish.items() if value is not None}
    run = desk.client.post("/commands", given)
    click.echo(f"run {show.short(run['id'])}", err=True)
    try:
        task = see_through(desk, run["id"])
    except KeyboardInterrupt:
        click.echo(f"\nrun {show.short(run['id'])} goes on", err=True)
        sys.exit(INTERRUPTED)
    if desk.as_json:
        desk.json({**desk.client.get(f"/runs/{run['id']}"), "task": task})
    sys.exit(code_of(desk.client, run["id"], task))


def where(text: str) -> str | dict[str, Any]:
    if "=" not in text:
        return text
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(sign for _, sign, _ in pairs):
        raise Refused(f"--on {text!r}: write a name, any, or LABEL=VALUE,LABEL=VALUE")
    return {"labels": {name: value for name, _, value in pairs}}


def variable(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise Refused(f"--env {text!r}: write NAME=VALUE")
    return name, value


def text_of(file: str) -> str:
    try:
        return read_text(file).decode()
    except UnicodeDecodeError as error:
        raise Refused("--stdin: only text can be given: put other bytes into a file") from error


def see_through(desk: Desk, run: str) -> dict[str, Any]:
    """The task as it ended. The first interrupt stops the command, and goes on watching."""
    watch = Watch(desk, run)
    try:
        return watch.follow()
    except KeyboardInterrupt:
        click.echo("\nstopping; once more to leave it to itself", err=True)
        stop(desk.client, run)
        return watch.follow()


def stop(client: Client, run: str) -> None:
    try:
        client.post(f"/runs/{run}/stop", {"why": "interrupted"})
    except Refused as refused:
        if refused.status != 409:  # it has ended by itself
            raise


@dataclass(slots=True)
class Watch:
    """What was shown of a run already, so that an interrupted watch shows nothing twice."""

    desk: Desk
    run: str
    shown: set[int] = field(default_factory=set)
    at: dict[int, int] = field(default_factory=dict)

    def follow(self) -> dict[str, Any]:
        """Every attempt that is begun, one after the other, until there will be no more."""
        pause = SHORTEST
        while True:
            task = look(self.desk.client, self.run)
            attempt = task["attempt"] if task else 0
            if task and attempt and attempt not in self.shown:
                self.show(task["name"], attempt)
                pause = SHORTEST
            elif task and task["status"] in FINAL:
                return task
            else:
                time.sleep(pause)
                pause = min(pause * 1.5, LONGEST)

    def show(self, task: str, attempt: int) -> None:
        """With --json standard output is for the answer: what was printed goes to the other."""
        out = sys.stderr.buffer if self.desk.as_json else sys.stdout.buffer
        at = self.at.get(attempt, 0)
        for told in cli_output.of_attempt(
            self.desk.client, self.run, task, attempt, follow=True, at=at
        ):
            with uninterrupted():
                cli_output.write(told, out, sys.stderr.buffer)
                at = self.at[attempt] = cli_output.behind(told, at)
        self.shown.add(attempt)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """An interrupt waits until what was written is also known to be."""
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def look(client: Client, run: str) -> dict[str, Any] | None:
    """The run's one task; None while the server is away."""
    try:
        [task] = client.get(f"/runs/{run}/tasks")["items"]
    except Refused as refused:
        if not refused.may_pass:
            raise
        click.echo(f"{refused}; trying again", err=True)
        return None
    return dict(task)


def code_of(client: Client, run: str, task: dict[str, Any]) -> int:
    """The command's own code, unless we ended it or it never began; the reason is said."""
    if task["error"]:
        click.echo(f"procession: {show.plain(task['error'])}", err=True)
    over = client.get(f"/runs/{run}/tasks/{task['name']}/attempts")["items"]
    if over and over[-1]["status"] == "TIMED_OUT":
        return TIMED_OUT
    if task["exit_code"] is not None:
        return int(task["exit_code"])
    return STOPPED if task["status"] == "STOPPED" else NOT_BEGUN


COMMANDS = (exec_,)
