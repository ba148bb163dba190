"""Errors that a user meets: each says what is wrong and what to do about it."""

__all__ = ["AuraError", "AwayError", "BadRecord", "ConfigError", "KernelFailed", "LostError"]


class AuraError(Exception):
    """A failure with a message for the user and a hint that says what to do.

    Parameters
    ----------
    message
        What was expected, what came, and where.
    hint
        What the user can do about it; empty if the message says it already.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class ConfigError(AuraError):
    """The configuration or the wiring is wrong: raised when a flow is built, never while it runs."""


class AwayError(AuraError):
    """What the flow runs on does not answer just now: the same start may do later."""


class LostError(AuraError):
    """What the flow needs to go on exactly is gone, or is not what it can read: no further start would change that."""


class BadRecord(AuraError):
    """Input that cannot become events; it goes to the dead letters under `reason`.

    Parameters
    ----------
    reason
        A short slug, one of a closed set, fit for a metric label: `truncated`, `too_large`, ...
    message
        The detail, with the actual value and the limit.
    """

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason

    def __reduce__(self) -> tuple[type["BadRecord"], tuple[str, str]]:
        return type(self), (self.reason, self.message)


class KernelFailed(AuraError):
    """A kernel stopped in the middle of a batch for a reason that lies in what runs it: a lost GPU, no memory left."""
