"""Commands about chores: what servers do in the background."""

from typing import BinaryIO

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


RULES: list[Column] = [
    ("ID", of("id")),
    ("TYPE", lambda row: row["type"] or "all others"),
    ("STATUS", of("status")),
    ("KEPT FOR", of("keep_for")),
    ("AND THE LAST", of("keep_last")),
]
EXPORTS: list[Column] = [
    ("ID", of("id")),
    ("WHAT", of("what")),
    ("FORMAT", of("format")),
    ("ROWS", of("rows")),
    ("DONE", lambda row: show.moment(row["done_at"])),
    ("EXPIRES", lambda row: show.moment(row["expires_at"])),
]
FINAL = click.Choice(["COMPLETED", "FAILED", "STOPPED"], case_sensitive=False)


@click.group(cls=Listing)
def retention() -> None:
    """What is removed when. Without a command: list the rules."""


@retention.command("list")
@asks
def list_rules(desk: Desk) -> None:
    """List the rules."""
    found = desk.client.get("/retention")
    desk.table(found["rules"], RULES, "no run is ever removed")
    if desk.as_json:
        return
    terms = [("attempts, history and output", found["details"]["keep_for"])]
    terms += [(term["what"], term["keep_for"]) for term in found["terms"]]
    for what, keep_for in terms:
        click.echo(f"{what}: {keep_for or 'for ever'}")


@retention.command()
@click.option("--status", type=FINAL, required=True)
@click.option("--type", help="Runs of this type; otherwise of all types without a rule.")
@click.option("--keep-last", type=click.IntRange(1), help="So many of the newest stay anyway.")
@click.argument("keep_for", metavar="LENGTH")
@asks
def keep(desk: Desk, status: str, type: str | None, keep_last: int | None, keep_for: str) -> None:
    """Keep runs that ended so for this long, such as 30d."""
    wish = {"type": type, "status": status.upper(), "keep_for": keep_for, "keep_last": keep_last}
    desk.say(desk.client.put("/retention/rules", wish), f"kept for {keep_for}")


@retention.command()
@click.argument("rule", metavar="ID", type=click.IntRange(1))
@asks
def forget(desk: Desk, rule: int) -> None:
    """Remove nothing any more by a rule."""
    desk.client.delete(f"/retention/rules/{rule}")
    desk.say({"id": rule, "deleted": True}, f"rule {rule} is gone")


@retention.command("keep-details")
@click.argument("keep_for", metavar="LENGTH|ever")
@asks
def keep_details(desk: Desk, keep_for: str) -> None:
    """Keep attempts, history and output for this long."""
    wish = {"keep_for": None if keep_for == "ever" else keep_for}
    desk.say(desk.client.put("/retention/details", wish), f"details are kept for {keep_for}")


@retention.command("keep-others")
@click.argument("what", type=click.Choice(["ticks", "rollups", "audit"]))
@click.argument("keep_for", metavar="LENGTH|ever")
@asks
def keep_others(desk: Desk, what: str, keep_for: str) -> None:
    """Keep ticks of schedules, hourly counts or the audit log for this long."""
    wish = {"keep_for": None if keep_for == "ever" else keep_for}
    desk.say(desk.client.put(f"/retention/terms/{what}", wish), f"{what} are kept for {keep_for}")


@retention.command()
@asks
def run(desk: Desk) -> None:
    """Remove now what is kept no longer."""
    found = desk.client.post("/retention/run")
    desk.say(found, f"chore {found['chore']} does it")


@click.group(cls=Listing)
def exports() -> None:
    """Runs and history as files. Without a command: list them."""


@exports.command("list")
@LIMIT
@asks
def list_exports(desk: Desk, limit: int) -> None:
    """List files that have not expired."""
    desk.table(desk.client.pages("/exports", limit), EXPORTS, "no exports")


@exports.command()
@click.argument("what", type=click.Choice(["runs", "history"]))
@click.option("--format", type=click.Choice(["csv", "ndjson"]), default="ndjson")
@click.option("--type", help="Of runs: of this type.")
@click.option("--status", type=FINAL)
@click.option("--since", metavar="TIME")
@click.option("--until", metavar="TIME")
@asks
def create(desk: Desk, what: str, **given: str | None) -> None:
    """Ask for a file."""
    wish = {"what": what, **{name: value for name, value in given.items() if value}}
    found = desk.client.post("/exports", wish)
    desk.say(found, f"export {found['id']} is being written")


@exports.command()
@click.argument("export", metavar="ID")
@click.argument("file", type=click.File("wb", lazy=False), default="-")
@asks
def save(desk: Desk, export: str, file: BinaryIO) -> None:
    """Save a file that is done, by default to the standard output."""
    with desk.client.stream(f"/exports/{export}/file") as answer:
        for part in answer.iter_bytes():
            file.write(part)


@exports.command("delete")
@click.argument("export", metavar="ID")
@asks
def delete_export(desk: Desk, export: str) -> None:
    """Delete a file before it expires."""
    desk.client.delete(f"/exports/{export}")
    desk.say({"id": export, "deleted": True}, f"export {export} deleted")


COMMANDS = (chores, retention, exports)
