"""A stored definition as its author might have written it: the database keeps no order of keys."""

from collections.abc import Mapping
from typing import Any

import yaml

from scheduler.domain.type_reading import KEYS

FIRST = ("name", "description", "needs", "when")  # of a task
PROPERTIES = ("type", "title", "description")  # of a rule of a schema
BREAKS = "\r\x85\u2028\u2029"  # which YAML takes for ends of lines


class Writer(yaml.SafeDumper):
    """What has several lines is written in several lines."""


def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if any(each in value for each in BREAKS) else "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


Writer.add_representer(str, text)


def written(document: Mapping[str, Any]) -> str:
    """Reads back as the same."""
    told: str = yaml.dump(
        ordered(document),
        Dumper=Writer,
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=None,
    )
    return told


def ordered(document: Mapping[str, Any]) -> dict[str, Any]:
    found = sorted_by(document, KEYS)
    if isinstance(found.get("tasks"), list):
        found["tasks"] = [
            sorted_by(each, FIRST) if isinstance(each, Mapping) else each for each in found["tasks"]
        ]
    if isinstance(found.get("input"), Mapping):
        found["input"] = rule(found["input"])
    return found


def rule(given: Mapping[str, Any]) -> dict[str, Any]:
    found = sorted_by(given, PROPERTIES)
    if isinstance(found.get("properties"), Mapping):
        parts = found.pop("properties")
        found["properties"] = {
            name: rule(part) if isinstance(part, Mapping) else part for name, part in parts.items()
        }
    return found


def sorted_by(given: Mapping[str, Any], first: tuple[str, ...]) -> dict[str, Any]:
    """Those keys before the others, which keep their order."""
    known = [key for key in first if key in given]
    return {key: given[key] for key in [*known, *(key for key in given if key not in first)]}
