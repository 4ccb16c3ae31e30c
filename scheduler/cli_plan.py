"""Trying a definition before it is published: what a run would do, and whether it does that."""

import json
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scheduler.cli_base import read_text
from scheduler.cli_inputs import collect, takes_input
from scheduler.client import Refused

if TYPE_CHECKING:
    from scheduler.domain.planning import Planned
    from scheduler.domain.process_types import ProcessType
    from scheduler.domain.trials import Trial

SIGNS = {"runs": " ", "skipped": "-", "perhaps": "?", "cannot": "!"}


@click.command()
@click.argument("file")
@click.option("--type", "name", metavar="NAME", help="Of a file with several types: this one.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
@takes_input
def plan(
    file: str,
    name: str | None,
    as_json: bool,
    pairs: Sequence[str],
    json_input: str | None,
    input_file: str | None,
) -> None:
    """Show what a run of a definition would do, without a server; ends with 1 if it could not.

    Values that depend on what tasks bring about are shown as they are written, secrets never.
    """
    from scheduler.domain import planning
    from scheduler.domain.process_types import check_input

    process_type = the_type(file, name)
    given = collect(pairs, json_input, input_file, lambda: process_type.input_schema or {}) or {}
    planned = planning.plan(process_type, check_input(process_type, given))
    click.echo(as_documents(planned) if as_json else "\n".join(lines(planned)))
    sys.exit(any(each.verdict == "cannot" for each in planned))


def the_type(file: str, name: str | None) -> "ProcessType":
    from scheduler.domain.process_types import parse

    try:
        found = parse(read_text(file).decode("utf-8-sig"), source=file)
    except UnicodeDecodeError as error:
        raise Refused(f"{file} is not UTF-8 (byte {error.start})") from error
    chosen = [each for each in found if name in (None, each.name)]
    if len(chosen) != 1:
        known = ", ".join(each.name for each in found)
        raise Refused(f"{file} holds {known}: say which with --type NAME")
    return chosen[0]


def as_documents(planned: Sequence["Planned"]) -> str:
    from dataclasses import asdict

    return json.dumps([asdict(each) for each in planned], indent=2, ensure_ascii=False)


def lines(planned: Sequence["Planned"]) -> list[str]:
    found: list[str] = []
    for wave, tasks in groupby(planned, lambda each: each.wave):
        found.append(f"{wave}.")
        found += [line for each in tasks for line in about(each)]
    return found


def about(planned: "Planned") -> list[str]:
    does = planned.does or planned.kind
    head = f"  {SIGNS[planned.verdict]} {planned.name}"
    if planned.verdict in ("skipped", "cannot") and not planned.does:
        return [clean(f"{head}: {planned.verdict}, {planned.why}")]
    first, *script = does.split("\n")
    return [
        clean(f"{head}: {first}"),
        *(clean(f"      {line}") for line in script if line),
        *([clean(f"      ({planned.verdict}: {planned.why})")] if planned.why else []),
        *(clean(f"      {key}: {worded(value)}") for key, value in planned.details.items()),
        *([f"      at {placed(planned.place)}"] if planned.place else []),
    ]


def clean(line: str) -> str:
    """Without control characters: what a value holds must not drive the terminal."""
    return "".join(sign if sign.isprintable() else "·" for sign in line)


def placed(place: Any) -> str:
    return clean(", ".join(f"{key} {value}" for key, value in place.items()))


def worded(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@click.command("test")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def try_out(files: tuple[str, ...]) -> None:
    """Play runs through with given outputs, and compare them with what is expected.

    A file lists tests; it names its definition, or is called like it: order.test.yaml tests
    order.yaml. Nothing is carried out, and no server is needed. Ends with 1 if a test fails.
    """
    from scheduler.domain.errors import InvalidDefinition

    failed = False
    for file in files:
        try:
            for test in tests_of(file):
                failed |= is_otherwise(file, test)
        except InvalidDefinition as error:
            failed = True
            click.echo("\n".join(error.faults), err=True)
    sys.exit(failed)


def tests_of(file: str) -> "list[tuple[ProcessType, Trial]]":
    from scheduler.domain import trials

    try:
        found = trials.read(read_text(file).decode("utf-8-sig"), file)
    except UnicodeDecodeError as error:
        raise Refused(f"{file} is not UTF-8 (byte {error.start})") from error
    definition = found.definition or Path(file).name.replace(".test.", ".")
    if definition == Path(file).name:
        raise Refused(f"{file} does not say what it tests: add 'definition: FILE'")
    process_type = the_type(str(Path(file).parent / definition), found.type)
    return [(process_type, trial) for trial in found.tests]


def is_otherwise(file: str, test: "tuple[ProcessType, Trial]") -> bool:
    from scheduler.domain import trials
    from scheduler.domain.errors import Invalid

    process_type, trial = test
    try:
        found = list(trials.differences(process_type, trial))
    except Invalid as refused:
        found = str(refused).split("\n")
    click.echo(clean(f"{file}: {trial.name}: {'otherwise' if found else 'as expected'}"))
    for line in found:
        click.echo(clean(f"  {line}"))
    return bool(found)


COMMANDS = (plan, try_out)
