"""The commands by name. A command's module is imported only when it is called."""

from __future__ import annotations

import importlib

import click

from kit.errors import unknown

# name: (module:command, what it does)
COMMANDS = {
    "compare": ("kit.cli.compare:compare", "Train optimizers side by side and say which differences are real."),
    "parity": ("kit.cli.parity:parity", "The parity ledger, measured now."),
    "resume": ("kit.cli.resume:resume", "Continue what was stopped or lost."),
    "runs": ("kit.cli.stored:runs", "What the store holds."),
    "show": ("kit.cli.stored:show", "One run: how it ended, what it was, what it cost."),
    "export": ("kit.cli.export:export", "Runs in other tools' formats: mlflow, tensorboard, csv, parquet."),
    "reindex": ("kit.cli.stored:reindex", "Rebuild a store's index from the runs' logs."),
    "compact": ("kit.cli.stored:compact", "Make a store smaller; no curve and no final parameter is touched."),
    "start": ("kit.cli.start:start", "The guided notebooks, copied and opened in JupyterLab."),
    "lab": ("kit.cli.lab:lab", "The lab as an application in the browser, without code."),
    "record": ("kit.cli.record:record", "Run notebooks and store their reference outputs."),
    "check": ("kit.cli.check:check", "Check a plugin as the built-ins are checked: everything that it offers."),
    "new": ("kit.cli.new:new", "Begin a plugin of your own: kit new plugin NAME."),
    "plugins": ("kit.cli.plugins:plugins", "Every plugin and what it offers; failures with their reason."),
    "doctor": ("kit.cli.doctor:doctor", "Versions, backends, devices; what is missing and what mends it."),
}  # fmt: skip


class LazyGroup(click.Group):
    """A group that knows its commands' names and help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and args[0] not in COMMANDS:
            raise unknown("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, says) for name, (_, says) in COMMANDS.items()])


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        import kit

        click.echo(f"kit (descentkit) {kit.__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="The version of kit.",
)
@click.pass_context
def group(ctx: click.Context) -> None:
    """Find out, with evidence, which optimizer to choose, how to set it, and what it costs: PyTorch and
    TensorFlow side by side. `kit compare` without any option runs the main job."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
