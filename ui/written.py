"""What people write into the fields of a form, as values; what cannot be read names its field."""

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any

from scheduler.domain import careful_json
from scheduler.domain.calendars import zone_of
from scheduler.domain.documents import UnreadableDocument, load, plain
from scheduler.domain.errors import Invalid, InvalidDefinition, Refusal
from scheduler.domain.schedule_reading import moment_of
from ui.sent import Form
from ui.templating import pretty

LONGEST_NOTE = 2000
LONGEST = 200_000


def note(form: Form, name: str = "note") -> str | None:
    return form.get(name).strip()[:LONGEST_NOTE] or None


def json_of(form: Form, name: str) -> Any:
    """Nothing is None."""
    text = form.get(name)
    if not text.strip():
        return None
    try:
        return careful_json.parse(text.encode())
    except Invalid as fault:
        said = str(fault).replace("the body is not JSON", "this is not JSON")
        raise Invalid(f"{name}: {said}", field=name) from None


def object_of(form: Form, name: str) -> dict[str, Any]:
    """A JSON object; nothing is an empty one."""
    value = json_of(form, name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Invalid(f"{name}: write a JSON object, such as {{}}", field=name)
    return value


def document_of(form: Form, name: str) -> dict[str, Any]:
    """A map in YAML or JSON."""
    try:
        documents = [plain(node) for node in load(form.get(name)[:LONGEST])]
    except UnreadableDocument as fault:
        raise Invalid(f"{name}: {fault}", field=name) from None
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise Invalid(f"{name}: write one map, in YAML or JSON", field=name)
    return documents[0]


def value_of(form: Form, name: str) -> Any:
    """JSON as such, and other text, such as an expression, as text."""
    text = form.get(name).strip()
    return json_of(form, name) if text[:1] in ("{", "[", '"') else text


def shown(value: Any) -> str:
    """As `value_of` reads it again."""
    return "" if value is None else value if isinstance(value, str) else pretty(value)


def compact(value: Any, most: int = 400) -> str:
    """JSON on one line, as far as a list has room for it."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= most else text[:most] + "…"


def whole(form: Form, name: str, *, usual: int, most: int, least: int = 1) -> int:
    text = form.get(name).strip() or str(usual)
    if not (text.isascii() and text.isdecimal() and least <= int(text[:9]) <= most):
        raise Invalid(f"{name}: {text[:20]!r} is no number from {least} to {most}", field=name)
    return int(text)


def decimal(form: Form, name: str) -> int | float:
    try:
        return careful_json.finite(form.get(name).strip())
    except ValueError:
        raise Invalid(f"{name}: {form.get(name)[:20]!r} is no number", field=name) from None


def moment(form: Form, name: str, zone: str) -> Any:
    """A clock in this zone, unless another is named; None where nothing is written."""
    text = form.get(name).strip()
    if not text:
        return None
    try:
        return moment_of(text, zone_of(zone))
    except Invalid as fault:
        raise Invalid(f"{name}: {fault}", field=name) from None


def local(moment: Any, zone: tzinfo) -> str:
    """As a field for date and time takes it."""
    return moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M") if moment else ""


def version(form: Form) -> int:
    """Which one somebody saw when they began to write."""
    return whole(form, "version", usual=0, most=2**31 - 1)


def nonce() -> str:
    return secrets.token_urlsafe(18)


def key_of(form: Form) -> str:
    """A form that is sent twice does its work once."""
    given = form.get("nonce")
    if not given or len(given) > 60 or not given.isascii() or not given.isprintable():
        raise Invalid("this form is not whole: open its page again", field="nonce")
    return f"dashboard {given}"


def fields_at_fault(fault: Refusal | None, known: Sequence[str]) -> Mapping[str, str]:
    """What is wrong with which field, as far as the fault says."""
    if isinstance(fault, InvalidDefinition):
        found: dict[str, str] = {}
        for line in fault.faults:
            where, _, what = line.partition(": ")[2].partition(": ")
            name = where.replace("[", ".").split(".")[0]
            if what and name in known:
                found.setdefault(name, what)
        return found
    if fault is not None and fault.field is not None and fault.field in known:
        return {fault.field: str(fault)}
    return {}
