"""The page of a first look at the data: one HTML file that needs nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from llm_al.reports.amounts import count, percent, usd

__all__ = ["render_page", "write_page"]


def render_page(overview: Mapping[str, Any]) -> str:
    """Return the page; texts and names are escaped, scripts and requests are forbidden.

    Parameters
    ----------
    overview : mapping
        `project`, `n`, `cost_nanousd`, `notes` and `clusters`, each with `name`, `description`, `n`, `share`,
        `keywords`, `typical`, `typical_ids` and `is_named_by_llm`.
    """
    environment = Environment(
        loader=PackageLoader("llm_al.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=count, percent=percent, usd=usd)
    largest = max((cluster["share"] for cluster in overview["clusters"]), default=1.0)
    return environment.get_template("explore.html.j2").render(**overview, largest=largest)


def write_page(overview: Mapping[str, Any], path: Path) -> None:
    """Write the page to `path`; a reader sees the old file or the new one, never a part."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(render_page(overview), encoding="utf-8")
    part.replace(path)
