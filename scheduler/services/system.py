"""The system about itself: its settings and where each comes from, and a bundle for whoever helps.

Nothing here holds a secret: of settings that are one it is told whether they are set.
"""

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from scheduler.settings import Settings

PREFIX = "PROCESSION_"
FOLDER = "PROCESSION_SECRETS_DIR"
DEFAULT = "default"
SECRET_SET, SECRET_UNSET = "set, and not shown", "not set"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in force: `source` is what decided it."""

    name: str
    variable: str
    value: str
    source: str
    is_secret: bool = False

    @property
    def is_default(self) -> bool:
        return self.source == DEFAULT


def settings_of(settings: Settings, environ: Mapping[str, str] = os.environ) -> list[Setting]:
    known = {name.upper(): name for name in environ}
    return [
        Setting(
            name=".".join(path),
            variable=variable_of(path),
            value=told(value),
            source=source_of(path, value == default, known, environ),
            is_secret=isinstance(value or default, SecretStr) or path in SECRETS,
        )
        for path, value, default in leaves((), settings, Settings.model_construct())
    ]


def leaves(
    path: tuple[str, ...], model: BaseModel, default: BaseModel
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    for name in type(model).model_fields:
        value, usual = getattr(model, name), getattr(default, name)
        if isinstance(value, BaseModel):
            yield from leaves((*path, name), value, usual)
        else:
            yield (*path, name), value, usual


def secrets_among(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Settings that are declared as secrets, whether they are set or not."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from secrets_among(kind, (*path, name))
        elif "SecretStr" in str(kind):
            yield (*path, name)


SECRETS = frozenset(secrets_among(Settings))


def variable_of(path: tuple[str, ...]) -> str:
    return PREFIX + "__".join(path).upper()


def source_of(
    path: tuple[str, ...], is_usual: bool, known: Mapping[str, str], environ: Mapping[str, str]
) -> str:
    """Of a group the variable may hold JSON for all of it."""
    for length in range(len(path), 0, -1):
        variable = variable_of(path[:length])
        if variable in known:
            return f"environment, {known[variable]}"
        folder = environ.get(FOLDER)
        if folder and (Path(folder) / variable.lower()).is_file():
            return f"file {variable.lower()} in {FOLDER}"
    return DEFAULT if is_usual else "given at the start"


def told(value: Any) -> str:
    match value:
        case SecretStr():
            return SECRET_SET if value.get_secret_value() else SECRET_UNSET
        case None:
            return SECRET_UNSET
        case timedelta():
            return f"{value.total_seconds():g} s"
        case tuple() | list():
            return ", ".join(map(str, value)) or "none"
    return str(value)


def bundle(parts: Mapping[str, Any], *, now: datetime) -> bytes:
    """A zip with a file of JSON for each part, the same for the same parts and time."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            text = json.dumps(content, indent=2, ensure_ascii=False, default=plain)
            file = zipfile.ZipInfo(f"procession/{name}.json", now.timetuple()[:6])
            file.external_attr = 0o600 << 16
            packed.writestr(file, text + "\n", zipfile.ZIP_DEFLATED)
    return sink.getvalue()


def plain(value: Any) -> Any:
    if isinstance(value, Setting):
        return asdict(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
