"""The first and the last example of docs/workflows-in-python.md do what the page says."""

import re
import types
from pathlib import Path
from typing import Any

import pytest

import procession

PAGE = Path(__file__).parents[3] / "docs" / "workflows-in-python.md"


class Served:
    """A worker that only remembers what it is to serve."""

    def serve(self, *workflows: Any) -> "Served":
        return self

    def start(self) -> None: ...


def test_the_page_s_subscription_ends_when_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.setattr(procession, "Worker", Served)
    charged: list[str] = []

    def charge(who: str, cents: int, key: str) -> str:
        charged.append(key)
        return "charged"

    names: dict[str, Any] = {"bank": types.SimpleNamespace(charge=charge)}
    for word in ("async def subscription", "def test_a_subscription"):
        [block] = [each for each in blocks if word in each]
        exec(compile(block, PAGE.name, "exec"), names)
    names["test_a_subscription_ends_when_it_is_cancelled"]()
    assert len(set(charged)) == 4
