"""The description of the API, as it is written down and read fast: it is long."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[2] / "openapi.yaml"


@cache
def document() -> dict[str, Any]:
    """That of openapi.yaml, of which another test says that it is what the code does."""
    return read(FILE.read_text())


def read(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return found
