"""`parlant-local completion`: the completion script of a shell."""

from __future__ import annotations

import click

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash: parlant-local completion bash > ~/.local/share/bash-completion/completions/parlant-local
    zsh:  parlant-local completion zsh > "${fpath[1]}/_parlant-local"
    fish: parlant-local completion fish > ~/.config/fish/completions/parlant-local.fish
    """
    from click.shell_completion import get_completion_class

    from parlant_local.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "parlant-local", "_PARLANT_LOCAL_COMPLETE").source())
