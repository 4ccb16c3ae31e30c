"""Commands about workflows: what they are sent, what they tell, forks."""

import json
from typing import Any

import click

from scheduler import show
from scheduler.cli_base import Desk, asks, of
from scheduler.cli_inputs import exact
from scheduler.show import Column

TOLD: list[Column] = [
    ("NAME", of("name")),
    ("AT", lambda each: show.moment(each["at"])),
    ("VALUE", lambda each: json.dumps(each["value"], ensure_ascii=False)),
]
MOST = 1_000


@click.command()
@click.argument("run")
@click.argument("topic", default="")
@click.option("--body", metavar="JSON", help="What it says; null if left out.")
@click.option("--key", metavar="TEXT", help="Sent once, however often it is sent.")
@asks
def send(desk: Desk, run: str, topic: str, body: str | None, key: str | None) -> None:
    """Send a message to the workflow of a run, which takes it with `recv`."""
    value = None if body is None else exact("--body", body)
    wish = {"topic": topic, "body": value, "key": key}
    sent = desk.client.post(f"/runs/{desk.run_id(run)}/messages", wish)
    desk.say(sent, f"message {sent['id']} is sent")


@click.command()
@click.argument("run")
@click.option("--key", metavar="TEXT", help="All that was told under it, in its order.")
@asks
def values(desk: Desk, run: str, key: str | None) -> None:
    """Show what the workflow of a run tells: the newest value under each key."""
    query = {} if key is None else {"key": key}
    told: list[Any] = desk.client.pages(f"/runs/{desk.run_id(run)}/values", MOST, **query)
    desk.table(told, TOLD, "it has told nothing")


@click.command()
@click.argument("run")
@click.option(
    "--from", "from_seq", type=click.IntRange(1), required=True, help="The first call made anew."
)
@click.option("--task", help="Which of its workflows, if there are several.")
@asks
def fork(desk: Desk, run: str, from_seq: int, task: str | None) -> None:
    """Start another run that begins with what the workflow of a run knew below a call."""
    wish = {"from_seq": from_seq, "task": task}
    made = desk.client.post(f"/runs/{desk.run_id(run)}/fork", wish)
    desk.say(made, f"run {show.short(made['id'])} is {made['status']}")


COMMANDS = (send, values, fork)
