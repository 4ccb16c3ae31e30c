"""Where log lines get their form: for people on a terminal or in a file, JSON for programs."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

# What a record has of its own; the rest came with `extra`.
OWN = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}

_about: ContextVar[dict[str, Any] | None] = ContextVar("about", default=None)


@contextmanager
def about(**ids: Any) -> Iterator[None]:
    """Every line within names the run, task or request that it is about."""
    token = _about.set({**(_about.get() or {}), **ids})
    try:
        yield
    finally:
        _about.reset(token)


def install(*, level: str = "INFO", out: TextIO | None = None) -> None:
    """All lines to `out`, in the form that PROCESSION_LOG asks for (`json`, else for people)."""
    handler = logging.StreamHandler(out or sys.stderr)
    handler.addFilter(add_ids)
    handler.setFormatter(Json() if os.environ.get("PROCESSION_LOG") == "json" else Lines())
    logging.basicConfig(level=known(level), handlers=[handler], force=True)
    # They tell of every request and connection; ours tell of what matters.
    for name in ("httpx", "httpcore", "uvicorn.access", "psycopg.pool"):
        logging.getLogger(name).setLevel(logging.WARNING)


def known(level: str) -> int:
    return logging.getLevelNamesMapping().get(level.upper(), logging.INFO)


def add_ids(record: logging.LogRecord) -> bool:
    for name, value in (_about.get() or {}).items():
        if not hasattr(record, name):
            setattr(record, name, value)
    return True


def extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in OWN}


def moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={spelled(value)}" for name, value in extras(record).items())
        line = f"{moment(record)} {record.levelname:<7} {escaped(record.getMessage())}"
        line = f"{line}  {facts}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def spelled(value: Any) -> str:
    """One word: quoted if it would not be read as one."""
    text = escaped(str(value))
    return json.dumps(text) if not text or any(c in ' "=' for c in text) else text


def escaped(text: str) -> str:
    """A line stays one line, whatever an error says."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
