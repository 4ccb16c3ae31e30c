"""Times as people type them: a moment, or how long ago."""

import re
from datetime import UTC, datetime, timedelta

import click

AGO = re.compile(r"(\d{1,6})(s|m|h|d|w)")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class When(click.ParamType):
    """`2h` is two hours ago; else a time of ISO 8601, of here if it names no zone."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return moment(value, datetime.now(UTC)).isoformat()
        except (ValueError, OverflowError):
            self.fail(f"{value!r}: write how long ago (90m, 2h, 7d) or a time", param, ctx)


def moment(text: str, now: datetime) -> datetime:
    if ago := AGO.fullmatch(text):
        return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    return datetime.fromisoformat(text).astimezone(UTC)
