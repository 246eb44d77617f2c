"""A third-party plugin as it begins: `kit new plugin lion2` writes a complete project, offline.

What it writes are the files under `templates/`, with a few words filled in (`{{name}}`): those of `shared/`, and those
of the kind. As made, it installs, appears in `kit plugins`, trains, and passes `kit check`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from kit.entry_points import canonical
from kit.errors import InvalidValueError, StoreError, unknown
from kit.registry import Registry

PREFIX = "descentkit-"  # of a plugin's distribution, so that its name says whose plugin it is
HOST = '"descentkit>=0.1,<0.2"'
SUFFIX = ".tmpl"
_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*\Z")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of plugin. backends: those that there are templates for; empty where it needs none."""

    record: str  # the kind of record that it offers
    said: str  # in words, with its article
    backends: tuple[str, ...] = ()
    trial: str = ""  # the command that shows it at work


BACKENDS = ("torch", "tensorflow")
KINDS: dict[str, Kind] = {
    "rule": Kind(record="optimizer", said="an optimizer", trial="kit compare --optimizer adam,{name}"),
    "native": Kind(
        record="optimizer",
        said="an optimizer class",
        backends=BACKENDS,
        trial="kit compare --optimizer adam,{name} --backend {backend}",
    ),
    "model": Kind(
        record="model", said="a model", backends=BACKENDS, trial="kit compare --model {name} --backend {backend}"
    ),
    "loss": Kind(
        record="loss",
        said="a loss",
        backends=BACKENDS,
        trial="kit compare --dataset diabetes --loss {name} --backend {backend}",
    ),
    "dataset": Kind(record="dataset", said="a dataset", trial="kit compare --dataset {name}"),
    "probe": Kind(
        record="probe", said="a probe", trial="python -c \"import kit; kit.Experiment(probes=('{name}',)).run()\""
    ),
    "device": Kind(record="device", said="a device", backends=BACKENDS, trial="kit doctor"),
}


@dataclass(frozen=True, kw_only=True)
class Project:
    """What was written."""

    folder: Path
    distribution: str
    trial: str  # the command that shows it at work
    files: tuple[str, ...]


def new_plugin(name: str, folder: Path, *, kind: str = "rule", backend: str | None = None) -> Project:
    """Write a plugin's project into a new folder.

    name: of the optimizer, model, … that it offers. folder: where; it must not exist, or be empty. backend: for a kind
    that belongs to one; None: the first that there is a template for. Raises `InvalidValueError` for a name that is
    taken or cannot be one and for a folder that holds something, `UnknownNameError` for a kind or a backend.
    """
    if kind not in KINDS:
        raise unknown("kind of plugin", kind, KINDS)
    chosen = _backend(kind, backend)
    _check_name(name, KINDS[kind].record)
    words = _words(name, kind, chosen)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidValueError(
            f"'{folder}' is there already and not empty; nothing was written. Choose another --out."
        )
    texts = {
        place: _filled(source.read_text(encoding="utf-8"), words) for place, source in _sources(kind, chosen, words)
    }
    try:
        for place, text in texts.items():
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"'{folder}' cannot be written: {error.strerror}.") from error
    return Project(folder=folder, distribution=words["distribution"], trial=words["try"], files=tuple(sorted(texts)))


def _backend(kind: str, backend: str | None) -> str:
    """The backend of the template; "" for a kind that has none."""
    known = KINDS[kind].backends
    if not known:
        if backend is not None:
            raise InvalidValueError(f"backend='{backend}' is not valid: {KINDS[kind].said} works with every backend.")
        return ""
    if backend is not None and backend not in known:
        raise unknown("backend with a template", backend, known)
    return backend or known[0]


def _check_name(name: str, record: str) -> None:
    if not _NAME.match(name) or keyword.iskeyword(name):
        raise InvalidValueError(
            f"The name '{name}' is not valid; it must be lower-case words of letters and digits, joined by '_' or '-', "
            "beginning with a letter, as in lion2 or sharp_descent."
        )
    taken = [offer.qualified for offer in Registry.load().kind(record) if offer.record.name == name]
    if taken:
        raise InvalidValueError(f"The {record} '{name}' is there already ({', '.join(taken)}); choose another name.")


def _words(name: str, kind: str, backend: str) -> dict[str, str]:
    identifier = name.replace("-", "_")
    distribution = name if canonical(name).startswith(PREFIX) else PREFIX + name.replace("_", "-")
    module = distribution.replace("-", "_")
    article, _, said = KINDS[kind].said.partition(" ")
    files = [f"{module}.py"] + ([f"{module}_class.py"] if kind == "native" else [])
    needed = [HOST] + ([HOST.replace("descentkit", f"descentkit-{backend}")] if backend else [])
    # The checks of what works in every backend need one.
    installed = " descentkit-torch descentkit-tensorflow" if not backend else ""
    return {
        "name": name,
        "identifier": identifier,
        "class": "".join(part[:1].upper() + part[1:] for part in re.split(r"[_-]", name)),
        "title": name[:1].upper() + name[1:].replace("_", " ").replace("-", " "),
        "distribution": distribution,
        "module": module,
        "article": article,
        "kind": said,
        "dependencies": ", ".join(needed),
        "files": ", ".join(f'"{file}"' for file in files),
        "beside": f" and `{module}_class.py`" if kind == "native" else "",
        "backends": installed,
        "try": KINDS[kind].trial.format(name=name, backend=backend),
    }


def _sources(kind: str, backend: str, words: Mapping[str, str]) -> list[tuple[str, Traversable]]:
    """(place in the project, template)."""
    templates = resources.files("kit.scaffold") / "templates"
    own = templates / (f"{kind}_{backend}" if backend else kind)
    places = {
        "module.py": f"{words['module']}.py",
        "class.py": f"{words['module']}_class.py",
        "test_plugin.py": "tests/test_plugin.py",
    }
    found = [(places[file.name.removesuffix(SUFFIX)], file) for file in own.iterdir() if file.name.endswith(SUFFIX)]
    return found + list(_below(templates / "shared", ""))


def _below(folder: Traversable, path: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for each in folder.iterdir():
        if each.is_dir():
            found += _below(each, f"{path}{each.name}/")
        elif each.name.endswith(SUFFIX):
            found.append((path + each.name.removesuffix(SUFFIX), each))
    return found


def _filled(text: str, words: Mapping[str, str]) -> str:
    """The template with its words; what stands in double braces and is none of them (a CI file's own) stays."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: words.get(match[1], match[0]), text)
