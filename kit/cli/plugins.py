"""`kit plugins`: every plugin, what it offers, from which distribution and version, and what failed."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click

from kit.cli.output import Document, as_json, console, say
from kit.hookcalls import record_types
from kit.registry import Offer, Registry

if TYPE_CHECKING:
    from rich.console import Console

    from kit.ledger import Failure
    from kit.records import Component


@click.command()
@as_json
@click.option("--errors", is_flag=True, help="Only what failed, with tracebacks.")
@click.pass_obj
def plugins(document: Document, as_json: bool, errors: bool) -> None:
    """List every plugin, what it offers, from which distribution and version, and what failed.

    KIT_PLUGINS=a,b loads only these; KIT_BLOCK=a,b leaves these out; one that takes longer than KIT_PLUGIN_SECONDS (60)
    is left out. No framework is imported.
    """
    registry = Registry.load()
    if as_json:
        document.set(described(registry, errors))
        return
    out = console()
    if not errors:
        _print_plugins(out, registry)
    _print_failures(out, registry.failures, errors)


def described(registry: Registry, errors: bool = False) -> dict[str, Any]:
    """The listing as JSON. errors: only the plugins that stand in the ledger."""
    faulty = {(failure.plugin, failure.distribution) for failure in registry.failures}
    return {
        "plugins": [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "entry_point": plugin.target,
                "offers": {
                    plural: [_described(offer) for offer in offers]
                    for plural, offers in _by_kind(registry, plugin.name, plugin.distribution).items()
                },
            }
            for plugin in registry.plugins
            if not errors or (plugin.name, plugin.distribution) in faulty
        ],
        "failures": [
            {
                "plugin": failure.plugin,
                "distribution": failure.distribution,
                "version": failure.version,
                "stage": failure.stage,
                "note": failure.note,
                "reason": failure.reason,
                "detail": failure.detail,
            }
            for failure in registry.failures
        ],
        "ambiguous": [
            {"kind": kind, "name": name, "qualified": list(qualified)} for kind, name, qualified in registry.ambiguous()
        ],
        "left_out": [
            {"name": point.name, "distribution": point.distribution, "version": point.version}
            for point in registry.left_out
        ],
    }


def _described(offer: Offer[Component]) -> dict[str, Any]:
    record = offer.record
    return {
        "name": record.name,
        "qualified": offer.qualified,
        "family": record.family,
        "backend": record.backend,
        "help": record.help,
        "requires": list(record.requires),
        "hyperparameters": {
            h.name: {"default": h.default, "range": h.range, "help": h.help} for h in record.hyperparameters
        },
    }


def _by_kind(registry: Registry, plugin: str, distribution: str) -> dict[str, list[Offer[Component]]]:
    """What one plugin offers, by the hook's plural: {"models": […], …}, without the empty ones."""
    found = {}
    for hook, record in record_types().items():
        offers = [
            offer
            for offer in registry.kind(record.kind)
            if (offer.plugin, offer.distribution) == (plugin, distribution)
        ]
        if offers:
            found[hook.removeprefix("kit_")] = offers
    return found


def _print_plugins(out: Console, registry: Registry) -> None:
    from rich.table import Table
    from rich.text import Text

    if not registry.plugins:
        say(out, "No plugin is loaded.")
    for plugin in registry.plugins:
        out.print(Text.assemble((plugin.name, "bold"), f"   {plugin.distribution} {plugin.version}"))
        rows = Table.grid(padding=(0, 2))
        rows.add_column(min_width=10)
        rows.add_column(overflow="fold")
        for plural, offers in _by_kind(registry, plugin.name, plugin.distribution).items():
            rows.add_row("  " + plural, ", ".join(offer.record.name for offer in offers))
        out.print(rows)
    for kind, name, qualified in registry.ambiguous():
        say(out, f"Ambiguous: the {kind} '{name}' is {' or '.join(qualified)}.", "yellow")
    if registry.left_out:
        names = ", ".join(f"{point.name} ({point.distribution})" for point in registry.left_out)
        say(out, f"Left out by KIT_PLUGINS or KIT_BLOCK: {names}.")


def _print_failures(out: Console, failures: tuple[Failure, ...], detailed: bool) -> None:
    from rich.text import Text

    if detailed and not failures:
        say(out, "No plugin failed.")
    for failure in failures:
        title = ("note", "yellow") if failure.note else ("failed", "bold red")
        whose = f" {failure.plugin} ({failure.distribution} {failure.version}), {failure.stage}: "
        say(out, Text.assemble(title, whose, failure.reason))
        if detailed and failure.detail:
            say(out, textwrap.indent(failure.detail.rstrip(), "    "), "dim")
