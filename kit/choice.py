"""A component as an experiment names it: a name and options, or a user's own object.

    kit.model("mlp", hidden=(64, 32))                   # what a plugin offers, by name
    kit.optimizer(torch.optim.Adam, lr=1e-3)            # an importable class: kept as its import path
    kit.model(lambda: torch.nn.Linear(64, 10))          # an object of the notebook's: travels by value, kept as a
    digest

Choices are values: comparable, hashable by content, JSON in and out. An object without an import path cannot be read
back from JSON: such a choice says so when it is used.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

from kit.errors import InvalidValueError
from kit.records import resolve


def plain(value: Any) -> Any:
    """`value` as strict JSON would hold it: tuples as lists, NumPy scalars as numbers, inf and nan as strings."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes) and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces. Equal values give equal text."""
    try:
        return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    except TypeError as error:
        raise InvalidValueError(
            f"An option cannot be stored: {error}. Options are numbers, texts, truth values and lists of them."
        ) from None


def frozen(value: Any) -> Any:
    """Lists as tuples, all the way down, so that what JSON gave equals what the user wrote."""
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    if isinstance(value, Mapping):
        return {key: frozen(item) for key, item in value.items()}
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 and not isinstance(value, str | bytes):
        return value.item()
    return value


def digest_of(thing: Any) -> str:
    """A hash of an object's content as cloudpickle writes it: equal within one version of the code."""
    import cloudpickle

    try:
        return hashlib.sha256(cloudpickle.dumps(thing)).hexdigest()[:16]
    except Exception as error:
        raise InvalidValueError(
            f"{thing!r} cannot be sent to a worker process ({type(error).__name__}: {error}). "
            "Pass a class, or a function that makes it."
        ) from error


_KEYS = {"name", "options", "reference", "digest"}  # of a choice in JSON


class Choice(BaseModel):
    """A component and its options. `reference`: the import path of a user's class; `digest`: of an object without
    one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, Any] = Field(default_factory=dict)
    reference: str | None = None
    digest: str | None = None
    _thing: Any = PrivateAttr(default=None)
    _trusted: bool = PrivateAttr(default=False)  # whether what `reference` names may be imported, and so executed

    @field_validator("options", mode="after")
    @classmethod
    def _freeze(cls, options: dict[str, Any]) -> dict[str, Any]:
        return {key: frozen(value) for key, value in options.items()}

    @classmethod
    def of(cls, thing: Any, **options: Any) -> Choice:
        """A choice from what a user passes: a name, a choice, a class, a function, a module instance."""
        if isinstance(thing, Choice):
            return thing.with_options(**options) if options else thing
        if isinstance(thing, str):
            return cls(name=thing, options=options)
        if isinstance(thing, Mapping):
            given = thing.get("options", {})
            if not isinstance(thing.get("name"), str) or not isinstance(given, Mapping) or set(thing) - _KEYS:
                raise InvalidValueError(
                    f"{dict(thing)!r} is not a component; it must have a name and may have options, as in "
                    '{"name": "mlp", "options": {"hidden": [32]}}.'
                )
            return cls(**{**thing, "options": {**given, **options}})
        name = getattr(thing, "__qualname__", type(thing).__qualname__).replace("<", "").replace(">", "")
        reference = _import_path(thing)
        choice = cls(
            name=name.rpartition(".")[2] or name,
            options=options,
            reference=reference,
            digest=None if reference else digest_of(thing),
        )
        choice._thing = thing
        return choice

    @property
    def own(self) -> bool:
        """True for a user's own object rather than a plugin's name."""
        return self.reference is not None or self.digest is not None

    @property
    def thing(self) -> Any:
        """The user's object. Raises `InvalidValueError` when it was read back from JSON and has no import path, or
        nobody said that the code behind the path is to be trusted."""
        if self._thing is None and self.reference:
            if not self._trusted:
                raise InvalidValueError(
                    f"'{self.name}' is the code {self.reference}, which a file names. A file's code is imported and "
                    "run only where you trust it: from_json(…, trust=True), kit compare --from … --trust."
                )
            self._thing = resolve(self.reference)
        if self._thing is None:
            raise InvalidValueError(
                f"'{self.name}' is an object of the session that made it (digest {self.digest}); it is not stored. "
                "Pass the same object again to continue."
            )
        return self._thing

    def with_options(self, **options: Any) -> Choice:
        """The same choice with some options set anew."""
        changed = self.model_copy(update={"options": {**self.options, **{k: frozen(v) for k, v in options.items()}}})
        changed._thing, changed._trusted = self._thing, self._trusted
        return changed

    def trusted(self) -> Choice:
        """The same choice, whose import path may be followed."""
        changed = self.with_options()
        changed._trusted = True
        return changed

    def document(self) -> dict[str, Any]:
        """As JSON: name and options, and where the object comes from if it is the user's."""
        extra = {key: value for key in ("reference", "digest") if (value := getattr(self, key))}
        return {"name": self.name, "options": plain(self.options), **extra}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Choice) and self.document() == other.document()

    def __hash__(self) -> int:
        return hash(canonical(self.document()))

    def __str__(self) -> str:
        inside = ", ".join(f"{key}={value!r}" for key, value in self.options.items())
        return f"{self.name}({inside})" if inside else self.name


def _import_path(thing: Any) -> str | None:
    """`module:qualname` if importing it gives this very object in another process; else None."""
    module, qualname = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not module or not qualname or module == "__main__" or "<" in qualname:
        return None
    reference = f"{module}:{qualname}"
    try:
        return reference if resolve(reference) is thing else None
    except Exception:
        return None
