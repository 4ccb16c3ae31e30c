"""Lengths of time in answers, as the format `duration` of JSON Schema has them.

There days do not follow years, nor seconds hours: pydantic would write P3Y5D and PT1H5S.
"""

from datetime import timedelta
from typing import Annotated

from pydantic import PlainSerializer, WithJsonSchema

UNITS = (("H", 3600), ("M", 60), ("S", 1))


def iso(length: timedelta) -> str:
    """Days, and the rest in the largest unit that it is whole in."""
    unit, size = next(each for each in UNITS if length.seconds % each[1] == 0)
    days = f"{length.days}D" if length.days else ""
    rest = f"T{length.seconds // size}{unit}" if length.seconds or not days else ""
    return f"P{days}{rest}"


Length = Annotated[
    timedelta,
    PlainSerializer(iso, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "duration"}, mode="serialization"),
]
