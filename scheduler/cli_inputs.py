"""The input of a run, as people type it: `--input day=2026-01-31`, a file, or JSON."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
import yaml

from scheduler.cli_base import Command, read_json, read_text
from scheduler.client import Refused

Schema = Mapping[str, Any]
WORDS = {"true": True, "false": False}


def takes_input(command: Command) -> Command:
    for option in (
        click.option(
            "--input-file", metavar="FILE", help="Input from a JSON or YAML file; - for stdin."
        ),
        click.option("--json-input", metavar="JSON", help="Input as a JSON object."),
        click.option(
            "--input",
            "pairs",
            multiple=True,
            metavar="KEY=VALUE",
            help="One value of the input; KEY:=JSON for one that is not text. Repeatable.",
        ),
    ):
        command = option(command)
    return command


def collect(
    pairs: Sequence[str],
    json_input: str | None,
    input_file: str | None,
    schema: Callable[[], Schema],
) -> dict[str, Any] | None:
    """All that was given, the more particular over the more general; None if nothing was."""
    if not (pairs or json_input or input_file):
        return None
    given = from_file(input_file) if input_file else {}
    if json_input:
        given |= read_json(json_input, "--json-input")
    known = schema() if any(":=" not in pair for pair in pairs) else {}
    for pair in pairs:
        key, value = split(pair, known.get("properties", {}))
        given[key] = value
    return given


def from_file(file: str) -> dict[str, Any]:
    try:
        value = yaml.safe_load(read_text(file))
    except (yaml.YAMLError, RecursionError) as error:
        raise Refused(f"{file} is neither JSON nor YAML: {error}") from error
    if not isinstance(value, dict):
        raise Refused(f"{file} must hold an object: keys and values")
    return value


def split(pair: str, properties: Mapping[str, Any]) -> tuple[str, Any]:
    key, sign, value = pair.partition("=")
    if not sign or not key:
        raise Refused(f"--input {pair!r}: write KEY=VALUE, or KEY:=JSON")
    if key.endswith(":"):
        return key[:-1], exact(key[:-1], value)
    declared = properties.get(key)
    return key, converted(value, declared if isinstance(declared, dict) else {})


def exact(key: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise Refused(f"--input {key}: {value!r} is not JSON: {error}") from error


def converted(value: str, declared: Schema) -> Any:
    """Text, unless the type declares that something else is wanted and this can be read so."""
    kinds = declared.get("type", "string")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "string" in kinds:
        return value
    if "boolean" in kinds and value.lower() in WORDS:
        return WORDS[value.lower()]
    try:
        return json.loads(value)
    except ValueError:
        return value
