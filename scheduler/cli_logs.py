"""`procession logs`: what the commands of a run printed, byte for byte."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from scheduler import cli_output
from scheduler.cli_base import Desk, asks, quoted
from scheduler.cli_runs import tasks_of
from scheduler.client import Client
from scheduler.show import FINAL

PAUSE = 0.3


@click.command()
@click.argument("run")
@click.argument("task", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@click.option(
    "--attempt", type=click.IntRange(1), help="With a task: this attempt, not the latest."
)
@asks
def logs(desk: Desk, run: str, task: str | None, follow: bool, attempt: int | None) -> None:
    """Print what the commands of a run printed: all tasks in their order, or one."""
    whole = desk.run_id(run)
    if task is not None:
        found = desk.client.get(f"/runs/{whole}/tasks/{quoted(task)}")
        copy(desk.client, whole, found, attempt or found["attempt"], follow=follow)
        return
    has_many = desk.client.get(f"/runs/{whole}")["tasks"] > 1
    for each in begun(desk.client, whole, follow=follow):
        if has_many:
            sys.stdout.flush()
            click.echo(f"==> {each['name']}, attempt {each['attempt']} <==", err=True)
        copy(desk.client, whole, each, each["attempt"], follow=follow)


def begun(client: Client, run: str, *, follow: bool) -> Iterator[dict[str, Any]]:
    """Each attempt that has begun, once; with `follow`, until there will be no more."""
    shown: set[tuple[int, int]] = set()
    while True:
        # Asked first: if the run has ended now, the tasks that are read then are all.
        ended = client.get(f"/runs/{run}")["status"] in FINAL
        for task in tasks_of(client, run):
            key = (task["position"], task["attempt"])
            if task["attempt"] and key not in shown:
                shown.add(key)
                yield task
        if ended or not follow:
            return
        time.sleep(PAUSE)


def copy(client: Client, run: str, task: dict[str, Any], attempt: int, *, follow: bool) -> None:
    if not attempt:
        return
    out = sys.stdout.buffer
    for told in cli_output.of_attempt(client, run, task["name"], attempt, follow=follow):
        cli_output.write(told, out, out)


COMMANDS = (logs,)
