"""`parlant-local image`: makes pictures from words, or from other pictures."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from parlant_local.cli.image_files import PictureFiles
from parlant_local.cli.image_progress import drawing
from parlant_local.cli.options import read_media, read_text, run
from parlant_local.cli.printing import emit_json, say
from parlant_local.errors import BadRequestError

if TYPE_CHECKING:
    from parlant_local.images import ImageReply, ImageRequest
    from parlant_local.settings import Settings

__all__ = ["image"]

_SIZE = re.compile(r"(\d{1,5})[x×*](\d{1,5})", re.IGNORECASE)


@click.command()
@click.argument("prompt")
@click.option(
    "--output", "-o", metavar="FILE", help="File to write; a folder; - is standard output (default: picture-SEED.png)."
)
@click.option(
    "--model",
    "-m",
    metavar="NAME",
    help="Model: ENDPOINT, ENDPOINT/MODEL or one of this machine (default: images.model).",
)
@click.option("--negative", default="", metavar="TEXT", help="What the picture shall not show.")
@click.option("--size", metavar="WIDTHxHEIGHT", help="Pixels, such as 512x768.")
@click.option("--steps", type=int, metavar="N", help="More of them take longer, and draw better up to a point.")
@click.option(
    "--guidance", type=float, metavar="X", help="How strictly the prompt is followed; 1 leaves --negative unread."
)
@click.option("--seed", type=int, metavar="N", help="The same one makes the same picture again.")
@click.option("--sampler", metavar="NAME", help="How each step is computed: euler, euler_a …")
@click.option("--count", "-n", type=int, default=1, help="Pictures to make; their seeds count on.")
@click.option("--from", "sources", multiple=True, metavar="FILE", help="A picture to start from (may be repeated).")
@click.option("--mask", metavar="FILE", help="White, or transparent, where --from may change.")
@click.option("--strength", type=float, metavar="X", help="How much of --from is drawn anew, from 0 to 1.")
@click.option("--no-parameters", is_flag=True, help="Leave prompt, seed and so on out of the file.")
@click.option("--force", is_flag=True, help="Overwrite files.")
@click.option("--json", "as_json", is_flag=True, help="Print the files and how they were made as JSON.")
@click.option("--config", metavar="FILE", help="Settings file (YAML or TOML).")
def image(output: str | None, model: str | None, config: str | None, **arguments: Any) -> None:
    """Make pictures from words, or from other pictures.

    PROMPT says what they show; - reads it from standard input. What makes them is configured: an endpoint with OpenAI's API or
    stable-diffusion.cpp's sd-server, or a model of this machine.
    """
    from parlant_local.settings import Settings

    settings = Settings.load(config, **({"images.model": model} if model else {}))
    as_json, told = arguments.pop("as_json"), not arguments.pop("no_parameters")
    force = arguments.pop("force")
    request = _request(**arguments)
    files = PictureFiles(output, request, force=force, as_json=as_json)
    reply = run(_made(request, settings, quiet=as_json))
    _write(files, request, reply, told=told, as_json=as_json)


def _request(
    prompt: str, negative: str, size: str | None, sources: tuple[str, ...], mask: str | None, **options: Any
) -> ImageRequest:
    from parlant_local.images import ImageRequest

    width, height = _size(size)
    return ImageRequest(
        read_text("-").strip() if prompt == "-" else prompt,
        negative_prompt=negative,
        width=width,
        height=height,
        sources=tuple(map(_picture, sources)),
        mask=None if mask is None else _picture(mask),
        **options,
    )


def _size(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    if (found := _SIZE.fullmatch(text)) is None:
        raise BadRequestError(f"{text!r} is no size.", hint="Write it like 512x768.")
    return int(found[1]), int(found[2])


def _picture(file: str) -> bytes:
    part = read_media(file)
    if part.kind != "image":
        raise BadRequestError(f"{file} is no picture.", hint="Pictures may be PNG, JPEG or WebP.")
    return part.data


async def _made(request: ImageRequest, settings: Settings, *, quiet: bool) -> ImageReply:
    from parlant_local.images import ImageDirectory
    from parlant_local.observability import ConsoleLogger

    async with ImageDirectory(settings, ConsoleLogger("warning")) as directory:
        backend = directory.backend()
        with drawing(backend.model_info().id, quiet=quiet) as progress:
            return await backend.generate(request, progress)


def _write(files: PictureFiles, request: ImageRequest, reply: ImageReply, *, told: bool, as_json: bool) -> None:
    from parlant_local.images.parameters import with_parameters

    written = []
    for picture in reply.pictures:
        data = with_parameters(picture, request, reply) if told else picture.data
        name = files.write(data, picture.seed)
        written.append({"file": name, "seed": picture.seed, "width": picture.width, "height": picture.height})
    if files.to_output:
        return
    if as_json:
        made = {"model": reply.model, "steps": reply.steps, "guidance": reply.guidance, "sampler": reply.sampler}
        emit_json({"pictures": written, **made, "seconds": round(reply.seconds, 3)})
        return
    for item in written:
        click.echo(item["file"]) if not sys.stdout.isatty() else say(f"{item['file']}  {_shown(item)}")


def _shown(item: dict[str, Any]) -> str:
    seed = "" if item["seed"] is None else f", seed {item['seed']}"
    return f"{item['width']} x {item['height']}{seed}"
