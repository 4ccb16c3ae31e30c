"""What was filled in to a form of a JSON Schema, as JSON again.

An empty field is left out, so that its default holds; a group in which nothing was filled in too.
"""

from collections.abc import Mapping
from typing import Any

from scheduler.domain import careful_json
from scheduler.domain.errors import Invalid
from scheduler.domain.faults import Fault, Unfit
from ui.schema_forms import MISSING, PREFIX, escaped, rows_sent
from ui.schema_shapes import Kind, Rule, kind_of, properties_of, resolved, type_of
from ui.sent import Form

Path = tuple[str | int, ...]


class Reading:
    """One form, read along its schema; what cannot be read is remembered with its place."""

    def __init__(self, form: Form, root: Rule) -> None:
        self.form = form
        self.root = root
        self.faults: list[Fault] = []

    def object(
        self, rule: Rule, prefix: str, path: Path, depth: int
    ) -> tuple[dict[str, Any], bool]:
        """The value, and whether anything of it was filled in."""
        found: dict[str, Any] = {}
        touched = False
        required = set(rule.get("required", ()))
        for name, given in properties_of(rule).items():
            part = resolved(given, self.root)
            kind = kind_of(part, self.root, depth, required=name in required)
            at = (prefix + escaped(name), (*path, name))
            value, is_touched = self.value(part, kind, *at, name in required, depth)
            touched |= is_touched
            if value is not MISSING:
                found[name] = value
        return found, touched

    def value(
        self, rule: Rule, kind: Kind, name: str, path: Path, required: bool, depth: int
    ) -> tuple[Any, bool]:
        match kind:
            case "flag":
                is_set = name in self.form
                return is_set, is_set != rule.get("default", False)
            case "group":
                value, touched = self.object(rule, f"{name}.", path, depth + 1)
                return (value if touched or required else MISSING), touched
            case "rows":
                return self.rows(rule, name, path, required, depth)
            case "choices":
                given = [self.parsed(each, path) for each in self.form.all(name)]
                return (given if given or required else MISSING), bool(given)
            case "list":
                return self.list(rule, name, path, required)
        return self.scalar(kind, name, path)

    def scalar(self, kind: Kind, name: str, path: Path) -> tuple[Any, bool]:
        text = self.form.get(name)
        if not text.strip():
            return MISSING, False
        if kind in ("text", "lines"):
            return text, True
        return (self.number(text, path) if kind == "number" else self.parsed(text, path)), True

    def rows(
        self, rule: Rule, name: str, path: Path, required: bool, depth: int
    ) -> tuple[Any, bool]:
        items, found = resolved(rule["items"], self.root), []
        for number in range(rows_sent(self.form, name)):
            at = (f"{name}.{number}.", (*path, number))
            value, touched = self.object(items, *at, depth + 1)
            if touched:
                found.append(value)
        return (found if found or required else MISSING), bool(found)

    def list(self, rule: Rule, name: str, path: Path, required: bool) -> tuple[Any, bool]:
        text = self.form.get(name)
        if text.lstrip().startswith("["):
            return self.parsed(text, path), True
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if type_of(resolved(rule.get("items"), self.root)) == "string":
            found: Any = lines
        else:
            found = [self.number(line, (*path, n)) for n, line in enumerate(lines)]
        return (found if found or required else MISSING), bool(found)

    def number(self, text: str, path: Path) -> int | float | None:
        try:
            is_whole = text.strip().lstrip("+-").isdigit()
            return int(text) if is_whole else careful_json.finite(text)
        except ValueError:
            self.faults.append(Fault(path, f"{text[:40]!r} is no number"))
            return None

    def parsed(self, text: str, path: Path) -> Any:
        try:
            return careful_json.parse(text.encode())
        except Invalid as error:
            said = str(error).replace("the body is not JSON", "this is not JSON")
            self.faults.append(Fault(path, said))
            return None


def read(
    form: Form, schema: Rule | None, extra: str = "extra", prefix: str = PREFIX
) -> dict[str, Any]:
    """The whole input; raises Unfit with all that cannot be read."""
    reading = Reading(form, schema or {})
    found, _ = reading.object(reading.root, prefix, (), 0)
    if faults := reading.faults:
        said = "; ".join(f"{'.'.join(map(str, each.path))}: {each.text}" for each in faults[:10])
        raise Unfit(said, field=f"{prefix}{faults[0].path[0]}", faults=faults)
    return {**found, **rest(form.get(extra), extra)}


def rest(text: str, name: str) -> dict[str, Any]:
    """More of the input, as JSON; nothing is nothing more."""
    if not text.strip():
        return {}
    try:
        value = careful_json.parse(text.encode())
    except Invalid as error:
        said = str(error).replace("the body is not JSON", "this is not JSON")
        raise Invalid(f"further input: {said}", field=name) from error
    if not isinstance(value, Mapping):
        raise Invalid("further input: write a JSON object", field=name)
    return dict(value)
