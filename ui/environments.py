"""Which of several installations this is: a ribbon on every page says it."""

from dataclasses import dataclass

from fastapi import Request

from scheduler.api.state import server_of

COLOURS = {
    "production": "red",
    "prod": "red",
    "staging": "orange",
    "test": "blue",
    "demo": "violet",
}
OTHERS = "green"


@dataclass(frozen=True, slots=True)
class Ribbon:
    name: str
    colour: str


def of(request: Request) -> Ribbon | None:
    name, _, colour = server_of(request).settings.environment.partition(":")
    return Ribbon(name, colour or COLOURS.get(name.lower(), OTHERS)) if name else None
