"""Runs every notebook against its recorded outputs, `pytest --nbval` (strict): `python tests/notebooks/validate.py`.

Half of them train in PyTorch and half in TensorFlow, in turn, so that both are covered at the cost of one. Recorded
outputs hold in both. Names of notebooks, or `--framework=torch`, choose others:

    python tests/notebooks/validate.py --framework=tensorflow 01_gradient_descent

What fails after a change that was meant: `kit record notebooks/NAME.ipynb`, look at the difference, and commit it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from kit.guide.framework_choice import ANSWER
from kit.guide.recording import CELL_SECONDS, fresh_surroundings

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FRAMEWORKS = ("torch", "tensorflow")


def validate(notebooks: list[Path], framework: str) -> int:
    """pytest's exit code; its report goes to standard output."""
    if not notebooks:
        return 0
    print(f"{ANSWER}={framework}: {', '.join(path.stem for path in notebooks)}", flush=True)
    options = ["-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env", "--durations=3", "--color=no"]
    limit = f"--nbval-cell-timeout={CELL_SECONDS:g}"
    with fresh_surroundings(framework):
        command = [sys.executable, "-m", "pytest", *options, limit, *map(str, notebooks)]
        return subprocess.run(command, cwd=ROOT).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="notebooks, such as 01_gradient_descent; all of them unless given")
    parser.add_argument("--framework", choices=FRAMEWORKS, help="for all of them")
    asked = parser.parse_args()
    unknown = sorted(set(asked.names) - {path.stem for path in NOTEBOOKS})
    if unknown:
        parser.error(f"there is no notebook {', '.join(unknown)}; there are {', '.join(p.stem for p in NOTEBOOKS)}")
    chosen = [path for path in NOTEBOOKS if path.stem in asked.names] if asked.names else NOTEBOOKS
    turns = {name: chosen if asked.framework == name else [] for name in FRAMEWORKS}
    if asked.framework is None:
        turns = {name: chosen[number :: len(FRAMEWORKS)] for number, name in enumerate(FRAMEWORKS)}
    return max([validate(notebooks, framework) for framework, notebooks in turns.items()])


if __name__ == "__main__":
    sys.exit(main())
