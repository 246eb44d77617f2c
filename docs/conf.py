"""Sphinx's settings. `make docs` builds the pages into `docs/build`, without a network and without a warning."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import reference

import kit

reference.write()

project, author, release = "descentkit", "the descentkit authors", kit.__version__
extensions = ["myst_parser"]
myst_heading_anchors = 3  # links to headings, as code-hosting pages make them
exclude_patterns = ["build", "examples"]
html_theme = "furo"
html_title = f"descentkit {release}"
html_copy_source = False
suppress_warnings = ["misc.highlighting_failure"]  # formulas in a docstring's indented block are no Python
