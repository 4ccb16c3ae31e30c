"""Which kind of field a rule of a JSON Schema asks for."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Literal

Rule = Mapping[str, Any]
Kind = Literal[
    "text", "number", "flag", "choice", "choices", "lines", "list", "group", "rows", "json"
]
MOST = 150  # properties of one object that have fields; the others are written as JSON
DEEPEST = 3
MOST_CHOICES = 500
LONG = 200  # letters; a text that may be longer has several lines
BOXES = 30
YES_NO = ((True, "yes"), (False, "no"))
SCALARS = ("string", "integer", "number")


def properties_of(rule: Rule) -> dict[str, Rule]:
    found = rule.get("properties")
    if not isinstance(found, Mapping):
        return {}
    return {
        name: part if isinstance(part, Mapping) else {}
        for name, part in islice(found.items(), MOST)
    }


def resolved(rule: Any, root: Rule) -> Rule:
    """With what it refers to, and all that it is made of, laid into it; without 'or null'."""
    found: dict[str, Any] = dict(rule) if isinstance(rule, Mapping) else {}
    for _ in range(10):
        if isinstance(found.get("$ref"), str):
            reference = found.pop("$ref")
            found = {**referred(reference, root), **found}
        elif isinstance(found.get("allOf"), list):
            for part in found.pop("allOf"):
                found = {**(part if isinstance(part, Mapping) else {}), **found}
        elif (part := or_null(found)) is not None:
            found.pop("anyOf", None)
            found.pop("oneOf", None)
            found = {**part, **found}
        else:
            break
    return found


def referred(reference: str, root: Rule) -> Rule:
    part: Any = root
    for step in reference.removeprefix("#/").split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        part = part.get(name) if isinstance(part, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def or_null(rule: Rule) -> Rule | None:
    """What a rule says that is one thing or null."""
    for key in ("anyOf", "oneOf"):
        parts = rule.get(key)
        if not isinstance(parts, list):
            continue
        others = [part for part in parts if part != {"type": "null"}]
        if len(others) == 1 < len(parts) and isinstance(others[0], Mapping):
            return others[0]
    return None


def type_of(rule: Rule) -> str | None:
    given = rule.get("type")
    if isinstance(given, list):
        others = [each for each in given if each != "null"]
        given = others[0] if len(others) == 1 else None
    if given is None and isinstance(rule.get("properties"), Mapping):
        return "object"
    return given if isinstance(given, str) else None


def consts(rule: Rule, root: Rule) -> list[tuple[Any, str]] | None:
    """What a `oneOf` of constants offers, each under its title."""
    for key in ("oneOf", "anyOf"):
        parts = rule.get(key)
        if isinstance(parts, list) and parts:
            found = [resolved(part, root) for part in parts[:MOST_CHOICES]]
            if all("const" in each for each in found):
                return [(each["const"], str(each.get("title", each["const"]))) for each in found]
    return None


def choices_of(rule: Rule, root: Rule) -> list[tuple[Any, str]]:
    if type_of(rule) == "array":
        return choices_of(resolved(rule.get("items"), root), root)
    if isinstance(rule.get("enum"), list):
        return [(each, shown(each)) for each in rule["enum"][:MOST_CHOICES]]
    if "const" in rule:
        return [(rule["const"], shown(rule["const"]))]
    return consts(rule, root) or list(YES_NO)


def shown(value: Any) -> str:
    words = {True: "yes", False: "no", None: "nothing"}
    if value is None or isinstance(value, bool):
        return words[value]
    return str(value)[:200]


def is_choice(rule: Rule, root: Rule) -> bool:
    has_enum = isinstance(rule.get("enum"), list) and bool(rule["enum"])
    return has_enum or "const" in rule or consts(rule, root) is not None


def kind_of(rule: Rule, root: Rule, depth: int, *, required: bool) -> Kind:
    if is_choice(rule, root):
        return "choice"
    match type_of(rule):
        case "string":
            is_long = bool(rule.get("contentMediaType")) or rule.get("maxLength", 0) > LONG
            return "lines" if is_long else "text"
        case "integer" | "number":
            return "number"
        case "boolean":
            return "flag" if required or "default" in rule else "choice"
        case "object":
            return "group" if properties_of(rule) and depth < DEEPEST else "json"
        case "array":
            return kind_of_array(resolved(rule.get("items"), root), root, depth)
    return "json"


def kind_of_array(items: Rule, root: Rule, depth: int) -> Kind:
    if is_choice(items, root):
        return "choices" if len(choices_of(items, root)) <= BOXES else "json"
    if type_of(items) in SCALARS:
        return "list"
    is_plain = bool(properties_of(items)) and depth == 0
    return "rows" if is_plain else "json"
