"""How pages are to look for one browser: its colours, and the zone that times are told in."""

from dataclasses import dataclass
from datetime import tzinfo

from fastapi import Request

from ui import words

THEMES = ("auto", "light", "dark")


@dataclass(frozen=True, slots=True)
class Look:
    theme: str
    zone: str

    @property
    def tz(self) -> tzinfo:
        return words.zone_of(self.zone)


def look_of(request: Request) -> Look:
    """An address may name another zone, for itself alone."""
    theme, kept = request.cookies.get("theme", "auto"), request.cookies.get("zone", "UTC")
    zone = request.query_params.get("zone") or kept.replace(":", "/")  # a cookie would quote it
    return Look(theme if theme in THEMES else "auto", zone if words.known_zone(zone) else "UTC")
