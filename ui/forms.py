"""Forms that were sent: from a page of ours, by the person who looks at it."""

from urllib.parse import parse_qsl, urlsplit

from fastapi import Request

from scheduler.api.bodies import UNSTORABLE
from scheduler.domain.errors import Forbidden, Invalid
from ui import session

URLENCODED = "application/x-www-form-urlencoded"
FIELDS = 2_000
TOKEN = "_form"


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


def require_own(request: Request, form: Form, secret: str | None) -> None:
    """Refuse what another site, or somebody else's page, makes a browser send."""
    require_own_site(request)
    sent = form.get(TOKEN)
    if secret is None or not session.is_form_token(secret, sent):
        raise Forbidden(
            "this form is not of your session", remedy="open its page again and send it once more"
        )


def require_own_site(request: Request) -> None:
    """A browser says where a form comes from; whatever does not is no browser."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site == "same-origin" and origin == "null":
        return  # a browser that was told to name no page; it says all the same that it is ours
    foreign = site not in (None, "same-origin") or (origin is not None and not own(request, origin))
    if foreign or (site is None and origin is None):
        raise Forbidden("this form does not come from a page of this server")


def own(request: Request, origin: str) -> bool:
    parts = urlsplit(origin)
    asked = request.headers.get("host", "")
    return (parts.scheme, parts.netloc) == (request.url.scheme, asked)
