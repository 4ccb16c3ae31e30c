"""What a server and a worker need before they begin: a database that is ready, and the keys."""

from psycopg import AsyncConnection, OperationalError

from scheduler.domain.errors import Unavailable
from scheduler.services import access
from scheduler.services.keyring import Keys
from scheduler.settings import Settings
from scheduler.store.migrations import pending, require_version


async def require_ready(url: str, host: str | None = None) -> None:
    """Refuse to begin on a database that is away, too old or not migrated, or without an admin
    where others could come in."""
    try:
        async with await AsyncConnection.connect(url, connect_timeout=5) as conn:
            require_version(conn.info.server_version)
            if missing := await pending(conn):
                raise Unavailable(
                    f"the database lacks migration {missing[0]}: run `procession migrate` first"
                )
            if host is not None:
                await access.require_admin_beyond_loopback(conn, host)
    except OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise Unavailable(f"the database cannot be reached: {reason}") from error


def keys_of(settings: Settings) -> Keys:
    text = settings.secret_keys.get_secret_value() if settings.secret_keys else None
    return Keys(text=text, file=settings.secret_keys_file, data_dir=settings.data_dir)
