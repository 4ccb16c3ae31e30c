"""Commands for those who look after the system: queues, workers, statistics."""

from typing import Any

import click

from scheduler import show
from scheduler.cli_base import Desk, Listing, asks, of, quoted
from scheduler.cli_letters import dead_letters
from scheduler.show import Column

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
    ("SDK", lambda row: row.get("sdk") or ""),
]


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


TYPES: list[Column] = [
    ("TYPE", of("type")),
    ("RUNS", of("total")),
    ("SUCCEEDED", lambda row: percent(row["success_rate"])),
    ("TOOK", lambda row: half_and_most(row["duration"])),
    ("WAITED", lambda row: half_and_most(row["wait"])),
]


@click.command()
@click.option(
    "--window",
    type=click.Choice(["1h", "24h", "7d"]),
    default="24h",
    show_default=True,
    help="How far to look back.",
)
@asks
def statistics(desk: Desk, window: str) -> None:
    """What became of the runs of the last hour, day or week."""
    found = desk.client.get("/statistics", window=window)
    if desk.as_json:
        desk.json(found)
        return
    click.echo(show.fields(figures(found)))
    if found["types"]:
        click.echo()
        click.echo(show.table(TYPES, found["types"]))


def figures(found: dict[str, Any]) -> list[tuple[str, Any]]:
    about = "about " if found["is_approximate"] else ""
    return [
        ("runs", f"{about}{found['total']}"),
        *((f"  {state}", count) for state, count in found["runs"].items() if count),
        ("succeeded", percent(found["success_rate"])),
        ("took", half_and_most(found["duration"])),
        ("waited", half_and_most(found["wait"])),
        ("living now", sum(found["living"].values())),
        ("dead letters", found["dead_letters"]["open"]),
    ]


def percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def half_and_most(spread: dict[str, float] | None) -> str:
    """How long at most for half of them, and for nineteen of twenty."""
    if spread is None:
        return ""
    return f"{show.duration(spread['p50'])}, p95 {show.duration(spread['p95'])}"


COMMANDS = (dead_letters, queues, workers, statistics)
