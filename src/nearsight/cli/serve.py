"""``nearsight serve``: collections as a page and as an HTTP API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearsight.cli import places, render

EXAMPLES = """nearsight serve
nearsight serve ~/Pictures shop.ns --port 8080
NEARSIGHT_TOKEN=$(cat token) nearsight serve shop.ns --host 0.0.0.0 --allow-host shop.example"""


def run(
    collections: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[COLLECTION]...",
            help="Collections, or folders that were indexed; the first is the one that is shown. None named: as for "
            "other verbs.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="ADDRESS", help="Where to listen. Any but this machine's own address needs a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, metavar="N", help="0 takes any that is free.")
    ] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="NEARSIGHT_TOKEN",
            metavar="T",
            help="What everybody who asks must know, 16 letters or more. Others on this machine can read a command "
            "line: the variable is safer.",
            show_default=False,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="A name by which this server is called, beside its address (behind a proxy). Repeatable.",
            show_default=False,
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", metavar="", help="Refuse uploads, labels and deletions.")
    ] = False,
    no_open: Annotated[bool, typer.Option("--no-open", metavar="", help="Do not open the page in a browser.")] = False,
) -> None:
    """Show collections in a page, and answer programs over HTTP.

    Everything on one address: the page, the API that it uses, its description at /openapi.json. Ctrl-C ends it; what is
    being answered is finished first. Searching goes on while another process indexes.
    """
    from nearsight.http.server import serve
    from nearsight.http.settings import Settings

    folders = [places.find(folder) for folder in collections] if collections else [places.find(None)]
    settings = Settings(host, port, token, tuple(allow_host or ()), read_only)
    serve(folders, settings, lambda url: tell(url, open_page=not no_open))


def tell(url: str, *, open_page: bool) -> None:
    """Where the page is; opened in a browser where that is wanted."""
    render.out(url)
    render.flush()
    render.note("Ctrl-C ends it.")
    if open_page:
        import webbrowser

        webbrowser.open(url)
