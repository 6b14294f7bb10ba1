"""The verb quantize."""

from __future__ import annotations

from typing import Any

import click

from parlant_local.cli.options import model_argument
from parlant_local.cli.workshop_options import product_options, run_job, show_product, workshop_manager

__all__ = ["quantize"]


@click.command()
@model_argument
@click.argument("type_", metavar="TYPE")
@click.option(
    "--tensor-type", "overrides", multiple=True, metavar="PATTERN=TYPE",
    help="Type of the tensors whose names PATTERN, a regular expression, finds. May be repeated; the first one counts.",
)  # fmt: skip
@click.option("--output-type", metavar="TYPE", help="Type of the output tensor.")
@click.option("--embedding-type", metavar="TYPE", help="Type of the tokens' embeddings.")
@click.option("--keep-output", is_flag=True, help="Leave the output tensor as it is.")
@click.option("--pure", is_flag=True, help="One type for all matrices, where llama.cpp would mix several.")
@click.option("--requantize", is_flag=True, help="Start from a quantized model, which loses more.")
@click.option("--imatrix", metavar="FILE", help="Importance matrix: see `parlant-local imatrix`.")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads. Default: this machine's cores.")
@product_options
def quantize(
    model: str,
    type_: str,
    overrides: tuple[str, ...],
    name: str | None,
    output: str | None,
    quiet: bool,
    as_json: bool,
    **arguments: Any,
) -> None:
    """Make a smaller MODEL of TYPE: Q4_K_M, Q8_0, IQ3_XS …, best from one in F16, BF16 or F32.

    Types of tensors are F16, Q8_0, Q6_K, Q4_K and so on.
    """
    from parlant_local import workshop

    manager = workshop_manager(arguments)
    record = run_job(
        lambda control: workshop.quantize(
            model, type_, overrides=overrides, name=name, output=output, manager=manager, control=control, **arguments
        ),
        quiet=quiet,
    )
    show_product(record, as_json=as_json)
