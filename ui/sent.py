"""A form as a browser sends it, read with care: by the server, and by a workstation's own page."""

from urllib.parse import parse_qsl

from scheduler.domain.careful_json import UNSTORABLE
from scheduler.domain.errors import Invalid

URLENCODED = "application/x-www-form-urlencoded"
FIELDS = 2_000


class Form:
    """What was sent, by name; a name may stand there more than once."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def get(self, name: str, default: str = "") -> str:
        return next((value for key, value in self._pairs if key == name), default)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self._pairs)


def read(content_type: str, body: bytes) -> Form:
    if content_type.partition(";")[0].strip().lower() != URLENCODED:
        raise Invalid(f"a form is sent as {URLENCODED}")
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
    except ValueError as error:
        raise Invalid("this form cannot be read") from error
    if any(UNSTORABLE.search(part) for pair in pairs for part in pair):
        raise Invalid("a field holds a character that cannot be stored")
    return Form([(name, value.replace("\r\n", "\n")) for name, value in pairs])
