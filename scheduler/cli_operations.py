"""Commands for those who look after the system: dead letters, queues, workers."""

from typing import Any

import click

from scheduler import show
from scheduler.cli_base import Desk, Listing, asks, of, quoted
from scheduler.cli_inputs import collect, takes_input
from scheduler.cli_runs import input_schema
from scheduler.show import Column

LETTERS: list[Column] = [
    ("ID", of("id")),
    ("TYPE", of("type")),
    ("TASK", of("task")),
    ("RUN", lambda row: show.short(row["run"])),
    ("STATUS", of("status")),
    ("SINCE", lambda row: show.moment(row["made_at"])),
    ("ERROR", of("error")),
]
GROUPS: list[Column] = [
    ("LETTERS", of("letters")),
    ("TYPE", of("type")),
    ("TASK", of("task")),
    ("FIRST", lambda row: show.moment(row["first_at"])),
    ("LAST", lambda row: show.moment(row["last_at"])),
    ("ERROR", of("error")),
]
QUEUES: list[Column] = [
    ("QUEUE", of("name")),
    ("READY", of("ready")),
    ("IN HAND", of("in_hand")),
    ("LIMITED", of("limited")),
    ("SIZE", of("size")),
    ("PAUSED", lambda row: show.moment(row["paused_at"])),
    ("NOTE", of("note")),
]
WORKERS: list[Column] = [
    ("WORKER", of("name")),
    ("STATUS", of("status")),
    ("HOST", of("host")),
    ("PID", of("pid")),
    ("IN HAND", lambda row: f"{row['in_hand']}/{row['slots']}"),
    ("RENEWED", lambda row: show.moment(row["renewed_at"])),
    ("QUEUES", lambda row: " ".join(row["queues"])),
]


@click.group("dead-letters", cls=Listing)
def dead_letters() -> None:
    """Tasks that gave up, until somebody decides. Without a command: list them."""


@dead_letters.command("list")
@click.option(
    "--status",
    type=click.Choice(["OPEN", "REDRIVEN", "DISCARDED"], case_sensitive=False),
    default="OPEN",
    show_default=True,
)
@click.option("--type", help="Of this process type.")
@click.option("--groups", is_flag=True, help="Group them by task and kind of error.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@asks
def list_letters(desk: Desk, status: str, type: str | None, groups: bool, limit: int) -> None:
    """List dead letters, the newest first."""
    if groups:
        found = desk.client.get("/dead-letters/groups", limit=min(limit, 200))["items"]
        desk.table(found, GROUPS, "no dead letters")
        return
    found = desk.client.pages("/dead-letters", limit, status=status, type=type)
    desk.table(found, LETTERS, "no dead letters")


@dead_letters.command("show")
@click.argument("letter", type=int)
@asks
def show_letter(desk: Desk, letter: int) -> None:
    """Show a dead letter."""
    found = desk.client.get(f"/dead-letters/{letter}")
    if desk.as_json:
        desk.json(found)
    else:
        click.echo(show.fields([(name.replace("_", " "), found[name]) for name in found]))


@dead_letters.command()
@click.argument("letter", type=int)
@takes_input
@asks
def redrive(desk: Desk, letter: int, **given: Any) -> None:
    """Take its run up again from what failed; --input lays values over those it had."""
    found = desk.client.get(f"/dead-letters/{letter}")
    edited = collect(
        given["pairs"],
        given["json_input"],
        given["input_file"],
        lambda: input_schema(desk.client, found["type"], None),
    )
    input = None if edited is None else {**found["input"], **edited}
    run = desk.client.post(f"/dead-letters/{letter}/redrive", {"input": input})
    desk.say(run, f"run {show.short(run['id'])} is {run['status']}, round {run['round']}")


@dead_letters.command()
@click.argument("letter", type=int)
@click.option("--note", required=True, help="Why.")
@asks
def discard(desk: Desk, letter: int, note: str) -> None:
    """Close a dead letter for good."""
    found = desk.client.post(f"/dead-letters/{letter}/discard", {"note": note})
    desk.say(found, f"dead letter {found['id']} is {found['status']}")


@click.group(cls=Listing)
def queues() -> None:
    """What waits to be claimed, and where. Without a command: list them."""


@queues.command("list")
@asks
def list_queues(desk: Desk) -> None:
    """List the queues that have a setting or work."""
    desk.table(desk.client.get("/queues")["items"], QUEUES, "no queue has a setting or work")


@queues.command()
@click.argument("name")
@click.option("--note", help="Shown to everybody who asks why.")
@asks
def pause(desk: Desk, name: str, note: str | None) -> None:
    """Claim nothing more from a queue; what is in hand goes on."""
    found = desk.client.post(f"/queues/{quoted(name)}/pause", {"note": note})
    desk.say(found, f"queue {name} is paused")


@queues.command()
@click.argument("name")
@asks
def resume(desk: Desk, name: str) -> None:
    """Claim from a paused queue again."""
    desk.say(desk.client.post(f"/queues/{quoted(name)}/resume"), f"queue {name} goes on")


@queues.command()
@click.argument("name")
@click.argument("size", type=click.IntRange(0, 100_000))
@asks
def size(desk: Desk, name: str, size: int) -> None:
    """Bound how many tasks of a queue are in hand at once; 0 lifts it."""
    found = desk.client.put(f"/queues/{quoted(name)}/size", {"size": size or None})
    desk.say(found, f"queue {name}: {f'{size} at once' if size else 'no bound'}")


@click.group(cls=Listing)
def workers() -> None:
    """Who carries tasks out. Without a command: list them."""


@workers.command("list")
@asks
def list_workers(desk: Desk) -> None:
    """List workers; those that are gone, for a day."""
    found = desk.client.get("/workers")["items"]
    desk.table(found, WORKERS, "no workers: `procession worker` starts one")


@workers.command()
@click.argument("name")
@asks
def drain(desk: Desk, name: str) -> None:
    """Let a worker claim nothing more; it goes on with what it has in hand."""
    desk.say(desk.client.post(f"/workers/{quoted(name)}/drain"), f"worker {name} is draining")


@workers.command("resume")
@click.argument("name")
@asks
def resume_worker(desk: Desk, name: str) -> None:
    """Let a draining worker claim again."""
    desk.say(desk.client.post(f"/workers/{quoted(name)}/resume"), f"worker {name} goes on")


COMMANDS = (dead_letters, queues, workers)
