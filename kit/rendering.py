"""How an error of ours looks in a notebook: the sentence, the user's line, and where to find the rest.

    InvalidValueError: There is no optimizer named 'adm'. Did you mean 'adam'? Choices: adam, …
    Line 2 of the cell: run = kit.Experiment(optimizer="adm").run()
    (%tb Plain shows the whole traceback.)

A traceback through the kit tells its user nothing that the sentence does not, and is 40 lines long. IPython asks an
exception for its rendering (`_render_traceback_`). In another than its default mode it gets the traceback as ever: by
`%tb Plain` for the last error, by `%xmode Plain` for all that follow.
"""

from __future__ import annotations

import linecache
import traceback
from types import TracebackType
from typing import Any

SHORT = ("Context", "Minimal")  # IPython's default mode, and one that wants even less
RED, PLAIN = "\x1b[31m", "\x1b[0m"
HINT = "(%tb Plain shows the whole traceback.)"


def rendered(error: BaseException) -> list[str]:
    """Lines for IPython, whose shell is running."""
    import IPython

    shell: Any = IPython.get_ipython()  # type: ignore[attr-defined, unused-ignore]
    if shell is None:  # somebody else asks
        return traceback.format_exception(error)
    if shell.InteractiveTB.mode not in SHORT:
        lines: list[str] = shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__)
        return lines
    line = line_in(error.__traceback__, shell.user_ns)
    return [f"{RED}{type(error).__name__}{PLAIN}: {error}", *([line] if line else []), HINT]


def line_in(found: TracebackType | None, names: dict[str, Any]) -> str:
    """The innermost line that the user wrote, in words; empty where there is none. names: of the notebook."""
    said = ""
    while found is not None:
        if found.tb_frame.f_globals is names:
            text = linecache.getline(found.tb_frame.f_code.co_filename, found.tb_lineno).strip()
            said = f"Line {found.tb_lineno} of the cell: {text}" if text else ""
        found = found.tb_next
    return said
