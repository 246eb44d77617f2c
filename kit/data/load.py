"""A dataset by name: looked up in the registry, loaded once where it is asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kit.data.data import Data
from kit.data.user import from_user, is_table
from kit.errors import DataError, MissingPackageError
from kit.records import DatasetSpec, resolve
from kit.seeds import generator

if TYPE_CHECKING:
    from kit.choice import Choice
    from kit.registry import Registry


def load(choice: Choice, registry: Registry, seed: int) -> Data:
    """The data of a choice. A table is read again from its file; a user's arrays come with the choice.

    Raises `MissingPackageError` for a dataset whose package is not installed, `DataError` for data that changed or are
    faulty, `InvalidValueError` for arrays of another session.
    """
    if choice.digest and is_table(choice.name) and choice._thing is None:
        from kit.data.user import fingerprint

        data = from_user(choice.name, target=choice.options.get("target"))
        if fingerprint(data) != choice.digest:
            raise DataError(
                f"'{choice.name}' is not the file that this experiment was made with; its content has changed."
            )
        return data
    if choice.own:
        data = choice.thing
        return data if isinstance(data, Data) else from_user(data)
    return load_named(choice.document(), registry, seed)


def load_named(document: Mapping[str, Any], registry: Registry, seed: int) -> Data:
    """document: {"name", "options"}; seed: of generated data."""
    record: DatasetSpec = registry.find("dataset", document["name"])
    for package in record.requires:
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(
                f"dataset '{record.name}' needs the package '{package}': {record.install or f'pip install {package}'}"
            )
    data: Data = resolve(record.load)(generator(seed, "split"), **record.options(dict(document["options"])))
    return data
