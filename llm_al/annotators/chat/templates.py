"""Prompt files: where they lie, how they are loaded and rendered."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateError, TemplateNotFound, meta

from llm_al.errors import ConfigError

__all__ = ["Blocks", "load_blocks", "prompt_folder", "prompt_names"]


def prompt_folder() -> Path:
    """Return the folder of the templates: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).parents[2]
    installed = package / "prompts"
    return installed if installed.is_dir() else package.parent / "prompts"


def prompt_names(task: str | None = None) -> list[str]:
    """Return the names of all prompt versions that are shipped, of one task where it is given.

    Examples
    --------
    >>> prompt_names("verify")
    ['verify.v1']
    """
    names = sorted(path.name.removesuffix(".j2") for path in prompt_folder().glob("*.j2"))
    return [name for name in names if task in (None, re.split(r"[._]", name)[0])]


@dataclass(frozen=True)
class Blocks:
    """A template with its blocks `system` and `user`.

    Parameters
    ----------
    name : str
        Name and version, as it stands in the ledger.
    source : str
    """

    name: str
    source: str
    template: Template

    @cached_property
    def variables(self) -> frozenset[str]:
        """Names that the template asks for."""
        return frozenset(meta.find_undeclared_variables(self.template.environment.parse(self.source)))

    def render(self, block: str, variables: Mapping[str, Any]) -> str:
        """Return one block.

        Raises
        ------
        ConfigError
            If there is no such block, or a variable is missing.
        """
        try:
            return "".join(self.template.blocks[block](self.template.new_context(dict(variables)))).strip()
        except KeyError:
            raise ConfigError(f"prompt {self.name!r} has no block {block!r}; a prompt needs: system, user") from None
        except TemplateError as exc:
            raise ConfigError(f"prompt {self.name!r}, block {block!r}: {exc}; correct the template") from exc


def load_blocks(name: str, *, folder: Path | None = None, tasks: Sequence[str]) -> Blocks:
    """Load one prompt version.

    Parameters
    ----------
    name : str
        Template name without `.j2`, for example `classify.v2`.
    folder : Path, optional
        Looked into before the shipped templates.
    tasks : sequence of str
        Whose names are listed when there is no such prompt.

    Raises
    ------
    ConfigError
        If there is no such template, or it is not valid.
    """
    loader = FileSystemLoader([str(path) for path in (folder, prompt_folder()) if path is not None])
    environment = Environment(
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    environment.filters["quoted"] = lambda value: json.dumps(value, ensure_ascii=False)
    try:
        source = loader.get_source(environment, f"{name}.j2")[0]
        return Blocks(name, source, environment.get_template(f"{name}.j2"))
    except TemplateNotFound:
        known = [known for task in tasks for known in prompt_names(task)]
        raise ConfigError(f"unknown prompt {name!r}; choose from: {', '.join(known)}") from None
    except TemplateError as exc:
        raise ConfigError(f"prompt {name!r} is not a valid template: {exc}; correct it") from exc
