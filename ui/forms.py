"""Forms that were sent: from a page of ours, by the person who looks at it."""

from urllib.parse import urlsplit

from fastapi import Request

from scheduler.domain.errors import Forbidden
from ui import session
from ui.sent import URLENCODED, Form, read

__all__ = ["URLENCODED", "Form", "read"]

TOKEN = "_form"


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
