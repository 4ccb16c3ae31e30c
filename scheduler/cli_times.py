"""Times as people type them: a moment, or how long ago."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click

from scheduler.cli_base import Command

AGO = re.compile(r"(\d{1,6})(s|m|h|d|w)")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def time_option(flag: str, name: str, help: str) -> Callable[[Command], Command]:
    """`2h` is two hours ago; else a time of ISO 8601, of here if it names no zone."""
    return click.option(flag, name, metavar="TIME", callback=read, help=help)


def read(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else moment(value, datetime.now(UTC)).isoformat()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{value!r}: write how long ago (90m, 2h, 7d) or a time"
        ) from error


def moment(text: str, now: datetime) -> datetime:
    if ago := AGO.fullmatch(text):
        return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    return datetime.fromisoformat(text).astimezone(UTC)
