"""Commands about chores: what servers do in the background."""

import click

from scheduler import show
from scheduler.cli_base import Desk, Listing, asks, of
from scheduler.show import Column

CHORES: list[Column] = [
    ("ID", of("id")),
    ("CHORE", of("chore")),
    ("STATUS", of("status")),
    ("ATTEMPTS", of("attempts")),
    ("NOT BEFORE", lambda row: show.moment(row["scheduled_at"])),
    ("DONE", lambda row: progress(row["done"], row["total"])),
    ("ERROR", of("error")),
]
HISTORY: list[Column] = [
    ("CHORE", of("job")),
    ("KIND", of("chore")),
    ("ATTEMPT", of("attempt")),
    ("STATUS", of("status")),
    ("ENDED", lambda row: show.moment(row["ended_at"])),
    ("ERROR", of("error")),
]
COUNTS: list[Column] = [
    ("CHORE", of("chore")),
    ("SCHEDULED", of("scheduled")),
    ("WAITING", of("waiting")),
    ("RUNNING", of("running")),
    ("FAILED", of("failed")),
]
STATES = click.Choice(["SCHEDULED", "WAITING", "RUNNING", "FAILED"], case_sensitive=False)
ENDS = click.Choice(
    ["SUCCEEDED", "FAILED", "RETRIED", "LOST", "HANDED_BACK", "MERGED", "DELETED"],
    case_sensitive=False,
)
ID = click.argument("chore", metavar="ID", type=click.IntRange(1))
LIMIT = click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))


def progress(done: int | None, total: int | None) -> str:
    if done is None:
        return ""
    return f"{done}/{total}" if total is not None else str(done)


@click.group(cls=Listing)
def chores() -> None:
    """What is done in the background. Without a command: list it."""


@chores.command("list")
@click.option("--status", type=STATES)
@click.option("--kind", help="Such as export.")
@LIMIT
@asks
def list_chores(desk: Desk, status: str | None, kind: str | None, limit: int) -> None:
    """List chores that are not done."""
    state = status.upper() if status else None
    rows = desk.client.pages("/chores", limit, status=state, chore=kind)
    desk.table(rows, CHORES, "all chores are done")


@chores.command()
@asks
def counts(desk: Desk) -> None:
    """Count chores that are not done, by kind."""
    desk.table(desk.client.get("/chores/counts")["items"], COUNTS, "all chores are done")


@chores.command()
@click.option("--status", type=ENDS)
@click.option("--kind", help="Such as export.")
@click.option("--chore", "job", type=click.IntRange(1), help="Of one chore, by its id.")
@LIMIT
@asks
def history(desk: Desk, status: str | None, kind: str | None, job: int | None, limit: int) -> None:
    """List attempts that ended. With --json: with their traces."""
    state = status.upper() if status else None
    rows = desk.client.pages("/chores/history", limit, status=state, chore=kind, job=job)
    desk.table(rows, HISTORY, "nothing has ended yet")


@chores.command("run-now")
@ID
@asks
def run_now(desk: Desk, chore: int) -> None:
    """Run a chore now that was put off."""
    desk.say(desk.client.post(f"/chores/{chore}/run-now"), f"chore {chore} runs as soon as it can")


@chores.command()
@click.argument("chore", metavar="[ID]", type=click.IntRange(1), required=False)
@click.option("--all", "kind", metavar="KIND", help="All failed ones of a kind instead.")
@asks
def retry(desk: Desk, chore: int | None, kind: str | None) -> None:
    """Let a failed chore begin again."""
    if (chore is None) == (kind is None):
        raise click.UsageError("give either an ID or --all KIND")
    if kind is not None:
        found = desk.client.post("/chores/retry", {"chore": kind})
        desk.say(found, f"{found['retried']} chores wait again")
        return
    desk.say(desk.client.post(f"/chores/{chore}/retry"), f"chore {chore} waits again")


@chores.command()
@ID
@asks
def delete(desk: Desk, chore: int) -> None:
    """Delete a chore that waits or failed."""
    desk.client.delete(f"/chores/{chore}")
    desk.say({"id": chore, "deleted": True}, f"chore {chore} deleted")


COMMANDS = (chores,)
