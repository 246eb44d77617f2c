"""A plugin of one file, installed for this session alone: how a notebook shows that writing one is all it takes.

    guide.plugin("kit-mine", '''
    import kit
    …
    ''')

writes the module `kit_mine` and the metadata that pip would write into a temporary folder on the path, so that the
host, its workers, `kit.lab` and `kit.testing.check` find it as they find any other. `kit new plugin` makes a project
that lasts.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import re
import shutil
import sys
import tempfile
import textwrap
from pathlib import Path

from kit.errors import InvalidValueError, PluginError
from kit.guide.saying import say
from kit.results.words import listed

VERSION = "0.1"
_SITE: list[Path] = []  # the folder of this session, once it was needed


def plugin(distribution: str, source: str) -> None:
    """Install a plugin for this session, or replace it, and say what it offers.

    distribution: its name; the module's is the same with underscores. source: the module's. Warm workers, which know
    the plugins that were there when they started, are ended; the next run starts new ones.
    Raises `InvalidValueError` for a name that cannot be one or that another plugin has, `PluginError` for a source that
    does not load, with the reason; what was there before is then back.
    """
    from kit.pool import POOL

    module = distribution.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", module):
        raise InvalidValueError(f"'{distribution}' cannot be a plugin's name; take small letters, digits and hyphens.")
    file = _site() / f"{module}.py"
    if not file.exists() and importlib.util.find_spec(module) is not None:
        raise InvalidValueError(f"There is a module '{module}' already; give the plugin another name.")
    before = file.read_text(encoding="utf-8") if file.exists() else None
    _write(file, distribution, textwrap.dedent(source).strip() + "\n")
    POOL.close()
    try:
        offered = _offered(distribution)
    except PluginError:
        if before is None:
            file.unlink()
            shutil.rmtree(_metadata(module))
        else:
            _write(file, distribution, before)
        raise
    say(f"Installed for this session: {distribution} {VERSION}, which offers {listed(offered)}.")


def _site() -> Path:
    """The folder that is on the path of this process; `kit.pool` hands the path to the workers."""
    if not _SITE:
        folder = Path(tempfile.mkdtemp(prefix="kit-session-"))
        sys.path.insert(0, str(folder))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        _SITE.append(folder)
    return _SITE[0]


def _metadata(module: str) -> Path:
    return _site() / f"{module}-{VERSION}.dist-info"


def _write(file: Path, distribution: str, source: str) -> None:
    """Module and metadata; an older version of it is forgotten, compiled forms included."""
    file.write_text(source, encoding="utf-8")
    folder = _metadata(file.stem)
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {VERSION}\n")
    (folder / "entry_points.txt").write_text(f"[kit.plugins]\n{file.stem} = {file.stem}\n")
    shutil.rmtree(file.parent / "__pycache__", ignore_errors=True)
    sys.modules.pop(file.stem, None)
    importlib.invalidate_caches()


def _offered(distribution: str) -> list[str]:
    """What it offers, as `optimizer cautious`. Raises `PluginError` with why it does not load, or offers nothing."""
    from kit.registry import Registry

    registry = Registry.load()
    for failure in registry.failures:
        if failure.distribution == distribution and not failure.note:
            raise PluginError(f"{distribution} does not load: {failure.reason}")
    found = [
        f"{record.kind} {record.name}"
        for p in registry.plugins
        if p.distribution == distribution
        for record in p.records
    ]
    if not found:
        raise PluginError(f"{distribution} offers nothing: its hooks yield no record.")
    return list(dict.fromkeys(found))  # a model has a record for each backend
