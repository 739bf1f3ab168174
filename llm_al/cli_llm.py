"""Commands about the LLM: arguments into calls on `project.llm`, results into text. No decisions."""

import typer

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this module beside the others."""
    del app
