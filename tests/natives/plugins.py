"""The plugins that are not part of the default installation, as if they were installed: from their folders here."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OPTIONAL = ("pytorch-optimizer", "schedulefree")


def places(folder: Path) -> list[str]:
    """What must stand on the path so that they are found; their entry points are written into `folder`."""
    found = [str(folder)]
    for name in OPTIONAL:
        project = tomllib.loads((ROOT / "plugins" / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        try:
            metadata.distribution(project["name"])  # installed by pip: found anyway
        except metadata.PackageNotFoundError:
            found.append(str(ROOT / "plugins" / name))
            _register(project, folder)
    return found


def _register(project: dict[str, str], folder: Path) -> None:
    place = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    place.mkdir(parents=True, exist_ok=True)
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in project["dependencies"]]
    (place / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    points = project["entry-points"]["kit.plugins"]  # type: ignore[index]
    text = "\n".join(f"{name} = {target}" for name, target in points.items())
    (place / "entry_points.txt").write_text(f"[kit.plugins]\n{text}\n", encoding="utf-8")
