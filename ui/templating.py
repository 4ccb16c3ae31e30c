"""Templates and what they are made with: the same for the server and for a workstation's own page.

It knows no web framework, so that an agent can draw with it.
"""

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ui import words
from ui.drawing import charts, icons

HERE = Path(__file__).parent

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Without a referrer for our own pages, browsers send forms with `Origin: null`.
HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}


def edition(name: str) -> str:
    return hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()[:12]


EDITIONS = {name: edition(name) for name in ("style.css", "live.js", "icon.svg")}


def asset(name: str) -> str:
    return f"/ui/static/{name}?v={EDITIONS[name]}"


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def coded(text: str) -> Markup:
    """What stands between backticks is code."""
    parts = text.split("`")
    made = [
        Markup("<code>{}</code>").format(p) if n % 2 else escape(p) for n, p in enumerate(parts)
    ]
    return Markup("").join(made)


def address(path: str, /, **query: Any) -> str:
    given = [(name, value) for name, value in query.items() if value not in (None, "")]
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {
    "coded": coded,
    "duration": words.duration,
    "size": words.size,
    "number": words.number,
    "percent": words.percent,
    "exit_code": words.exit_code,
    "short": words.short,
    "pretty": pretty,
    "word": words.state,
    "segment": lambda text: quote(str(text), safe=""),
}
TEMPLATES.tests["in_capitals"] = lambda text: str(text).isupper()
TEMPLATES.globals |= {
    "asset": asset,
    "address": address,
    "icon": icons.of_state,
    "bar": charts.progress,
    "plural": words.plural,
    "between": words.between,
    "dash": words.DASH,
}
