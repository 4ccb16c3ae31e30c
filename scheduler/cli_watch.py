"""Waiting for the end of a run, and showing how far it is."""

import sys
import time
from typing import Any

import click

from scheduler import show
from scheduler.cli_base import Desk
from scheduler.client import Refused
from scheduler.show import FINAL, Progress

CODES = {"COMPLETED": 0, "FAILED": 1, "STOPPED": 3}
SHORTEST, LONGEST = 0.05, 0.5
INTERRUPTED = 130


def watch(desk: Desk, run: dict[str, Any]) -> int:
    """The exit code that tells how the run ended."""
    try:
        ended = follow(desk, run["id"])
    except KeyboardInterrupt:
        name = show.short(run["id"])
        click.echo(f"\nrun {name} goes on; `procession show {name}` shows it", err=True)
        return INTERRUPTED
    conclude(desk, ended)
    return CODES[ended["status"]]


def follow(desk: Desk, run: str) -> dict[str, Any]:
    """Looks often at first, then twice a second; waits for a server that is away."""
    progress = None if desk.as_json else Progress(sys.stdout)
    pause = SHORTEST
    while True:
        try:
            found = desk.client.get(f"/runs/{run}")
            if progress:
                progress.update(found, desk.client.pages(f"/runs/{run}/tasks", 10_000))
        except Refused as refused:
            if not refused.may_pass:
                raise
            click.echo(f"{refused}; trying again", err=True)
            pause = LONGEST * 2
        else:
            if found["status"] in FINAL:
                return dict(found)
            pause = min(pause * 1.5, LONGEST)
        time.sleep(pause)


def conclude(desk: Desk, run: dict[str, Any]) -> None:
    if desk.as_json:
        desk.json(run)
        return
    if not sys.stdout.isatty():
        click.echo(f"run {show.short(run['id'])} {run['status']}")
    if run["error"]:
        click.echo(f"{show.plain(run['error'])}", err=True)
