"""The connection to an Argilla v2 server through its SDK: one error in plain words for whatever goes wrong."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from llm_al.errors import (
    AuthenticationError,
    ConfigError,
    LLMALError,
    MissingExtraError,
    OverloadedError,
    ProviderUnreachableError,
    RequestError,
    UnknownNameError,
)

__all__ = ["KEY_ENV", "connect", "find_dataset", "find_workspace", "is_server", "pages", "speaking_to", "user_names"]

KEY_ENV = "ARGILLA_API_KEY"
"""Name of the environment variable with the key of a user of the server."""

_PAGE = 250
_DETAIL = 300


def is_server(target: object) -> bool:
    """Whether a target is the address of a server and no path.

    Examples
    --------
    >>> is_server("https://argilla.example.org"), is_server("exports/argilla.json")
    (True, False)
    """
    return str(target).startswith(("http://", "https://"))


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_fine = is_server(url) and bool(parts.hostname) and parts.port != 0 and "@" not in url
    except ValueError:
        is_fine = False
    if not is_fine:
        # The address is not repeated: it may hold a password.
        raise ConfigError(
            "the address of the Argilla server cannot be used; it must start with http:// or https://, name a host and "
            f"hold no user or password (the key comes from the environment variable {KEY_ENV})"
        )
    return url.rstrip("/")


def _key() -> str:
    key = os.environ.get(KEY_ENV, "").strip()
    if not key:
        raise ConfigError(
            f"the environment variable {KEY_ENV} is not set; let it hold the key of an owner or admin of the Argilla "
            "server, found there under the user's settings"
        )
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"the key in {KEY_ENV} holds characters that no key has; copy it again")
    return key


def sdk() -> Any:
    """Return the SDK.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import argilla
    except ModuleNotFoundError as exc:
        raise MissingExtraError(
            'an Argilla server needs an extra package; install it with: pip install "llm_al[argilla]"'
        ) from exc
    return argilla


def connect(url: str) -> Any:
    """Return a client of the SDK that the server has let in.

    Raises
    ------
    ConfigError
        If the address cannot be one, or the environment has no key.
    MissingExtraError
        If the SDK is not installed.
    ProviderError
        If nobody answers, the key is refused, or what answers is no Argilla server.
    """
    address, key, argilla = _address(url), _key(), sdk()
    import httpx

    # The SDK never closes its client, so no connection is kept open between requests.
    limits = httpx.Limits(max_keepalive_connections=0)
    with speaking_to(address):
        return argilla.Argilla(api_url=address, api_key=key, retries=1, limits=limits)


@contextmanager
def speaking_to(url: str) -> Iterator[None]:
    """Translate what the SDK raises; its warnings about itself are not the user's."""
    import httpx
    from argilla._exceptions import ArgillaError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except LLMALError:
        raise
    except httpx.TransportError as exc:
        raise ProviderUnreachableError(
            f"no Argilla server answers at {url} ({type(exc).__name__}); start it, or correct the address"
        ) from exc
    except (ArgillaError, httpx.HTTPStatusError) as exc:
        raise _refusal(exc, url) from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise RequestError(
            f"what answers at {url} is no Argilla v2 server, or one that the installed SDK does not understand "
            f"({type(exc).__name__}); give the address of the server itself, without a path"
        ) from exc


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it: the SDK hides the status of a refusal behind errors of its own."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    found = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return found if isinstance(found, int) else None


def _refusal(error: Exception, url: str) -> LLMALError:
    causes = list(_causes(error))
    # The innermost: some of the SDK's own errors claim a status of 500.
    status = next((code for code in map(_status, reversed(causes)) if code is not None), None)
    if status == 401 or type(error).__name__ == "ArgillaCredentialsError":
        return AuthenticationError(
            f"the Argilla server at {url} refuses the key in {KEY_ENV}; copy the key of an owner or admin again"
        )
    if status == 403:
        return AuthenticationError(
            f"the user of the key in {KEY_ENV} may not do this at {url}; use the key of an owner, or of an admin of "
            "the workspace"
        )
    said = str(next((cause for cause in causes if _status(cause) is not None), causes[-1]))
    detail = " ".join(said.rpartition("Details: ")[2].split())[:_DETAIL]
    if status is not None and (status == 429 or status >= 500):
        return OverloadedError(f"the Argilla server at {url} failed with status {status} ({detail}); run again later")
    if status == 404:
        return RequestError(
            f"the Argilla server at {url} does not know what it was asked for ({detail}); give the address of the "
            "server itself, without a path, and run again if somebody deleted the dataset meanwhile"
        )
    return RequestError(f"the Argilla server at {url} refused the request: {detail}; correct what it names")


def _chosen(found: dict[str, Any], what: str, name: str | None, url: str) -> Any:
    """Return the thing of a name, or the only one."""
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name in found:
        return found[name]
    arrived = f"has no {what} {name!r}" if name is not None else f"has {len(found)} {what}s and none was named"
    raise UnknownNameError(
        f"the Argilla server at {url} {arrived}; choose from: {', '.join(sorted(found)) or 'none'}; "
        f"name one with --{what}, or create it there"
    )


def find_workspace(client: Any, name: str | None) -> Any:
    """Return a workspace by name; None is the only one that there is.

    Raises
    ------
    UnknownNameError
        If there is none of that name, or several and no name.
    """
    with speaking_to(client.api_url):
        found = {workspace.name: workspace for workspace in client.workspaces.list()}
    return _chosen(found, "workspace", name, client.api_url)


def find_dataset(client: Any, workspace: Any, name: str, *, is_needed: bool = True) -> Any:
    """Return a dataset with its settings; None if it is absent and not needed.

    Raises
    ------
    UnknownNameError
        If it is needed and absent.
    """
    with speaking_to(client.api_url):
        found = {dataset.name: dataset for dataset in workspace.datasets}
    if name not in found and not is_needed:
        return None
    dataset = _chosen(found, "dataset", name, client.api_url)
    with speaking_to(client.api_url):
        return dataset.get()


def pages(client: Any, dataset: Any, *, with_responses: bool) -> Iterator[Any]:
    """Yield the records of a dataset as the server gives them.

    The SDK's own records leave out responses without a value, which are discards.
    """
    offset = 0
    while True:
        with speaking_to(client.api_url):
            page = client.api.records.list(dataset.id, offset=offset, limit=_PAGE, with_responses=with_responses)
        yield from page
        offset += len(page)
        if len(page) < _PAGE:
            return


def user_names(client: Any, workspace: Any) -> dict[str, str]:
    """Return user names by id: everybody's for an owner, the workspace's and one's own for others."""
    try:
        with speaking_to(client.api_url):
            users = list(client.users.list())
    except AuthenticationError:
        with speaking_to(client.api_url):
            users = [*client.users.list(workspace), client.me]
    return {str(user.id): str(user.username) for user in users}
