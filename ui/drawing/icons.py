"""One small shape for each state: colour is never the only sign."""

from ui import words
from ui.drawing.svg import Node, element

SHAPES = {
    "ring": element("circle", cx=8, cy=8, r=4.5, class_="line"),
    "dot": element("circle", cx=8, cy=8, r=4.5),
    "play": element("path", d="M5 3l8 5-8 5z"),
    "bars": element("path", d="M4 3h3v10H4zM9 3h3v10H9z"),
    "square": element("path", d="M4 4h8v8H4z"),
    "tick": element("path", d="M3 8.5l3.5 3.5L13 4.5", class_="line"),
    "cross": element("path", d="M4 4l8 8M12 4l-8 8", class_="line"),
    "dash": element("path", d="M3 8h10", class_="line"),
    "back": element("path", d="M7 3L3 7l4 4M3 7h6a4 4 0 0 1 0 7H7", class_="line"),
}


def of_state(state: str) -> Node:
    return element(
        "svg",
        SHAPES[words.state(state).shape],
        viewBox="0 0 16 16",
        class_="icon",
        aria_hidden="true",
    )


def shape_at(state: str, x: float, y: float) -> Node:
    """The same shape inside another picture."""
    shape = SHAPES[words.state(state).shape]
    return element("g", shape, transform=f"translate({x:g} {y:g})", class_="icon")
