"""Commands about dead letters: one, some, or all that were selected."""

import time
from collections import Counter
from typing import Any

import click

from scheduler import show
from scheduler.cli_base import Command, Desk, Listing, asks, of
from scheduler.cli_inputs import collect, takes_input
from scheduler.cli_runs import input_schema
from scheduler.cli_times import time_option
from scheduler.client import Refused
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
    ("FINGERPRINT", of("fingerprint")),
    ("ERROR", of("error")),
]
DECIDED: list[Column] = [("ID", of("id")), ("RESULT", of("result")), ("WHY", of("detail"))]
Filters = dict[str, Any]
PAUSE = 1.0


def filtered(command: Command) -> Command:
    """By what many dead letters are named."""
    for option in (
        time_option("--until", "made_to", "Before this time."),
        time_option("--since", "made_from", "A time, or 2h for two hours ago."),
        click.option("--fingerprint", help="Of this kind of error, as `list --groups` shows it."),
        click.option("--task", help="Of this task."),
        click.option("--type", help="Of this process type."),
    ):
        command = option(command)
    return command


def selecting(command: Command) -> Command:
    """Letters by their ids, or by filters; the latter with a look at how many they are."""
    for option in (
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--all", "all", is_flag=True, help="Every one that is open."),
        filtered,
        click.argument("letters", nargs=-1, type=int, metavar="[ID]..."),
    ):
        command = option(command)
    return command


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
@filtered
@click.option("--groups", is_flag=True, help="Group them by task and kind of error.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@asks
def list_letters(desk: Desk, status: str, groups: bool, limit: int, **filters: Any) -> None:
    """List dead letters, the newest first."""
    if groups:
        found = desk.client.get("/dead-letters/groups", limit=min(limit, 200))["items"]
        desk.table(found, GROUPS, "no dead letters")
        return
    found = desk.client.pages("/dead-letters", limit, status=status.upper(), **filters)
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
@selecting
@takes_input
@asks
def redrive(
    desk: Desk,
    letters: tuple[int, ...],
    all: bool,
    yes: bool,
    pairs: tuple[str, ...],
    json_input: str | None,
    input_file: str | None,
    **filters: Any,
) -> None:
    """Take runs up again from what failed; --input lays values over what they had.

    Of several ids or of filters, each dead letter is decided on by itself.
    """

    def schema() -> dict[str, Any]:
        if filters["type"]:
            return input_schema(desk.client, filters["type"], None)
        if not letters:
            return {}
        found = desk.client.get(f"/dead-letters/{letters[0]}")
        return input_schema(desk.client, found["type"], None)

    wish = {"changes": collect(pairs, json_input, input_file, schema)}
    if len(letters) == 1 and not chosen(filters, all):
        run = desk.client.post(f"/dead-letters/{letters[0]}/redrive", wish)
        desk.say(run, f"run {show.short(run['id'])} is {run['status']}, round {run['round']}")
    else:
        decide(desk, "redrive", letters, chosen(filters, all), wish, yes=yes)


@dead_letters.command()
@selecting
@click.option("--note", required=True, help="Why.")
@asks
def discard(
    desk: Desk, letters: tuple[int, ...], all: bool, yes: bool, note: str, **filters: Any
) -> None:
    """Close dead letters for good."""
    if len(letters) == 1 and not chosen(filters, all):
        found = desk.client.post(f"/dead-letters/{letters[0]}/discard", {"note": note})
        desk.say(found, f"dead letter {found['id']} is {found['status']}")
    else:
        decide(desk, "discard", letters, chosen(filters, all), {"note": note}, yes=yes)


def chosen(filters: Filters, all: bool) -> Filters:
    found = {name: value for name, value in filters.items() if value is not None}
    return {**found, "all": True} if all else found


def decide(
    desk: Desk,
    verb: str,
    letters: tuple[int, ...],
    filters: Filters,
    wish: dict[str, Any],
    *,
    yes: bool,
) -> None:
    if bool(letters) == bool(filters):
        raise Refused("name dead letters by their ids, or by filters such as --type, or --all")
    if letters:
        by_ids(desk, verb, letters, wish)
    else:
        by_selection(desk, verb, filters, wish, yes=yes)


def by_ids(desk: Desk, verb: str, letters: tuple[int, ...], wish: dict[str, Any]) -> None:
    answer = desk.client.post(f"/dead-letters/{verb}", {"ids": list(letters), **wish})
    desk.table(answer["items"], DECIDED, "nothing was named")


def by_selection(
    desk: Desk, verb: str, filters: Filters, wish: dict[str, Any], *, yes: bool
) -> None:
    """What is shown is what is decided on, whatever comes in between."""
    found = desk.client.post("/dead-letters/selections", filters)
    count = found["count"]
    if count and not yes:
        click.echo(show.table(LETTERS, found["sample"], room=show.room()), err=True)
        click.confirm(f"{verb} {of_more(found)}?", abort=True, err=True)
    path = f"/dead-letters/selections/{found['id']}/{verb}"
    done, before = desk.client.post(path, {"expected_count": count, **wish}), count
    while left := done["progress"]["pending"]:
        click.echo(f"{left} of {count} to go", err=True)
        if left == before:  # somebody else has them in hand
            time.sleep(PAUSE)
        done, before = desk.client.post(path, {"expected_count": count, **wish}), left
    tell(desk, done)


def of_more(selection: dict[str, Any]) -> str:
    more = ", the oldest of more" if selection["is_capped"] else ""
    return f"these and the others, {selection['count']} in all{more}"


def tell(desk: Desk, done: dict[str, Any]) -> None:
    counts = Counter(done["progress"])
    told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()) if count)
    desk.say(done, told or "no dead letter matches")
    if done["troubles"] and not desk.as_json:
        click.echo(show.table(DECIDED, done["troubles"], room=show.room()))
