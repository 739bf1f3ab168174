"""The command that lets people label in a browser. No decisions."""

from pathlib import Path
from typing import Annotated

import typer

from llm_al import console
from llm_al.cli_shell import HERE, ME, Folder, clean
from llm_al.errors import MissingExtraError

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this module beside the others."""
    app.command()(serve)


@clean
def serve(
    folder: Folder = HERE,
    host: Annotated[str, typer.Option(help="Where to listen. Others than this machine need accounts.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8000,
    annotator: Annotated[str, typer.Option(help="Your name, as long as nobody has an account.")] = ME,
    add_owner: Annotated[str | None, typer.Option(help="Make this person an owner; prints a login link.")] = None,
    run: Annotated[bool, typer.Option("--run/--no-run", help="Run the next round when all is answered.")] = False,
    workers: Annotated[int, typer.Option(help="Processes.", min=1, max=64)] = 1,
    base: Annotated[str, typer.Option(help="Path prefix of a reverse proxy, as /labels.")] = "",
    allow_host: Annotated[list[str] | None, typer.Option(help="Host name under which people come; repeat it.")] = None,
    proxy: Annotated[list[str] | None, typer.Option(help="Address of a proxy to believe; repeat it.")] = None,
    https: Annotated[bool, typer.Option("--https", help="The proxy speaks https with the browsers.")] = False,
) -> None:
    """Serve pages on which people label, several at once; with a review page and a dashboard."""
    try:
        from llm_al.web import serve as web
    except ImportError as exc:
        raise MissingExtraError('the pages need extra packages; install them with: pip install "llm_al[web]"') from exc
    web.serve(
        Path(folder),
        host=host,
        port=port,
        workers=workers,
        base=base,
        annotator=annotator,
        add_owner=add_owner,
        allow_hosts=allow_host or (),
        proxies=proxy or (),
        is_https=https,
        runs_rounds=run,
        say=lambda line: console.out.print(line, markup=False, soft_wrap=True, highlight=False),
    )
