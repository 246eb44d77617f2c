"""What goes wrong by a user's or a plugin's doing: one family, each a clear sentence.

The command line prints the sentence and exits with the class's `exit_code`, without a traceback; a notebook shows the
sentence and the user's own line (`kit/rendering.py`). A numerical failure (divergence) is never an exception: it is a
run's status.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class KitError(Exception):
    """The root of the family. `exit_code` 2: the request was wrong; 1: the work failed."""

    exit_code = 2

    def _render_traceback_(self) -> list[str]:
        """What IPython shows."""
        from kit.rendering import rendered

        return rendered(self)


class InvalidValueError(KitError, ValueError):
    """A value that is out of range, of the wrong type, or does not fit what stands beside it."""


class MemberError(InvalidValueError):
    """What one member of a stack cannot do, and the others may: they are tried without it."""


class UnknownNameError(KitError, LookupError):
    """A name that nothing installed offers."""


class AmbiguousNameError(KitError, LookupError):
    """A short name that two plugins offer; a qualified name says which is meant."""


class MissingPackageError(KitError, ImportError):
    """A package that the request needs is not installed; the message holds the command that mends it."""


class DataError(KitError, ValueError):
    """Data that cannot be trained on: empty, not finite, labels out of range, shapes that do not fit."""


class DeviceError(KitError, ValueError):
    """A device that is not there, or that cannot do what was asked."""


class DeviceLostError(DeviceError):
    """A device that was there and answers no more. The process that used it is of no use; its run continues in
    another."""

    exit_code = 1


class PluginError(KitError):
    """A plugin that yields a faulty record or fails while it is used."""


class StoreError(KitError):
    """A store that cannot be read or written: read-only, full, damaged, written by a newer version."""

    exit_code = 1


class WorkError(KitError):
    """The request was right and the work failed."""

    exit_code = 1


def nearest(name: str, choices: Iterable[str]) -> list[str]:
    """The choices, nearest match to `name` first; the rest in alphabetical order."""
    ordered = sorted(set(choices))
    folded = {choice.lower(): choice for choice in ordered}
    close = [folded[match] for match in difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.6)]
    return close + [choice for choice in ordered if choice not in close]


def unknown(component: str, name: str, choices: Iterable[str]) -> UnknownNameError:
    """`unknown("optimizer", "adm", …)`: the sentence with "did you mean" and every valid choice."""
    ordered = nearest(name, choices)
    guess = (
        f" Did you mean '{ordered[0]}'?"
        if difflib.get_close_matches(name.lower(), [c.lower() for c in ordered[:1]])
        else ""
    )
    listing = ", ".join(ordered) if ordered else "nothing is installed that offers one"
    return UnknownNameError(f"There is no {component} named '{name}'.{guess} Choices: {listing}.")
