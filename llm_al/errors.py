"""Every way in which llm_al fails on purpose.

::

    LLMALError
    ├── ConfigError(ValueError)            project.yaml or an argument is wrong
    │   ├── LabelError                     label list or a label name
    │   └── UnknownNameError               a registry name that does not exist
    ├── DataError(ValueError)              a user's file or rows
    ├── ShapeError(ValueError)             an array of the wrong shape or with NaN
    ├── StoreError                         the project's database or files
    │   ├── ProjectLockedError             another process runs on it
    │   └── StorageFullError(OSError)      no space left
    ├── DeskError                          a person's question cannot be given or answered
    │   └── TicketGoneError                it went to somebody else, or was never this person's
    ├── AccessError(PermissionError)       a person, an invitation or a login is refused
    │   └── TooOftenError                  too many logins failed; carries `wait_s`
    ├── BudgetError                        a cap does not allow the next step
    ├── StudentError                       training or loading a student failed
    │   └── NotFittedError(AttributeError) predict before fit
    ├── MissingExtraError(ImportError)     an optional package is absent
    └── ProviderError                      the LLM server; carries `retryable`
        ├── ProviderUnreachableError(ConnectionError)  no answer at the URL
        ├── AuthenticationError(PermissionError)       401, 403
        ├── RequestError                               400, 404, 422: the request can never succeed
        └── OverloadedError                            408, 409, 429, 5xx, timeouts

A message names the thing, what arrived, what is allowed and what to do.
"""

__all__ = [
    "AccessError",
    "AuthenticationError",
    "BudgetError",
    "ConfigError",
    "DataError",
    "DeskError",
    "LLMALError",
    "LabelError",
    "MissingExtraError",
    "NotFittedError",
    "OverloadedError",
    "ProjectLockedError",
    "ProviderError",
    "ProviderUnreachableError",
    "RequestError",
    "ShapeError",
    "StorageFullError",
    "StoreError",
    "StudentError",
    "TicketGoneError",
    "TooOftenError",
    "UnknownNameError",
]


class LLMALError(Exception):
    """Base of every error raised on purpose."""


class ConfigError(LLMALError, ValueError):
    """A setting or argument is wrong."""


class LabelError(ConfigError):
    """A label list or label name is wrong."""


class UnknownNameError(ConfigError):
    """A name that no registered plug-in has."""


class DataError(LLMALError, ValueError):
    """A user's file, row or column is wrong."""


class ShapeError(LLMALError, ValueError):
    """An array has the wrong shape, or holds NaN."""


class StoreError(LLMALError):
    """The project's database or files cannot be used."""


class ProjectLockedError(StoreError):
    """Another process holds the project."""


class StorageFullError(StoreError, OSError):
    """The disk is full; nothing half-written was kept."""


class DeskError(LLMALError):
    """A question cannot be given to a person, or not be answered by them."""


class TicketGoneError(DeskError):
    """The question went to somebody else meanwhile, or was never this person's."""


class AccessError(LLMALError, PermissionError):
    """A person, an invitation or a login is refused."""


class TooOftenError(AccessError):
    """Too many logins failed; try again after `wait_s` seconds."""

    def __init__(self, message: str, *, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class BudgetError(LLMALError):
    """A cap does not allow the next step."""


class StudentError(LLMALError):
    """A student cannot be trained, saved or loaded."""


class NotFittedError(StudentError, AttributeError):
    """A student was asked before it was trained."""


class MissingExtraError(LLMALError, ImportError):
    """An optional package is not installed."""


class ProviderError(LLMALError):
    """The LLM server did not give an answer that can be used."""

    retryable = False


class ProviderUnreachableError(ProviderError, ConnectionError):
    """Nothing answers at the base URL."""


class AuthenticationError(ProviderError, PermissionError):
    """The server refused the key."""


class RequestError(ProviderError):
    """The server refused the request for good."""


class OverloadedError(ProviderError):
    """The server may answer later."""

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
