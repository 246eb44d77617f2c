"""Data: what a dataset is, a user's own, splits and standardising, arrays larger than memory."""

from kit.data.data import Data
from kit.data.identity import fingerprint
from kit.data.mapped import Mapped
from kit.data.named import load, load_named
from kit.data.prepared import Prepared, prepare
from kit.data.scale import Scale
from kit.data.table import is_table
from kit.data.user import from_user

__all__ = [
    "Data",
    "Mapped",
    "Prepared",
    "Scale",
    "fingerprint",
    "from_user",
    "is_table",
    "load",
    "load_named",
    "prepare",
]
