"""Workers and a client for Procession."""

from procession.carriers import Rejected
from procession.connecting import Misconfigured
from procession.context import Cancelled, Context
from procession.telling import Failure
from procession.worker import Worker

__version__ = "0.1.0"
__all__ = ["Cancelled", "Context", "Failure", "Misconfigured", "Rejected", "Worker"]
