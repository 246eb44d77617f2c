"""The lab as an application in the browser, without code: Voilà, with the template that stands in `jupyter/`.

The template also goes into the environment's `share/jupyter` when the kit is installed, so that `voila lab-app.ipynb`
finds it, whose metadata names it. `serve` finds it in any case, and sees to it that no kernel outlives its page.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kit.errors import MissingPackageError

DATA = Path(__file__).parent / "jupyter"  # a folder of Jupyter data: voila/templates/kit
TEMPLATE = "kit"
FORGOTTEN_SECONDS = 600  # a kernel without a page, whose training has ended, ends after so long
LOOK_SECONDS = 30  # from one look for such kernels to the next


def serve(notebook: Path, options: Sequence[str] = ()) -> None:
    """Serve a notebook as an application, and open it in the browser, until Ctrl-C. options: of Voilà's command line.

    Raises `MissingPackageError` where Voilà is not installed.
    """
    if find_spec("voila") is None:
        from kit.packages import pip

        raise MissingPackageError(f"The lab as an application needs Voilà: {pip('voila')}")
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(DATA), os.environ.get("JUPYTER_PATH")]))
    from traitlets.config import Config
    from voila.app import Voila

    config: Any = Config()
    config.VoilaConfiguration.template = TEMPLATE
    config.VoilaConfiguration.prelaunch_hook = _give_cookie
    config.MappingKernelManager.cull_idle_timeout = FORGOTTEN_SECONDS
    config.MappingKernelManager.cull_interval = LOOK_SECONDS
    Voila.launch_instance(argv=[str(notebook), *options], config=config)


def _give_cookie(handler: Any, notebook: Any, cwd: str) -> None:
    """Before a page is made: with the cookie against forged requests, it may ask for the end of its kernel."""
    assert handler.xsrf_token
