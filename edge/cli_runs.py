"""Runs and questions at the workstation itself, and orders to other workstations."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from edge.cli import at_home

OVER = ("COMPLETED", "FAILED", "STOPPED", "CANCELLED")
WELL = ("COMPLETED", "SUCCEEDED")
LOOK = 0.3  # seconds between two looks at a run
LONGEST = 7 * 86_400.0


def inputs(pairs: tuple[str, ...], text: str | None) -> dict[str, Any]:
    """As `procession start` takes them: KEY=TEXT, KEY:=JSON, and a whole object."""
    found: Any = parsed(text, "--json-input") if text else {}
    if not isinstance(found, dict):
        raise click.BadParameter("an object is due", param_hint="--json-input")
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name.rstrip(":"):
            raise click.BadParameter(f"{pair!r}: write KEY=TEXT or KEY:=JSON", param_hint="--input")
        is_json = name.endswith(":")
        found[name.rstrip(":")] = parsed(value, "--input") if is_json else value
    return found


def parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text[:80]!r} is not JSON: {error}", param_hint=where) from None


@click.command()
@click.argument("type")
@click.option("--on", "peer", metavar="PEER", help="At this workstation, and not here.")
@click.option("--input", "pairs", multiple=True, metavar="KEY=VALUE", help="KEY:=JSON too.")
@click.option("--json-input", metavar="JSON", help="Input as a JSON object.")
@click.option("--version", "number", type=click.IntRange(min=1), help="[default: the newest]")
@click.option("--run", metavar="UUID", help="Its id, so that asked for twice it is the same run.")
@click.option("--by", help="Who asks.")
@click.option("--wait", is_flag=True, help="Until it is over; ends with 1 if it did not go well.")
@at_home
def start(
    home: Any,
    type: str,
    peer: str | None,
    pairs: tuple[str, ...],
    json_input: str | None,
    number: int | None,
    run: str | None,
    by: str | None,
    wait: bool,
) -> None:
    """Start a run here or at another workstation, with or without the server."""
    from edge.agent import local

    if run is not None and peer is None:
        raise click.UsageError("--run belongs to --on")
    given: dict[str, Any] = {"type": type, "input": inputs(pairs, json_input), "version": number}
    given |= {name: each for name, each in (("by", by), ("run", run), ("on", peer)) if each}
    found = local.ask(home.path, "order" if peer else "start", **given)["run"]
    click.echo(found)
    if wait:
        ended = order_ended(home, found) if peer else run_ended(home, found)
        click.echo(told(ended), err=ended["ending"] not in WELL)
        sys.exit(0 if ended["ending"] in WELL else 1)


def order_ended(home: Any, run: str) -> Mapping[str, Any]:
    from edge.agent import local

    found: Mapping[str, Any] = local.ask(home.path, "wait-order", patience=LONGEST, run=run)
    return found


def run_ended(home: Any, run: str) -> Mapping[str, Any]:
    from edge.agent import local

    while (found := local.ask(home.path, "run", run=run))["state"] not in OVER:
        time.sleep(LOOK)
    return {"ending": found["state"], "error": found["error"], "output": found["output"]}


def told(ended: Mapping[str, Any]) -> str:
    if ended["error"]:
        return f"{ended['ending']}: {ended['error']}"
    return json.dumps(ended["output"]) if ended["output"] is not None else str(ended["ending"])


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
@at_home
def runs(home: Any, as_json: bool) -> None:
    """Runs that this workstation decides about."""
    show(home, "runs", as_json, run_lines)


def run_lines(found: Any) -> Iterator[str]:
    for each in found:
        where = f"at {each['task']}" if each["task"] else each["error"] or ""
        yield f"{each['run']}  {each['state']:<11}  {each['type']}  {where}".rstrip()


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
@at_home
def orders(home: Any, as_json: bool) -> None:
    """What was ordered of other workstations here, what they ordered, and who can be called."""
    show(home, "orders", as_json, order_lines)


def order_lines(found: Any) -> Iterator[str]:
    for each in found["orders"]:
        state = each["ending"] or ("taken" if each["taken"] else "not taken yet")
        news = each["news"] or {}
        where = f"at {news['task']}, {news['over']} of {news['total']}" if news.get("task") else ""
        why = each["error"] or each["why"] or news.get("why") or where
        yield f"{each['run']}  {state:<13}  {each['type']} at {each['peer']}  {why}".rstrip()
    for each in found["given"]:
        yield f"{each['run']}  {each['ending'] or 'in hand':<13}  {each['type']} for {each['from']}"
    for each in found["peers"]:
        may = ", ".join(each["types"]) or "nothing"
        yield f"{each['name']} at {each['address']}: {may} may be started there"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
@at_home
def questions(home: Any, as_json: bool) -> None:
    """What runs here ask, and nobody has answered."""
    show(home, "questions", as_json, question_lines)


def question_lines(found: Any) -> Iterator[str]:
    for each in found:
        yield f"{each['id']}  {each['type']} {each['task']}  {each['message']}"


def show(home: Any, verb: str, as_json: bool, lines: Any) -> None:
    from edge.agent import local

    found = local.ask(home.path, verb)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(lines(found)) or "none")


@click.command()
@click.argument("question", type=int)
@click.argument("word", type=click.Choice(["approve", "reject"]))
@click.option("--note", default="", help="Why; whoever rejects has to say it.")
@click.option("--data", "pairs", multiple=True, metavar="KEY=VALUE", help="KEY:=JSON too.")
@click.option("--by", help="Who answers.")
@at_home
def answer(
    home: Any, question: int, word: str, note: str, pairs: tuple[str, ...], by: str | None
) -> None:
    """Answer a question of a run here."""
    from edge.agent import local

    given: dict[str, Any] = {"id": question, "approve": word == "approve", "note": note}
    given |= {"data": inputs(pairs, None)} | ({"by": by} if by else {})
    local.ask(home.path, "answer", **given)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
@at_home
def types(home: Any, as_json: bool) -> None:
    """What can be started here without the server."""
    show(home, "types", as_json, type_lines)


def type_lines(found: Any) -> Iterator[str]:
    for each in found:
        yield f"{each['name']}  version {each['version']}  {each['description']}".rstrip()


@click.command()
@click.argument("type")
@click.option("--key", default="", help="What it is about.")
@click.option("--data", "pairs", multiple=True, metavar="KEY=VALUE", help="KEY:=JSON too.")
@click.option("--id", "name", default="", help="Told again with the same one, it happened once.")
@at_home
def event(home: Any, type: str, key: str, pairs: tuple[str, ...], name: str) -> None:
    """Say that something has happened here, to runs that wait for it."""
    from edge.agent import local

    local.ask(home.path, "event", type=type, key=key, data=inputs(pairs, None), id=name)


COMMANDS = (start, runs, orders, questions, answer, types, event)
