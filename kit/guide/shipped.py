"""The guided notebooks that come with the kit, and a copy of them that its reader may edit. It has no outputs, which
would answer the questions before they are asked.

A copy is never written over edits: beside the notebooks stands a record of what was copied, and only a notebook that is
still as it was copied is replaced by a newer one.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kit.errors import InvalidValueError, StoreError

MANIFEST = ".kit-notebooks.json"  # notebook -> digest of the file as it was copied
HUB = "start.ipynb"  # the notebook that links the others
APPLICATION = "lab-app.ipynb"  # the lab by itself, for Voilà too; no lesson

Outcome = Literal["copied", "updated", "unchanged", "kept"]


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What became of one notebook. `kept`: it was edited, so it stays, although the kit's own is another."""

    name: str
    outcome: Outcome


def source() -> Path:
    """The folder that holds them: in an installed kit its own, in a checkout the repository's.

    Raises `InvalidValueError` where neither is there.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / HUB).is_file():
            return folder
    raise InvalidValueError(
        "This installation came without the guided notebooks; they stand in the folder notebooks/ of the repository."
    )


def copy(folder: Path, pattern: str = "*.ipynb") -> list[Copied]:
    """Copy the notebooks into a folder, which is made where it is not there. pattern: of the names of those to copy.

    Raises `InvalidValueError` for a folder that cannot be meant, `StoreError` where copying fails.
    """
    if folder.exists() and not folder.is_dir():
        raise InvalidValueError(f"{folder} is a file; give a folder for the notebooks.")
    if folder.exists() and folder.resolve() == source():
        raise InvalidValueError(f"{folder} holds the kit's own notebooks; give another folder for the copy.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = _manifest(folder)
        found = []
        for file in sorted(source().glob(pattern)):
            outcome = _copy_one(file, folder / file.name, known.get(file.name))
            if outcome != "kept":
                known[file.name] = _digest((folder / file.name).read_bytes())
            found.append(Copied(name=file.name, outcome=outcome))
        _replace(folder / MANIFEST, json.dumps(known, indent=1, sort_keys=True).encode() + b"\n")
    except OSError as error:
        raise StoreError(f"The notebooks cannot be written to {folder}: {error.strerror or error}.") from None
    return found


def _copy_one(file: Path, target: Path, known: str | None) -> Outcome:
    content = without_outputs(file.read_bytes())
    if not target.exists():
        _replace(target, content)
        return "copied"
    present = target.read_bytes()
    if present == content:
        return "unchanged"
    if _digest(present) != known:
        return "kept"
    _replace(target, content)
    return "updated"


def without_outputs(content: bytes) -> bytes:
    """A notebook that nobody has run; what is no notebook stays as it is."""
    try:
        notebook = json.loads(content)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"], cell["execution_count"] = [], None
    except (ValueError, KeyError, TypeError):
        return content
    return json.dumps(notebook, indent=1, ensure_ascii=False).encode() + b"\n"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _manifest(folder: Path) -> dict[str, str]:
    """What was copied before; nothing where that is missing or damaged: then all that differs counts as edited."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _replace(target: Path, content: bytes) -> None:
    """In one go: an interruption leaves what was there."""
    beside = target.with_name(f".{target.name}.new")
    beside.write_bytes(content)
    os.replace(beside, target)
