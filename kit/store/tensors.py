"""Arrays and facts in one safetensors file, with a checksum over everything and the name of whose it is.

Any safetensors reader opens these files; the checksum stands in their metadata. They hold numbers and text: reading one
executes nothing.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from kit.errors import InvalidValueError
from kit.store.damage import DamagedError
from kit.store.files import Buffer, replace_file

if TYPE_CHECKING:
    import numpy as np

    Arrays = dict[str, np.ndarray[Any, Any]]

_TYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}


def write_tensors(
    path: Path, arrays: Mapping[str, Any], facts: Mapping[str, Any], owner: str, *, durable: bool = False
) -> None:
    """Write arrays of any shape, name -> array, and JSON facts; atomically. Array contents are not copied.

    Raises `OSError`, and `InvalidValueError` for an array that is not of numbers.
    """
    import numpy as np

    whole = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    for name, array in whole.items():
        if array.dtype.name not in _TYPES:
            raise InvalidValueError(f"The array '{name}' of type {array.dtype} cannot be stored; it must hold numbers.")
    text = json.dumps(facts, allow_nan=False, sort_keys=True)
    header: dict[str, Any] = {"__metadata__": {"owner": owner, "facts": text, "crc32": _checksum(whole, text, owner)}}
    # Largest items first keeps every array aligned, which the format asks for.
    order = sorted(whole, key=lambda name: (-whole[name].itemsize, name))
    offset = 0
    for name in order:
        array = whole[name]
        offsets = [offset, offset := offset + array.nbytes]
        header[name] = {"dtype": _TYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": offsets}
    replace_file(path, _parts(header, [whole[name] for name in order]), durable=durable)


def _parts(header: dict[str, Any], arrays: list[np.ndarray[Any, Any]]) -> Iterator[Buffer]:
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for array in arrays:
        yield _bytes(array)


def _bytes(array: np.ndarray[Any, Any]) -> memoryview:
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    view: Any = array.reshape(-1).view("u1")
    return memoryview(view)


def _checksum(arrays: Mapping[str, np.ndarray[Any, Any]], facts: str, owner: str) -> str:
    value = crc32(facts.encode(), crc32(owner.encode()))
    for name in sorted(arrays):
        array = arrays[name]
        value = crc32(f"{name}|{array.dtype.name}|{array.shape}".encode(), value)
        value = crc32(_bytes(array), value)
    return f"{value:08x}"


def read_tensors(path: Path, owner: str) -> tuple[Arrays, dict[str, Any]]:
    """(arrays, facts) as written for this owner.

    Raises `OSError` where there is no file, `DamagedError` for one that is damaged or another's.
    """
    from safetensors import SafetensorError, safe_open

    if not stat.S_ISREG(path.lstat().st_mode):
        raise DamagedError(f"{path} is not a regular file.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays: Arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        text, checksum = metadata["facts"], metadata["crc32"]
        facts = json.loads(text)
        whole = isinstance(facts, dict) and checksum == _checksum(arrays, text, owner)
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged: {error}.") from error
    if not whole:
        raise DamagedError(f"{path} is damaged, or belongs to another run: its checksum does not fit.")
    return arrays, facts
