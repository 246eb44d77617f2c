"""The command `kit`: one file per command, imported when it is asked for, so that `kit --help` is quick."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 the work failed, 2 the request was wrong."""
    import sys

    from kit.cli.run import run

    return run(list(sys.argv[1:] if arguments is None else arguments))
