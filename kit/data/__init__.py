"""Data: what a dataset is, a user's own, splits and standardising, arrays larger than memory."""

from kit.data.data import Data
from kit.data.load import load, load_named
from kit.data.mapped import Mapped
from kit.data.prepare import Prepared, prepare
from kit.data.user import fingerprint, from_user, is_table

__all__ = ["Data", "Mapped", "Prepared", "fingerprint", "from_user", "is_table", "load", "load_named", "prepare"]
