"""Forms of pages that strangers see: read without a parser of uploads, and bound to the browser that was shown them."""

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from llm_al.web.sessions import address_of, base_of, is_same
from llm_al.web.site import site_of

__all__ = ["FORM_COOKIE", "FORM_TYPE", "bind", "check_bound", "describe", "form_key", "read_form"]

FORM_COOKIE = "llm_al_form"
FORM_TYPE = "application/x-www-form-urlencoded"
_MAX_FIELDS = 20
_MAX_LENGTH = 2000


def describe(**fields: int) -> dict[str, Any]:
    """Return a form for the description of the API: each field with its greatest length."""
    properties = {name: {"type": "string", "maxLength": length} for name, length in fields.items()}
    schema = {"type": "object", "properties": properties, "required": sorted(fields), "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {FORM_TYPE: {"schema": schema}}}}


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a plain HTML form.

    Raises
    ------
    HTTPException
        If it is no such form, or a field is too long or no text.
    """
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind.strip().casefold() != FORM_TYPE:
        raise HTTPException(400, "this takes a plain form; use the pages of this server")
    body = await request.body()
    try:
        fields = dict(
            parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
        )
    except ValueError:
        raise HTTPException(400, "the form cannot be read") from None
    if any(len(value) > _MAX_LENGTH or "\0" in value for value in fields.values()):
        raise HTTPException(422, "a field of the form is too long, or no text")
    return fields


def form_key(request: Request) -> str:
    """Return the secret that binds forms to this browser; a new one where it has none."""
    kept = request.cookies.get(FORM_COOKIE, "")
    return kept if 32 <= len(kept) <= 64 and kept.isascii() else secrets.token_urlsafe(32)


def bind(request: Request, response: Response, key: str) -> None:
    """Leave the secret with the browser."""
    is_https = address_of(request).is_https
    path = base_of(request) or "/"
    response.set_cookie(FORM_COOKIE, key, path=path, secure=is_https, httponly=True, samesite="strict")


def check_bound(request: Request, fields: Mapping[str, str]) -> None:
    """Refuse a form that was not shown to this browser.

    Raises
    ------
    HTTPException
        403 if its token is missing or another browser's.
    """
    key = request.cookies.get(FORM_COOKIE, "")
    if not key or not is_same(fields.get("csrf"), site_of(request).sign("form", key)):
        raise HTTPException(403, "this page is out of date; go back and load it again")
