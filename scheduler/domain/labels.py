"""Labels of a run: names and short texts that people find it by."""

from collections.abc import Mapping

from scheduler.domain.errors import Invalid

MOST = 32

Labels = Mapping[str, str]


def changed(labels: Labels, change: Mapping[str, str | None], *, whole: bool) -> dict[str, str]:
    """`change` laid over the labels, or in their place; a null takes one away."""
    kept = {} if whole else dict(labels)
    merged = {**kept, **change}
    found = {name: value for name, value in merged.items() if value is not None}
    if len(found) > MOST:
        raise Invalid(
            f"{len(found)} labels are more than a run may have, which is {MOST}",
            field="labels",
            remedy="take some away with null",
        )
    return found
