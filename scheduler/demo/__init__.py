"""The process types that are there on a first start."""

from importlib.resources import files

from scheduler.domain.process_types import ProcessType, parse


def demo_types() -> list[ProcessType]:
    folder = files(__name__) / "types"
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return [t for f in found for t in parse(f.read_text(encoding="utf-8"), source=f.name)]
