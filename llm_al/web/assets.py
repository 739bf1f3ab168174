"""Scripts, styles and pictures of the pages: read once, served from memory, so that no path can lead astray."""

import hashlib
import mimetypes
import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from llm_al.web.answers import refusal

__all__ = ["Assets"]

_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_TEXT = ("text/", "application/json", "application/manifest", "image/svg")
_VERSIONED = re.compile(r"^v-[0-9a-f]{12}/")
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class _Asset:
    body: bytes
    media_type: str
    etag: str


def _media_type(name: str) -> str:
    suffix = name[name.rfind(".") :] if "." in name else ""
    kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith(_TEXT) else kind


class Assets:
    """The files of a folder of the package.

    Attributes
    ----------
    version : str
        Changes with any of them. Under ``/static/v-VERSION/`` a file may be kept for ever by the browser (a module
        that imports its neighbour keeps the version); under ``/static/`` it asks again each time.
    """

    def __init__(self, folder: Traversable | None = None) -> None:
        root = folder or files("llm_al.web") / "static"
        self._assets = dict(sorted(_read(root, "")))
        whole = hashlib.sha256(repr([(name, asset.etag) for name, asset in self._assets.items()]).encode())
        self.version = whole.hexdigest()[:12]

    def serve(self, request: Request) -> Response:
        """Answer ``/static/{path}``."""
        path = str(request.path_params["path"])
        # A page that was open before an upgrade asks for files of the version that it knows.
        plain = _VERSIONED.sub("", path)
        asset = self._assets.get(plain)
        if asset is None:
            return refusal(404, "there is no such file")
        caching = _FOR_EVER if path.startswith(f"v-{self.version}/") else "no-cache"
        headers = {"ETag": asset.etag, "Cache-Control": caching}
        if request.headers.get("if-none-match") == asset.etag:
            return Response(status_code=304, headers=headers)
        return Response(asset.body, media_type=asset.media_type, headers=headers)


def _read(folder: Traversable, prefix: str) -> list[tuple[str, _Asset]]:
    found: list[tuple[str, _Asset]] = []
    for item in folder.iterdir() if folder.is_dir() else ():
        if item.name.startswith((".", "_")):
            continue
        if item.is_dir():
            found += _read(item, f"{prefix}{item.name}/")
        else:
            body = item.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
            found.append((prefix + item.name, _Asset(body, _media_type(item.name), etag)))
    return found
