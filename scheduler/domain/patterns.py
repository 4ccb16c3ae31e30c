"""Regular expressions that take time linear in the text, whatever the pattern; Python's do not.

They are those of CEL, which is loaded with the first text that is compared with one.
"""

from functools import cache
from typing import Any


@cache
def _matches() -> Any:
    from scheduler.domain.cel_alone import cel

    return cel.compile("text.matches(pattern)")


def found(pattern: str, text: str) -> bool:
    """Raises ValueError, RuntimeError or TypeError for what is no pattern."""
    return bool(_matches().execute({"text": text, "pattern": pattern}))
