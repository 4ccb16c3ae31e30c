"""Messages as texts, one each, for whoever has messages of its own: read as strictly as frames."""

import json
from collections.abc import Iterable
from typing import Any

from edge import wire
from edge.wire import BadFrame


class Words:
    """The messages that may be said, each by the name of its class."""

    def __init__(self, kinds: Iterable[type]) -> None:
        self.names = {kind: wire.named(kind) for kind in kinds}
        self.readers = {name: wire.record(kind) for kind, name in self.names.items()}

    def write(self, message: Any) -> str:
        told = {"type": self.names[type(message)], **wire.plain(message)}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    def read(self, text: str | bytes) -> Any:
        """None for a message that this version does not know."""
        if len(text) > wire.LARGEST:
            raise BadFrame(f"a message has {wire.LARGEST} bytes at most")
        told = wire.load(text)
        kind = told.get("type") if isinstance(told, dict) else None
        if not isinstance(kind, str):
            raise BadFrame("type: a text is missing")
        read = self.readers.get(kind)
        return None if read is None else read(told, kind)
