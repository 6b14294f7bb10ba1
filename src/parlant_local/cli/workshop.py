"""The verbs edit, split and merge."""

from __future__ import annotations

from typing import Any

import click

from parlant_local.cli.options import model_argument, read_text
from parlant_local.cli.workshop_options import byte_count, product_options, run_job, show_product, workshop_manager
from parlant_local.errors import BadRequestError

__all__ = ["edit", "merge", "split"]


@click.command()
@model_argument
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Set a metadata key. May be repeated.")
@click.option("--remove", "removals", multiple=True, metavar="KEY", help="Remove a metadata key. May be repeated.")
@click.option("--template", metavar="FILE", help="Chat template: a file with Jinja text.")
@click.option(
    "--token",
    "tokens",
    multiple=True,
    metavar="NAME=TEXT",
    help="Set a special token: eos='<|im_end|>'. May be repeated.",
)
@click.option("--in-place", is_flag=True, help="Change MODEL itself, which may be an adapter, instead of a copy.")
@product_options
def edit(
    model: str,
    changes: tuple[str, ...],
    removals: tuple[str, ...],
    template: str | None,
    tokens: tuple[str, ...],
    in_place: bool,
    name: str | None,
    output: str | None,
    quiet: bool,
    as_json: bool,
    **catalogue: Any,
) -> None:
    """Make a copy of MODEL with other metadata; its tensors are copied byte for byte.

    A key keeps its type; KEY:TYPE=VALUE gives it another one (u32, i32, f32, bool, str …; [i32] is an array, its value JSON).
    """
    from parlant_local import workshop

    manager = workshop_manager(catalogue)
    pairs = [each.partition("=") for each in tokens]
    if wrong := next((each for each in pairs if not each[1]), None):
        raise BadRequestError(f"--token {wrong[0]!r} is not NAME=TEXT.", hint="Such as eos='<|im_end|>'.")
    text = None if template is None else read_text(template)
    record = run_job(
        lambda control: workshop.edit(
            model,
            changes=changes,
            removals=removals,
            template=text,
            tokens={key: value for key, _, value in pairs},
            name=name,
            output=output,
            in_place=in_place,
            manager=manager,
            control=control,
        ),
        quiet=quiet,
    )
    show_product(record, as_json=as_json)


@click.command()
@model_argument
@click.option("--size", metavar="SIZE", help="Most bytes of tensors in a file: 2GB, 500MiB.")
@click.option("--tensors", type=click.IntRange(1), metavar="N", help="Most tensors in a file.")
@product_options
def split(
    model: str,
    size: str | None,
    tensors: int | None,
    name: str | None,
    output: str | None,
    quiet: bool,
    as_json: bool,
    **catalogue: Any,
) -> None:
    """Make a copy of MODEL in several files, NAME-00001-of-0000N.gguf, as hubs with a limit want them."""
    from parlant_local import workshop

    manager = workshop_manager(catalogue)
    limit = None if size is None else byte_count(size)
    record = run_job(
        lambda control: workshop.split(
            model, max_bytes=limit, max_tensors=tensors, name=name, output=output, manager=manager, control=control
        ),
        quiet=quiet,
    )
    show_product(record, as_json=as_json)


@click.command()
@model_argument
@product_options
def merge(model: str, name: str | None, output: str | None, quiet: bool, as_json: bool, **catalogue: Any) -> None:
    """Make a copy of MODEL, which has several files, in one."""
    from parlant_local import workshop

    manager = workshop_manager(catalogue)
    record = run_job(
        lambda control: workshop.merge(model, name=name, output=output, manager=manager, control=control), quiet=quiet
    )
    show_product(record, as_json=as_json)
