"""The command's root: lazily loaded verbs, and every error as one line with an exit code.

Exit codes: 0 success, 1 failure, 2 usage or settings error, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from parlant_local._version import __version__
from parlant_local.cli.printing import say
from parlant_local.cli.streams import prepare_streams
from parlant_local.errors import BadRequestError, ConfigurationError, ParlantLocalError
from parlant_local.observability import redact

__all__ = ["cli", "main"]

# verb: (its implementation, its line in the help)
_VERBS: Mapping[str, tuple[str, str]] = {
    "agent": ("parlant_local.cli.agent:agent", "Run a Parlant server with a demonstration agent and its chat page."),
    "demo": ("parlant_local.cli.agent:demo", "Run one conversation with a real Parlant server, print it and exit."),
    "chat": ("parlant_local.cli.chat:chat", "Talk to a model in the terminal."),
    "generate": (
        "parlant_local.cli.generate:generate",
        "Answer one prompt from an argument, a file or standard input.",
    ),
    "embed": ("parlant_local.cli.vectors:embed", "Embed texts."),
    "rerank": ("parlant_local.cli.vectors:rerank", "Rank documents by relevance to a query."),
    "render": ("parlant_local.cli.render:render", "Show the exact prompt and tokens of a conversation."),
    "parse": ("parlant_local.cli.parse:parse", "Parse a text as a model's answer: reasoning, content, tool calls."),
    "tokenize": ("parlant_local.cli.render:tokenize", "Show the token ids of a text as typed."),
    "setup": ("parlant_local.cli.setup:setup", "Offer the models that this machine lacks: an embedder, a chat model."),
    "serve": ("parlant_local.cli.serve:serve", "Serve models to any OpenAI client, with a web page."),
    "pull": ("parlant_local.cli.models:pull", "Download and verify a model."),
    "add": ("parlant_local.cli.models:add", "Add a GGUF file to the catalogue, in place."),
    "list": ("parlant_local.cli.models:list_", "List catalogued models."),
    "show": ("parlant_local.cli.show:show", "Show details of a model."),
    "rm": ("parlant_local.cli.models:rm", "Delete a model."),
    "verify": ("parlant_local.cli.models:verify", "Verify a model's files against their digests."),
    "recommend": ("parlant_local.cli.recommend:recommend", "Recommend models for this machine."),
    "evaluate": (
        "parlant_local.cli.evaluate:evaluate",
        "Examine how well models follow an agent's rules; says which decisions go wrong.",
    ),
    "bench": (
        "parlant_local.cli.bench:bench",
        "Measure a model's speed on this machine; --save stores the best settings.",
    ),
    "perplexity": ("parlant_local.cli.perplexity:perplexity", "Measure a model's perplexity on a text."),
    "doctor": ("parlant_local.cli.doctor:doctor", "Show what this machine can run, and where settings come from."),
    "completion": ("parlant_local.cli.completion:completion", "Print the shell completion script."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return [verb for verb, (home, _) in _VERBS.items() if _exists(home)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        if cmd_name not in _VERBS:
            return None
        module, _, attribute = _VERBS[cmd_name][0].partition(":")
        command: Any = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # From the table, so that --help imports no verb.
        if verbs := self.list_commands(ctx):
            with formatter.section("Commands"):
                formatter.write_dl([(verb, _VERBS[verb][1]) for verb in verbs])


def _exists(home: str) -> bool:
    from importlib.util import find_spec

    return find_spec(home.partition(":")[0]) is not None


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="parlant-local")
def cli() -> None:
    """Run Parlant agents and OpenAI clients on local models."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs a verb and exits."""
    prepare_streams()
    try:
        code = cli.main(args=arguments, prog_name="parlant-local", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except (ConfigurationError, BadRequestError) as error:
        say(f"error: {redact(str(error))}", err=True)
        sys.exit(2)
    except ParlantLocalError as error:
        say(f"error: {redact(str(error))}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader is gone (`… | head`): print nothing more, not even at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ImportError as error:
        say(f"error: {error}", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
