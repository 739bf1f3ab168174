"""What goes back to the browser: JSON that always encodes, and one sentence for whatever went wrong."""

import json
import math
from typing import Any

from starlette.responses import JSONResponse

__all__ = ["Json", "refusal"]


def _finite(value: Any) -> Any:
    """Return the value with None for numbers that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


class Json(JSONResponse):
    """JSON in UTF-8; NaN and infinities become null, half characters a question mark."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        try:
            text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except ValueError:
            text = json.dumps(_finite(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8", errors="replace")


def refusal(status: int, sentence: str, **headers: str) -> Json:
    """Return ``{"error": sentence}``."""
    return Json({"error": sentence}, status_code=status, headers=headers)
