"""``parlant-local serve``: models behind an OpenAI-compatible API, with a web page."""

from __future__ import annotations

from pathlib import Path

import click
import yaml

from parlant_local.settings import Settings

__all__ = ["serve"]


@click.command()
@click.option("--model", "-m", metavar="MODEL", help="Load at startup, and use where a request names no model.")
@click.option("--host", metavar="H", help="Address to listen on.  [127.0.0.1]")
@click.option(
    "--port", "-p", type=click.IntRange(0, 65535), metavar="P", help="Port to listen on; 0 picks a free one.  [8080]"
)
@click.option("--config", metavar="FILE", help="Settings file (YAML or TOML).")
@click.option(
    "--api-key-file", type=click.Path(path_type=Path), metavar="F", help="API keys, one per line, or name:key."
)
@click.option(
    "--admin-key-file", type=click.Path(path_type=Path), metavar="F", help="API keys that may also administer."
)
@click.option("--ray", is_flag=True, help="As an application of Ray Serve, on this machine: models run as replicas.")
@click.option("--ray-config", is_flag=True, help="Print that application's configuration file for a cluster, and exit.")
@click.option("--n-ctx", type=click.IntRange(16), metavar="TOKENS", help="Context length: prompt and answer together.")
def serve(
    model: str | None,
    host: str | None,
    port: int | None,
    config: str | None,
    api_key_file: Path | None,
    admin_key_file: Path | None,
    n_ctx: int | None,
    ray: bool,
    ray_config: bool,
) -> None:
    """Serve models to any OpenAI client, with a web page.

    Catalogued models are loaded on demand. Only this machine can connect, unless --host is set,
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
    if ray_config:
        from parlant_local.ray.cluster import serve_config

        click.echo(yaml.safe_dump(serve_config(settings, config), sort_keys=False), nl=False)
        return
    if ray:
        from parlant_local.ray import serve as run_replicas

        run_replicas(lambda: Settings.load(config, **given))
        return
    from parlant_local.server import serve as run

    run(settings)
