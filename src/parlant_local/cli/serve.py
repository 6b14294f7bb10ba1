"""``parlant-local serve``: models behind the API that every tool speaks, with a page to look at."""

from __future__ import annotations

from pathlib import Path

import click

from parlant_local.settings import Settings

__all__ = ["serve"]


@click.command()
@click.option("--model", "-m", metavar="MODEL", help="Loaded at the start, and used where a request names none.")
@click.option("--host", metavar="H", help="Address to listen on.  [127.0.0.1]")
@click.option("--port", "-p", type=click.IntRange(0, 65535), metavar="P", help="0 takes a free one.  [8080]")
@click.option("--config", metavar="FILE", help="Settings file (YAML or TOML).")
@click.option("--api-key-file", type=click.Path(path_type=Path), metavar="F", help="Keys, one a line, or name:key.")
@click.option("--admin-key-file", type=click.Path(path_type=Path), metavar="F", help="Keys that may administer, too.")
@click.option("--n-ctx", type=click.IntRange(16), metavar="TOKENS", help="Longest prompt with its answer.")
def serve(
    model: str | None,
    host: str | None,
    port: int | None,
    config: str | None,
    api_key_file: Path | None,
    admin_key_file: Path | None,
    n_ctx: int | None,
) -> None:
    """Serve models to any OpenAI client, with a web page.

    Every catalogued model is loaded when it is asked for. Only this machine can connect, unless --host says otherwise,
    which needs API keys.
    """
    given: dict[str, object] = {
        "model": model,
        "server.host": host,
        "server.port": port,
        "auth.key_file": api_key_file,
        "auth.admin_key_file": admin_key_file,
        "engine.n_ctx": n_ctx,
    }
    settings = Settings.load(config, **given)
    from parlant_local.server import serve as run

    run(settings)
