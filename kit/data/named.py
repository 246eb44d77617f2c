"""A dataset as an experiment names it, loaded: a plugin's, a table read again from its file, or the user's own
arrays."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kit.data.data import Data
from kit.data.identity import fingerprint
from kit.data.table import is_table
from kit.data.user import from_user
from kit.errors import DataError, MissingPackageError, PluginError
from kit.records import DatasetSpec, resolve
from kit.seeds import generator

if TYPE_CHECKING:
    from kit.choice import Choice
    from kit.registry import Registry


def load(choice: Choice, registry: Registry, seed: int) -> Data:
    """The data of a choice. `seed`: of generated datasets.

    Raises what `load_named` does, `DataError` for a table that is gone or has changed, `InvalidValueError` for arrays
    of another session.
    """
    if choice.digest and choice._thing is None and is_table(choice.name):
        return _table(choice.document())
    if choice.own:
        return from_user(choice.thing)
    return load_named(choice.document(), registry, seed)


def load_named(document: Mapping[str, Any], registry: Registry, seed: int) -> Data:
    """The data of a choice's document, {"name", "options"} and perhaps "digest". The same seed generates the same data
    for every replicate.

    Raises `UnknownNameError` for a name that nothing offers, `MissingPackageError` with the command that installs what
    is missing, `InvalidValueError` for an option out of range, `PluginError` when the plugin's function gives something
    else.
    """
    if document.get("digest") and is_table(document["name"]):
        return _table(document)
    record: DatasetSpec = registry.find("dataset", document["name"])
    options = record.options(dict(document["options"]))
    for package in record.requires:
        if importlib.util.find_spec(package) is None:
            command = record.install or f"pip install {package}"
            raise MissingPackageError(
                f"dataset '{record.name}' needs the package '{package}', which is not installed here: {command}"
            )
    data = resolve(record.load)(generator(seed, "split"), **options)
    if not isinstance(data, Data):
        raise PluginError(f"dataset '{record.name}' gave a {type(data).__name__}; its load must return kit.data.Data.")
    return data


def _table(document: Mapping[str, Any]) -> Data:
    data = from_user(document["name"], target=document["options"].get("target"))
    if fingerprint(data) != document["digest"]:
        raise DataError(
            f"'{document['name']}' is not the file that this experiment was made with: its content has changed."
        )
    return data
