"""Elements of SVG: whatever is said in them is escaped, so nothing drawn can become markup."""

from typing import Any

from markupsafe import Markup, escape

Node = Markup


def element(name: str, *inside: Any, **attributes: Any) -> Node:
    """`class_` and `data_x` stand for `class` and `data-x`; None leaves an attribute out."""
    told = Markup("").join(
        Markup(' {}="{}"').format(Markup(spelled(key)), figure(value))
        for key, value in attributes.items()
        if value is not None
    )
    body = Markup("").join(escape(each) for each in inside)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), told, body)


def spelled(key: str) -> str:
    return key.rstrip("_") if key in ("viewBox", "preserveAspectRatio") else dashed(key)


def dashed(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def figure(value: Any) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def picture(width: float, height: float, label: str, /, *inside: Node, **more: Any) -> Node:
    return element(
        "svg",
        element("title", label),
        *inside,
        viewBox=f"0 0 {figure(width)} {figure(height)}",
        role="img",
        aria_label=label,
        **more,
    )
