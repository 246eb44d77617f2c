"""Small JSON files with a checksum: a run's specification, a remembered strategy, the store's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zlib import crc32

from kit.store.damage import DamagedError
from kit.store.encoding import finite
from kit.store.files import read_file, replace_file


def normal(content: Any) -> Any:
    """`content` as it will be read back: tuples as lists, numbers that are not finite as strings."""
    return json.loads(json.dumps(finite(content), allow_nan=False))


def write_document(path: Path, owner: str, content: Any) -> None:
    """Write JSON data atomically. Raises `OSError`."""
    content = normal(content)
    document = {"owner": owner, "content": content, "crc32": checksum(content, owner)}
    replace_file(path, [json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"])


def read_document(path: Path, owner: str) -> Any:
    """JSON data as written for this owner. Raises `OSError` (no file), `DamagedError`."""
    try:
        document = json.loads(read_file(path))
        content = document["content"]
        whole = document["crc32"] == checksum(content, owner)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged: it is not the JSON that was written.") from error
    if not whole:
        raise DamagedError(f"{path} is damaged, or belongs to another run: its checksum does not fit.")
    return content


def checksum(content: Any, owner: str) -> str:
    """CRC-32 of the owner's name and the content's one JSON text."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"{crc32(text.encode(), crc32(owner.encode())):08x}"
