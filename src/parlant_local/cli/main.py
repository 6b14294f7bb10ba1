"""The command's root: lazily loaded verbs, and every error as one line with an exit code.

Exit codes: 0 success, 1 failure, 2 usage or settings error, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import click

from parlant_local._version import __version__
from parlant_local.cli.printing import say
from parlant_local.cli.streams import prepare_streams
from parlant_local.cli.verb_group import VerbGroup
from parlant_local.errors import BadRequestError, ConfigurationError, ParlantLocalError
from parlant_local.observability import redact

__all__ = ["cli", "main"]

# title: verb: (its implementation, its line in the help)
_GROUPS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Talk": {
        "chat": ("parlant_local.cli.chat:chat", "Talk to a model in the terminal."),
        "run": (
            "parlant_local.cli.run:run",
            "Talk to a model, or ask it one thing; it is downloaded where it is missing.",
        ),
        "generate": (
            "parlant_local.cli.generate:generate",
            "Answer one prompt from an argument, a file or standard input.",
        ),
        "image": ("parlant_local.cli.image:image", "Make pictures from words, or from other pictures."),
        "agent": (
            "parlant_local.cli.agent:agent",
            "Run a Parlant server with a demonstration agent and its chat page.",
        ),
        "demo": ("parlant_local.cli.agent:demo", "Run one conversation with a real Parlant server, print it and exit."),
    },
    "Models": {
        "search": ("parlant_local.cli.search:search", "Search the hub, well-known names and the catalogue for models."),
        "recommend": ("parlant_local.cli.recommend:recommend", "Recommend models for this machine."),
        "pull": ("parlant_local.cli.models:pull", "Download and verify a model."),
        "add": ("parlant_local.cli.models:add", "Add a GGUF file to the catalogue, in place."),
        "list": ("parlant_local.cli.models:list_", "List catalogued models."),
        "show": ("parlant_local.cli.show:show", "Show details of a model."),
        "rm": ("parlant_local.cli.models:rm", "Delete a model."),
        "verify": ("parlant_local.cli.models:verify", "Verify a model's files against their digests."),
    },
    "Serve": {
        "serve": ("parlant_local.cli.serve:serve", "Serve models to any OpenAI client, with a web page."),
        "ps": ("parlant_local.cli.ps:ps", "Show running servers and the models they have loaded."),
        "stop": ("parlant_local.cli.ps:stop", "Unload a model from a running server, or end the server."),
    },
    "Measure": {
        "evaluate": (
            "parlant_local.cli.evaluate:evaluate",
            "Examine how well models follow an agent's rules; says which decisions go wrong.",
        ),
        "bench": (
            "parlant_local.cli.bench:bench",
            "Measure a model's speed on this machine; --save stores the best settings.",
        ),
        "perplexity": (
            "parlant_local.cli.perplexity:perplexity",
            "Measure a model's perplexity on a text, and its divergence from a larger type.",
        ),
        "compare": (
            "parlant_local.cli.compare:compare",
            "Compare two models: by the examination of both, else by their predictions.",
        ),
    },
    "Make": {
        "convert": ("parlant_local.cli.convert:convert", "Convert safetensors, in a folder or on the hub, to GGUF."),
        "quantize": ("parlant_local.cli.quantize:quantize", "Make a smaller model: fewer bits for each weight."),
        "imatrix": (
            "parlant_local.cli.imatrix:imatrix",
            "Make an importance matrix of a text, with which quantizing loses less.",
        ),
        "edit": ("parlant_local.cli.workshop:edit", "Change a model's metadata, chat template or special tokens."),
        "split": ("parlant_local.cli.workshop:split", "Divide a model into several files."),
        "merge": ("parlant_local.cli.workshop:merge", "Put a split model together into one file."),
    },
    "Texts and prompts": {
        "embed": ("parlant_local.cli.vectors:embed", "Embed texts."),
        "rerank": ("parlant_local.cli.vectors:rerank", "Rank documents by relevance to a query."),
        "render": ("parlant_local.cli.render:render", "Show the exact prompt and tokens of a conversation."),
        "parse": ("parlant_local.cli.parse:parse", "Parse a text as a model's answer: reasoning, content, tool calls."),
        "tokenize": ("parlant_local.cli.render:tokenize", "Show the token ids of a text as typed."),
    },
    "Set up": {
        "setup": (
            "parlant_local.cli.setup:setup",
            "Offer the models that this machine lacks: an embedder, a chat model.",
        ),
        "config": ("parlant_local.cli.config:config", "Show and change settings."),
        "doctor": ("parlant_local.cli.doctor:doctor", "Show what this machine can run, and where settings come from."),
        "completion": ("parlant_local.cli.completion:completion", "Print the shell completion script."),
    },
}

# Words that people bring from other programs.
_ALIASES: Mapping[str, str] = {
    "ls": "list",
    "models": "list",
    "remove": "rm",
    "delete": "rm",
    "info": "show",
    "inspect": "show",
    "download": "pull",
    "get": "pull",
    "ask": "generate",
    "draw": "image",
    "imagine": "image",
    "unload": "stop",
    "settings": "config",
}

_ELSEWHERE: Mapping[str, str] = {
    "logs": "`parlant-local serve` logs to standard error; `parlant-local config set logging.file FILE` has it write a file.",
    "start": "`parlant-local serve` starts the server.",
    "status": "`parlant-local ps` shows running servers, `parlant-local doctor` this machine.",
    "update": "`pip install --upgrade parlant-local` updates the program, `parlant-local pull MODEL` a model.",
    "version": "`parlant-local --version` shows it.",
}


@click.group(
    cls=VerbGroup,
    groups=_GROUPS,
    aliases=_ALIASES,
    elsewhere=_ELSEWHERE,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    subcommand_metavar="VERB [ARGUMENTS]...",
    epilog="`parlant-local VERB --help` shows a verb's options and examples.",
)
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
