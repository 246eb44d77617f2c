"""A figure that stands by itself: no pyplot, no global state, shown by a notebook, and said in words.

Sizes are in inches and type in points, so a chart reads alike on paper and on a screen. The header holds the finding
as its title; `words` says all that the figure shows, for those who do not see it.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from kit.plot.palette import Theme
from kit.results.lanes import SEPARATOR

FONT = "DejaVu Sans"  # ships with matplotlib, so that text has the same width everywhere
TITLE, SUBTITLE, PANEL, LABEL, TICK = 12.0, 9.0, 9.5, 8.5, 8.0  # points
LEADING = 1.3  # line height, of the type size
DOTS_PER_INCH = 144


class Chart(Figure):
    """A matplotlib figure with its own canvas and theme. `words` is the figure in words."""

    def __init__(self, theme: Theme, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor=theme.surface, layout=None)
        FigureCanvasAgg(self)
        self.theme = theme
        self.words = ""

    def inches(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes at a place counted in inches from the upper left corner, styled."""
        across, down = self.get_size_inches()
        axes = self.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))
        style(axes, self.theme)
        return axes

    def write(self, left: float, top: float, text: str, size: float, **options: Any) -> None:
        """Text at a place counted in inches from the upper left corner."""
        across, down = self.get_size_inches()
        settings: dict[str, Any] = {"color": self.theme.ink, "va": "top", "ha": "left"} | options
        self.text(
            left / across,
            1 - top / down,
            text,
            fontsize=size,
            family=FONT,
            linespacing=LEADING,
            parse_math=False,
            **settings,
        )

    def png(self) -> bytes:
        """As it stands, at 144 dots per inch."""
        data = io.BytesIO()
        self.savefig(data, format="png", facecolor=self.get_facecolor())
        return data.getvalue()

    def svg(self, name: str = "chart") -> str:
        """The bare `<svg>` element, its text as text. `name` salts the ids, so that several may stand in one page."""
        data = io.StringIO()
        # Read while drawing, and by this writer only: nothing is left changed.
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "path.simplify": True}):
            self.savefig(
                data, format="svg", facecolor="none", edgecolor="none", metadata={"Date": None, "Creator": None}
            )
        text = data.getvalue()
        return text[text.index("<svg") :]

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """For a notebook: the picture, and its size on the page, so that a dense screen shows all of its dots."""
        across, down = self.get_size_inches()
        return self.png(), {"width": round(across * 96), "height": round(down * 96)}


def style(axes: Axes, theme: Theme) -> None:
    """Axes without a box, with a grid behind the data."""
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.muted)
        spine.set_linewidth(0.8)
    axes.tick_params(
        which="both",
        colors=theme.muted,
        labelcolor=theme.muted,
        labelsize=TICK,
        labelfontfamily=FONT,
        width=0.8,
        length=3,
    )
    axes.grid(True, color=theme.grid, linewidth=0.7)
    axes.set_axisbelow(True)


def name_axes(axes: Axes, theme: Theme, x: str = "", y: str = "", title: str = "") -> None:
    """Axis labels with units, and the panel's title."""
    font: dict[str, Any] = {"family": FONT, "parse_math": False}
    if x:
        axes.set_xlabel(x, fontsize=LABEL, color=theme.ink, **font)
    if y:
        axes.set_ylabel(y, fontsize=LABEL, color=theme.ink, **font)
    if title:
        axes.set_title(title, fontsize=PANEL, color=theme.ink, loc="left", pad=8, fontweight="bold", **font)


@lru_cache(maxsize=1)
def _renderer() -> Any:
    draw: Any = RendererAgg  # matplotlib does not annotate it
    return draw(10, 10, 72)


@lru_cache(maxsize=4096)
def width_of(text: str, size: float, bold: bool = False) -> float:
    """Of a line of text, in inches."""
    font = FontProperties(family=FONT, size=size, weight="bold" if bold else "normal")
    width, _, _ = _renderer().get_text_width_height_descent(text, font, False)
    return float(width) / 72


def wrapped(text: str, size: float, width: float, bold: bool = False) -> list[str]:
    """Lines that fit into a width in inches."""
    if not text:
        return []
    text = text.replace(SEPARATOR, SEPARATOR.replace(" ", "\u00a0"))  # a lane's name stays on one line
    letters = max(12, int(width / (width_of("n" * 40, size, bold) / 40)))
    while True:
        lines = textwrap.wrap(text, letters, break_long_words=True)
        if letters <= 12 or all(width_of(line, size, bold) <= width for line in lines):
            return lines
        letters -= 1


class Sheet:
    """A chart of panels under a header, side by side; or `narrow`, one below the other, for a phone or a column.

    Panels are given by their inner width and height; `left`, `right`, `above` and `below` are the room around each.
    All sizes are in inches. `axes` holds the panels in order.
    """

    EDGE, NARROW_EDGE = 0.18, 0.03  # around the whole
    NARROW = 3.75  # width of a narrow sheet: a phone's, so that type keeps its size there
    NARROW_PANEL = (1.9, 2.3)  # its panels are at least so wide, and so high

    def __init__(
        self,
        theme: Theme,
        *,
        title: str,
        subtitle: str = "",
        panels: Sequence[tuple[float, float]],
        left: float = 0.72,
        right: float | Sequence[float] = 0.2,  # of every panel, or of each
        above: float = 0.34,
        below: float = 0.5,
        footer: str = "",
        narrow: bool = False,
    ) -> None:
        rights = [right] * len(panels) if isinstance(right, int | float) else list(right)
        edge = self.NARROW_EDGE if narrow else self.EDGE
        least, height = self.NARROW_PANEL
        panel = (max(least, self.NARROW - left - max(rights) - 2 * edge), height)
        boxes = [panel] * len(panels) if narrow else list(panels)
        widths = [left + width + room for (width, _), room in zip(boxes, rights, strict=True)]
        heights = [above + height + below for _, height in boxes]
        across = max((max if narrow else sum)(widths) + 2 * edge, self.NARROW)
        inner = across - 2 * edge
        head, sub, foot = (
            wrapped(title, TITLE, inner, bold=True),
            wrapped(subtitle, SUBTITLE, inner),
            wrapped(footer, TICK, inner),
        )
        sizes = ((head, TITLE), (sub, SUBTITLE), (foot, TICK))
        head_height, sub_height, foot_height = (len(lines) * size * LEADING / 72 for lines, size in sizes)
        gap = 0.06 if sub else 0.0
        header = edge + head_height + gap + sub_height
        down = header + (sum if narrow else max)(heights) + (foot_height + 0.08 if foot else 0) + edge
        self.chart = chart = Chart(theme, across, down)
        chart.write(edge, edge, "\n".join(head), TITLE, fontweight="bold")
        chart.write(edge, edge + head_height + gap, "\n".join(sub), SUBTITLE, color=theme.muted)
        chart.write(edge, down - edge - foot_height, "\n".join(foot), TICK, color=theme.muted)
        self.axes: list[Axes] = []
        x, y = edge, header
        for (width, height), taken_across, taken_down in zip(boxes, widths, heights, strict=True):
            self.axes.append(chart.inches(x + left, y + above, width, height))
            x, y = (x, y + taken_down) if narrow else (x + taken_across, y)
