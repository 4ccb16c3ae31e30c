"""The formats that an input's schema may name. A value that is no text has no format."""

import re
from collections.abc import Callable
from datetime import date, datetime, time
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit
from uuid import UUID

CHECKS: dict[str, Callable[[str], object]] = {}

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_CLOCK = re.compile(r"\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_MAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


def _known(name: str) -> Callable[[Callable[[str], object]], Callable[[str], object]]:
    def add(check: Callable[[str], object]) -> Callable[[str], object]:
        CHECKS[name] = check
        return check

    return add


def conforms(name: str, value: object) -> bool:
    try:
        return not isinstance(value, str) or bool(CHECKS[name](value))
    except ValueError:
        return False


@_known("date")
def is_date(text: str) -> object:
    return _DAY.fullmatch(text) and date.fromisoformat(text)


@_known("date-time")
def is_moment(text: str) -> object:
    return _MOMENT.fullmatch(text) and datetime.fromisoformat(_short_fraction(text).upper())


@_known("time")
def is_clock(text: str) -> object:
    # Midnight is false in no way, but a time of day has to be told from None.
    return _CLOCK.fullmatch(text) and time.fromisoformat(_short_fraction(text).upper()) is not None


@_known("email")
def is_mail(text: str) -> object:
    return _MAIL.fullmatch(text)


@_known("hostname")
def is_host(text: str) -> object:
    return len(text) < 254 and _HOST.fullmatch(text)


@_known("ipv4")
def is_ipv4(text: str) -> object:
    return IPv4Address(text) is not None


@_known("ipv6")
def is_ipv6(text: str) -> object:
    return IPv6Address(text) is not None


@_known("uri")
def is_uri(text: str) -> object:
    return not re.search(r"\s", text) and urlsplit(text).scheme


@_known("uuid")
def is_uuid(text: str) -> object:
    return _UUID.fullmatch(text) and UUID(text) is not None


def _short_fraction(text: str) -> str:
    return re.sub(r"(\.\d{6})\d+", r"\1", text)
