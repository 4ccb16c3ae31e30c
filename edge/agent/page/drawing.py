"""The page as HTML, from the same templates as the dashboard's."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import FileSystemBytecodeCache, meta

from ui import kiosk, templating, words
from ui.kiosk import Station

SHAPES = {"hold": "HELD", "resume": "IN_PROGRESS", "stop": "STOPPED", "reset": "REDRIVEN"}
SAID = {
    "hold": "It is being held.",
    "resume": "It goes on.",
    "stop": "It is being stopped.",
    "reset": "A new round has begun.",
    "drain": "It takes no new work, and finishes what it has.",
    "undrain": "It takes work again.",
    "approved": "Approved: it goes on.",
    "rejected": "Rejected: the task has failed.",
    "start": "It has been started.",
}
HEADERS = {**templating.HEADERS, "Cache-Control": "no-store"}
STATION = "station.html"
KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def page(
    station: Station,
    *,
    token: str,
    heard: str,
    said: str,
    is_live: bool,
    fault: str = "",
    begin: str = "",
) -> bytes:
    """`heard` is what this page knows; whoever listens is told when that is not all any more."""
    now = datetime.now(UTC)
    zone = datetime.now().astimezone().tzinfo
    given: dict[str, Any] = {
        "station": station,
        "shapes": SHAPES,
        "links": [],
        "fault": fault,
        "said": SAID.get(said),
        "live": is_live,
        "form_secret": "" if is_live else token,
        "stream": "/stream",
        "heard": heard,
        "refresh": kiosk.refresh(station, begin),
        "again": "/",
        "begin": begin,
        "installation": None,
        "look": SimpleNamespace(theme="auto", tz=zone),
        "now": now,
        "clock": lambda moment: words.clock(moment, zone or UTC, now),
        "exact": lambda moment: moment.astimezone(zone).isoformat(" ", "milliseconds"),
        "ago": lambda moment: words.ago(moment, now),
    }
    return templating.TEMPLATES.get_template(STATION).render(given).encode()


def keep(folder: Path) -> None:
    """Templates as they are once they have been understood: whoever finds them there does not need
    the memory that understanding them takes."""
    folder.mkdir(mode=0o700, exist_ok=True)
    templating.TEMPLATES.bytecode_cache = FileSystemBytecodeCache(str(folder))


def understand(folder: Path) -> None:
    keep(folder)
    for name in needed(STATION):
        templating.TEMPLATES.get_template(name)


def needed(name: str) -> Iterator[str]:
    """A template, and those that it is made with."""
    environment = templating.TEMPLATES
    assert environment.loader is not None
    source = environment.loader.get_source(environment, name)[0]
    yield name
    for other in meta.find_referenced_templates(environment.parse(source)):
        if other is not None:
            yield from needed(other)


def sorry(status: int, why: str, remedy: str = "") -> bytes:
    """What is shown instead, without anything that could fail in turn."""
    from markupsafe import escape

    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f"<title>{status}</title><h1>{escape(why)}</h1>"
        f"<p>{escape(remedy)} <a href=/>To the station</a></p></html>"
    ).encode()


def asset(name: str) -> tuple[bytes, str] | None:
    if name not in templating.EDITIONS:
        return None
    return (templating.HERE / "static" / name).read_bytes(), KINDS[name.rpartition(".")[2]]


if __name__ == "__main__":
    understand(Path(sys.argv[1]))
