"""The one exception of everything that is read back with a checksum."""

from __future__ import annotations

from kit.errors import StoreError


class DamagedError(StoreError):
    """A file of a store that is not as it was written."""
