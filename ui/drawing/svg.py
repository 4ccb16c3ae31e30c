"""Elements of SVG: whatever is said in them is escaped, so nothing drawn can become markup."""

from functools import cache
from typing import Any

from markupsafe import Markup, escape

Node = Markup


def element(name: str, *inside: Any, **attributes: Any) -> Node:
    """`class_` and `data_x` stand for `class` and `data-x`; None leaves an attribute out."""
    told = "".join(
        [
            f' {spelled(key)}="{escape(figure(value))}"'
            for key, value in attributes.items()
            if value is not None
        ]
    )
    body = "".join([escape(each) for each in inside])
    return Markup(f"<{name}{told}>{body}</{name}>")  # pages have thousands: put together plainly


@cache
def spelled(key: str) -> str:
    return key.rstrip("_") if key in ("viewBox", "preserveAspectRatio") else dashed(key)


def dashed(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def figure(value: Any) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def picture(
    width: float, height: float, label: str, /, *inside: Node, role: str = "img", **more: Any
) -> Node:
    """Of the role `group` where there are links in it, which nobody reaches in an image."""
    return element(
        "svg",
        element("title", label),
        *inside,
        viewBox=f"0 0 {figure(width)} {figure(height)}",
        role=role,
        aria_label=label,
        **more,
    )
