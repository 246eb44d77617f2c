"""From arguments to an exit code: a user's mistake becomes one sentence on standard error, no traceback."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback

import click

from kit.cli.group import group
from kit.cli.output import Document, harmless, standard_output_for
from kit.errors import KitError

DONE, FAILED, WRONG = 0, 1, 2
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def run(arguments: list[str]) -> int:
    """Carry out one command; returns its exit code."""
    document = Document()
    as_json = "--json" in arguments and not {"-h", "--help", "--version"} & set(arguments)
    try:
        with standard_output_for(document) if as_json else contextlib.nullcontext():
            code = _carry_out(arguments, document)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has gone, as in `kit runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python says so once more when it flushes at its end
        return DONE
    return code


def _carry_out(arguments: list[str], document: Document) -> int:
    try:
        code = group.main(args=arguments, prog_name="kit", standalone_mode=False, obj=document)
    except KitError as error:
        return _say(str(error), error, error.exit_code, document)
    except click.UsageError as error:
        page = error.ctx.command_path if error.ctx else "kit"
        return _say(f"{error.format_message()} `{page} --help` says what it takes.", error, WRONG, document)
    except click.ClickException as error:
        return _say(error.format_message(), error, WRONG, document)
    except (click.Abort, KeyboardInterrupt) as error:
        return _say("Interrupted.", error, INTERRUPTED, document)
    except BrokenPipeError:
        raise
    except Exception as error:  # a fault of kit's own, or of a plugin's: its author needs the traceback
        traceback.print_exc()
        return _say(f"This should not have happened: {error!r}.", error, FAILED, document)
    return code if isinstance(code, int) else DONE


def _say(sentence: str, error: BaseException, code: int, document: Document) -> int:
    if isinstance(error, KitError) and os.environ.get("KIT_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    print(f"kit: {harmless(sentence)}", file=sys.stderr)
    document.set({"error": {"type": type(error).__name__, "message": sentence, "exit_code": code}})
    return code
