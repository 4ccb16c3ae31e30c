"""What expressions see of a task."""

from collections.abc import Iterator, Mapping
from typing import Any

from scheduler.domain.errors import Invalid

Result = Mapping[str, Any]


class WithoutOutput(Mapping[str, Any]):
    """A result whose output was too long to be kept: who asks for it is told so."""

    def __init__(self, told: Result, why: str) -> None:
        self._told = told
        self._why = why

    def __getitem__(self, name: str) -> Any:
        if name == "output":
            raise Invalid(f"there is no output: {self._why}")
        return self._told[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._told)

    def __len__(self) -> int:
        return len(self._told)
