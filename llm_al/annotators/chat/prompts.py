"""Prompt templates: the static part first, then one text, fenced as data."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateError, TemplateNotFound

from llm_al.annotators.chat.codes import Choice, choices
from llm_al.errors import ConfigError
from llm_al.types import LabelScheme

__all__ = ["Message", "Prompt", "fence", "load_prompt", "prompt_folder", "prompt_names"]

Message = Mapping[str, str]
"""One chat message: `role` and `content`."""

_ORDER = re.compile(r"\A\{# order: (listed|reversed) #\}")


def prompt_folder() -> Path:
    """Return the folder of the templates: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).parents[2]
    installed = package / "prompts"
    return installed if installed.is_dir() else package.parent / "prompts"


def prompt_names() -> list[str]:
    """Return the names of all prompt versions that are shipped."""
    return sorted(path.name.removesuffix(".j2") for path in prompt_folder().glob("*.j2"))


def fence(text: str) -> str:
    """Put `text` between two marker lines whose key the text does not contain.

    The key comes from a hash of the text, so the same text gives the same request; it is drawn again
    until the text does not hold it. No text can therefore write its own closing line.
    """
    for attempt in range(2**16):
        key = hashlib.sha256(f"{attempt}:{text}".encode("utf-8", "replace")).hexdigest()[:12]
        if key not in text:
            break
    return f"<text {key}>\n{text}\n</text {key}>"


@dataclass(frozen=True)
class Prompt:
    """One version of the prompt, bound to a label scheme."""

    name: str
    template: Template
    choices: tuple[Choice, ...]
    guidelines: str

    @cached_property
    def names_by_code(self) -> dict[str, str]:
        """Code -> label name, "none of these" included, in the order shown."""
        return {choice.code: choice.name for choice in self.choices}

    @cached_property
    def system(self) -> str:
        """The static part, equal for all texts, so that servers can cache it."""
        return self._block("system", {})

    def messages(self, text: str) -> tuple[Message, ...]:
        """Return the rendered messages for one text."""
        # A lone surrogate cannot be sent as UTF-8.
        sendable = text.encode("utf-8", "replace").decode("utf-8")
        user = self._block("user", {"fenced": fence(sendable)})
        return ({"role": "system", "content": self.system}, {"role": "user", "content": user})

    def _block(self, name: str, extra: Mapping[str, str]) -> str:
        variables = {
            "choices": self.choices,
            "codes": ", ".join(self.names_by_code),
            "guidelines": self.guidelines.strip(),
            **extra,
        }
        try:
            return "".join(self.template.blocks[name](self.template.new_context(variables))).strip()
        except KeyError:
            raise ConfigError(f"prompt {self.name!r} has no block {name!r}; a prompt needs: system, user") from None
        except TemplateError as exc:
            raise ConfigError(f"prompt {self.name!r}, block {name!r}: {exc}; correct the template") from exc


def load_prompt(name: str, scheme: LabelScheme, *, folder: Path | None = None) -> Prompt:
    """Load one prompt version for a label scheme.

    Parameters
    ----------
    name : str
        Template name without `.j2`, for example `classify.v1`.
    folder : Path, optional
        Looked into before the shipped templates.

    Raises
    ------
    ConfigError
        If there is no such template, it does not start with `{# order: listed #}` or
        `{# order: reversed #}`, or it cannot show a text.
    """
    folders = [str(path) for path in (folder, prompt_folder()) if path is not None]
    environment = Environment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["quoted"] = lambda value: json.dumps(value, ensure_ascii=False)
    try:
        source = FileSystemLoader(folders).get_source(environment, f"{name}.j2")[0]
        template = environment.get_template(f"{name}.j2")
    except TemplateNotFound:
        raise ConfigError(f"unknown prompt {name!r}; choose from: {', '.join(prompt_names())}") from None
    except TemplateError as exc:
        raise ConfigError(f"prompt {name!r} is not a valid template: {exc}; correct it") from exc
    order = _ORDER.match(source)
    if order is None:
        raise ConfigError(f"prompt {name!r} must start with '{{# order: listed #}}' or '{{# order: reversed #}}'")
    listed = choices(scheme.labels, is_reversed=order[1] == "reversed")
    prompt = Prompt(name, template, listed, scheme.guidelines)
    if fence("probe") not in prompt.messages("probe")[1]["content"]:
        raise ConfigError(f"prompt {name!r} does not show the text; its block 'user' must hold {{{{ fenced }}}}")
    return prompt
