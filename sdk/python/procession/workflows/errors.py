"""What a workflow's code may be told, and what it may have done wrong."""


class WorkflowError(Exception):
    """The message is for the author, so it says what to do about it."""


class StepFailed(WorkflowError):
    """A step, a child or a task failed with an error whose type is not known here."""

    def __init__(self, kind: str, message: str, trace: str | None = None) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.trace = trace


class TimedOut(WorkflowError, TimeoutError):
    """What was waited for did not come in time."""


class Outside(WorkflowError):
    """Something that only a workflow's code may do was asked for elsewhere."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is for the code of a workflow, under @workflow")


class NotDeterministic(WorkflowError):
    """The code of a workflow reached for something that no replay could repeat."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} would not be the same when the workflow is replayed: "
            "do it in a function under @step"
        )


class NotJson(WorkflowError):
    """A value cannot be kept, since it is no data."""


class Stuck(WorkflowError):
    """The code waits for something that nobody can bring about."""

    def __init__(self) -> None:
        super().__init__(
            "the workflow waits for nothing that could ever come: every await must lead to a step, "
            "a sleep, a message, an event, a child or a task"
        )


class Permanent(Exception):
    """Raise it in a step to fail without another try."""


class Stopped(BaseException):
    """The workflow is to stop. Catch it to clean up; steps work as ever while you do."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the workflow was stopped")
        self.reason = reason


class Doubtful(BaseException):
    """Nobody here knows whether a transaction was committed: the server's history says it."""


class Forgotten(BaseException):
    """This program no longer carries the workflow out: passes through its code, and is no error."""
