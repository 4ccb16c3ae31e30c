"""Bars: one thing against another, and how both went over a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from ui.drawing.svg import Node, element, picture

WIDE, TALL = 240, 12
PART, HIGH = 12, 96


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a bar: how much, what it says, and its colour."""

    amount: float
    label: str
    tone: str


def bar(pieces: Sequence[Piece], most: float) -> Node:
    """Side by side, against the largest of all bars."""
    at, parts = 0.0, []
    for piece in pieces:
        width = WIDE * piece.amount / most if most > 0 else 0.0
        parts.append(
            element(
                "rect",
                element("title", piece.label),
                x=at,
                y=0,
                width=max(width, 1.0 if piece.amount > 0 else 0.0),
                height=TALL,
                class_=f"fill {piece.tone}",
            )
        )
        at += width
    told = ", ".join(piece.label for piece in pieces) or "nothing"
    return picture(WIDE, TALL, told, *parts, class_="measure", preserveAspectRatio="none")


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of time, with what it had one upon the other."""

    label: str
    pieces: Sequence[Piece]

    @property
    def amount(self) -> float:
        return sum(piece.amount for piece in self.pieces)


def course(parts: Sequence[Part], label: str) -> Node:
    """A column for each stretch, the largest as high as the picture."""
    most = max((part.amount for part in parts), default=0.0)
    drawn = parts if most > 0 else ()
    columns = [rect for place, part in enumerate(drawn) for rect in column(place, part, most)]
    width = max(1, len(parts)) * PART
    base = element("path", d=f"M0 {HIGH}h{width}", class_="axis")
    return picture(
        width, HIGH + 1, label, *columns, base, class_="course", preserveAspectRatio="none"
    )


def column(place: int, part: Part, most: float) -> list[Node]:
    drawn, top = [], float(HIGH)
    for piece in part.pieces:
        height = (HIGH - 2) * piece.amount / most
        top -= height
        drawn.append(
            element(
                "rect",
                element("title", f"{part.label}: {piece.label}"),
                x=place * PART + 1,
                y=top,
                width=PART - 2,
                height=height,
                class_=f"fill {piece.tone}",
            )
        )
    return drawn
