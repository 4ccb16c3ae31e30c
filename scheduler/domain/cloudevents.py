"""CloudEvents 1.0: structured, in batches, and in the headers of HTTP.

What they call subject is our key, unless the attribute `key` says it; what is ours nowhere else is
kept with the event.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote_to_bytes

from scheduler.domain.errors import Invalid
from scheduler.domain.events import NewEvent

VERSION = "1.0"
STRUCTURED, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"
PREFIX = "ce-"
ATTRIBUTE = re.compile(r"[a-z0-9]{1,100}")
OURS = ("specversion", "id", "source", "type", "time", "key", "data", "data_base64")
LONGEST_VALUE = 4_000
MOST_ATTRIBUTES = 50


def of_documents(value: Any) -> list[NewEvent]:
    if not isinstance(value, list):
        raise Invalid("a batch of CloudEvents is a list", field="body")
    return [of_document(each, f"[{number}]") for number, each in enumerate(value)]


def of_document(value: Any, at: str = "body") -> NewEvent:
    """The event of one JSON object."""
    if not isinstance(value, dict):
        raise Invalid("a CloudEvent is an object", field=at)
    if "data" in value and "data_base64" in value:
        raise Invalid("'data' and 'data_base64' exclude each other", field=f"{at}.data")
    data = value.get("data")
    if "data_base64" in value:
        data = {"base64": checked_base64(value["data_base64"], f"{at}.data_base64")}
    return of_attributes(value, data, at)


def is_binary(headers: Mapping[str, str]) -> bool:
    return "ce-specversion" in headers


def of_headers(
    headers: Mapping[str, str], body: bytes, json_body: Any, *, is_json: bool
) -> NewEvent:
    """The event of a request whose body is the data alone."""
    attributes: dict[str, Any] = {
        name.removeprefix(PREFIX): decoded(value, name)
        for name, value in headers.items()
        if name.startswith(PREFIX)
    }
    kind = headers.get("content-type")
    if kind is not None:
        attributes["datacontenttype"] = kind
    return of_attributes(attributes, json_body if is_json else data_of(body, kind), "header")


def data_of(body: bytes, kind: str | None) -> Any:
    """Text as text, what is none as base64."""
    if not body:
        return None
    if (kind or "").startswith("text/"):
        try:
            return body.decode()
        except UnicodeDecodeError:
            raise Invalid("the body is not UTF-8", field="body") from None
    return {"base64": base64.b64encode(body).decode()}


def decoded(value: str, name: str) -> str:
    """Headers carry other than ASCII as %XX."""
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise Invalid("its percent signs stand for no UTF-8", field=name) from None


def of_attributes(given: Mapping[str, Any], data: Any, at: str) -> NewEvent:
    if given.get("specversion") != VERSION:
        raise Invalid(f"specversion {VERSION!r} is read here", field=f"{at}.specversion")
    return NewEvent(
        source=required(given, "source", at),
        id=required(given, "id", at),
        type=required(given, "type", at),
        key=key_of(given, at),
        data=data,
        occurred_at=time_of(given, at),
        attributes=others(given, at),
    )


def required(given: Mapping[str, Any], name: str, at: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise Invalid(f"a CloudEvent needs the text {name!r}", field=f"{at}.{name}")
    return value


def key_of(given: Mapping[str, Any], at: str) -> str:
    value = given.get("key", given.get("subject"))
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Invalid("it is no text", field=f"{at}.key" if "key" in given else f"{at}.subject")
    return value


def time_of(given: Mapping[str, Any], at: str) -> datetime | None:
    value = given.get("time")
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is None or not 1 < found.year < 9999:
            raise ValueError
    except (ValueError, TypeError):
        raise Invalid(
            "a time such as 2026-01-31T06:00:00Z is expected", field=f"{at}.time"
        ) from None
    return found


def others(given: Mapping[str, Any], at: str) -> dict[str, Any]:
    found = {name: value for name, value in given.items() if name not in OURS}
    if len(found) > MOST_ATTRIBUTES:
        raise Invalid(f"more than {MOST_ATTRIBUTES} attributes", field=at)
    for name, value in found.items():
        if not ATTRIBUTE.fullmatch(name):
            raise Invalid(
                "an attribute's name is small letters and digits", field=f"{at}.{name[:40]}"
            )
        if not isinstance(value, str | bool | int) or len(str(value)) > LONGEST_VALUE:
            raise Invalid(
                f"an attribute is a text of up to {LONGEST_VALUE}, a whole number or a flag",
                field=f"{at}.{name}",
            )
    return found


def checked_base64(value: Any, field: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise Invalid("it is no base64", field=field) from None
    return str(value)
