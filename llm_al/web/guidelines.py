"""The guidelines page: its source, and its owner's changes."""

from llm_al.creation import GUIDELINES_NAME
from llm_al.errors import ConfigError
from llm_al.store.files import write_atomically
from llm_al.web.site import Site

__all__ = ["read_guidelines_page", "write_guidelines_page"]


def read_guidelines_page(site: Site) -> str:
    """Return the source as it is on disk at this moment; "" where there is none."""
    path = site.project.folder / (site.project.config.guidelines or GUIDELINES_NAME)
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def write_guidelines_page(site: Site, text: str) -> None:
    """Replace the page as a whole.

    Raises
    ------
    ConfigError
        If the project's settings say that it has none.
    """
    if site.project.config.guidelines is None:
        raise ConfigError("this project has no guidelines page; set 'guidelines' in project.yaml to a file name")
    write_atomically(site.project.folder / site.project.config.guidelines, lambda file: file.write(text.encode()))
