"""`kit parity`: the parity ledger, measured now."""

from __future__ import annotations

from typing import Any

import click

from kit.cli.output import Document, as_json, console, say, table


@click.command()
@click.option("--optimizer", help="Names of rules, separated by commas.  [default: every rule]")
@click.option("--backend", help="The reference, then those held against it, separated by commas.  [default: all]")
@click.option("--model", default="mlp", show_default=True, help="mlp, cnn, transformer, separated by commas.")
@click.option("--dtype", type=click.Choice(["float64", "float32"]), default="float64", show_default=True)
@click.option("--steps", type=int, help="Of each run.  [default: 1000 for mlp, 200 for the others; 100 in float32]")
@as_json
@click.pass_obj
def parity(
    document: Document,
    as_json: bool,
    optimizer: str | None,
    backend: str | None,
    model: str,
    dtype: Any,
    steps: int | None,
) -> int:
    """Train each optimizer in every backend from the same start over the same batches, and state how far apart they
    end.

    Beside each difference stands that of a shadow: the same run from a start changed by one unit in the last place.
    """
    from kit.cli.compare import names
    from kit.parity import document as as_document
    from kit.parity import measure

    entries = measure(
        names(optimizer) or None, backends=names(backend) or None, models=names(model), dtype=dtype, steps=steps
    )
    if as_json:
        document.set({"dtype": dtype, "entries": as_document(entries)})
    else:
        numbers = ("parameters", "loss", "shadow: parameters", "shadow: loss")
        out, rows = (
            console(),
            table("optimizer", "model", "steps", "backends", *numbers, "verdict", right=("steps", *numbers)),
        )
        for e in entries:
            differences = (
                e.parameter_difference,
                e.loss_difference,
                e.shadow_parameter_difference,
                e.shadow_loss_difference,
            )
            pair = f"{e.reference}, {e.backend}"
            rows.add_row(e.optimizer, e.model, str(e.steps), pair, *(f"{d:.1e}" for d in differences), e.verdict)
        out.print(rows)
        for e in entries:
            if e.verdict != "agrees":
                say(out, f"{e.optimizer} on {e.model}: {e.why}")
    return 0 if all(e.verdict in ("agrees", "sensitive") for e in entries) else 1
