"""How a value reads when it becomes part of a text."""

import json
from typing import Any


def in_words(value: Any) -> str:
    """Text as it is, all else as compact JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
