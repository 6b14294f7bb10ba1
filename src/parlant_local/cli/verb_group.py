"""The command's root as a click group: verbs that are imported when they are used, in groups, with aliases and near misses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

from parlant_local.cli.examples import EXAMPLES

__all__ = ["VerbGroup"]


class VerbGroup(click.Group):
    """``groups``: a title's verbs, each with its implementation (``module:attribute``) and its line in the help.
    ``aliases``: other words for them. ``elsewhere``: words that are no verbs, and what to do instead."""

    def __init__(
        self,
        *arguments: Any,
        groups: Mapping[str, Mapping[str, tuple[str, str]]],
        aliases: Mapping[str, str],
        elsewhere: Mapping[str, str],
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._groups = groups
        self._verbs = {verb: entry for verbs in groups.values() for verb, entry in verbs.items()}
        self._aliases, self._elsewhere = aliases, elsewhere

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return [verb for verb, (home, _) in self._verbs.items() if find_spec(home.partition(":")[0]) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        verb = self._aliases.get(cmd_name, cmd_name)
        if verb not in self._verbs:
            return None
        module, _, attribute = self._verbs[verb][0].partition(":")
        command: Any = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        if lines := EXAMPLES.get(verb):
            command.epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word == "help" and not ctx.resilient_parsing:
            if not args[1:]:
                click.echo(ctx.get_help())
                ctx.exit()
            return self.resolve_command(ctx, [args[1], "--help"])
        if self.get_command(ctx, word) is None and not ctx.resilient_parsing and not word.startswith("-"):
            raise click.UsageError(" ".join(self._unknown(word)), ctx)
        name, command, rest = super().resolve_command(ctx, args)
        return self._aliases.get(name or "", name), command, rest

    def _unknown(self, word: str) -> Iterator[str]:
        yield f"There is no command {word!r}."
        if (instead := self._elsewhere.get(word)) is not None:
            yield instead
        elif "/" in word or ":" in word or word.endswith(".gguf"):
            yield f"To talk to a model: parlant-local run {word}"
        else:
            near = get_close_matches(word.lower(), [*self._verbs, *self._aliases, "help"], 3, 0.6)
            if verbs := dict.fromkeys(self._aliases.get(each, each) for each in near):
                yield f"Did you mean {' or '.join(verbs)}?"
            else:
                yield "`parlant-local --help` lists them."

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # From the table, so that --help imports no verb.
        known = self.list_commands(ctx)
        width = max(map(len, known), default=0)
        for title, verbs in self._groups.items():
            if rows := [(verb.ljust(width), line) for verb, (_, line) in verbs.items() if verb in known]:
                with formatter.section(title):
                    formatter.write_dl(rows)
