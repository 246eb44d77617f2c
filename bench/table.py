"""The table that the README quotes, between the markers that stand there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.figures import TITLES, Figure

BEGIN, END = "<!-- bench:begin (written by `make bench`) -->", "<!-- bench:end -->"


def number(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".replace(" /s", "/s")


def bound(figure: Figure) -> str:
    if figure.bound is None:
        return ""
    sign = "≤" if figure.sense == "at most" else "≥"
    return f"{sign} {figure.bound:g}{'' if figure.ratio is not None else ' ' + figure.unit}" + (
        "" if figure.holds else " **missed**"
    )


def row(figure: Figure) -> str:
    against = f"{figure.against_name}: {number(figure.against, figure.unit)}" if figure.against is not None else ""
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}" if figure.ratio < 10 else f"{figure.ratio:.0f}"
    backend, ours = TITLES.get(figure.backend, ""), number(figure.ours, figure.unit)
    return f"| {figure.what} | {backend} | {ours} | {against} | {ratio} | {bound(figure)} |"


def table(figures: list[Figure], machine: dict[str, Any], failures: list[str]) -> str:
    """Markdown: the figures, the machine, and what could not be measured."""
    lines = ["| what | | ours | against | ratio | bound |", "|---|---|--:|--:|--:|---|", *map(row, figures), ""]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    quick = " **A quick run, with too few turns to quote.**" if machine["quick"] else ""
    where = f"{machine['processor']}, {machine['cores']} cores, {versions}"
    lines.append(f"On {where}. Each row's contenders took turns in one run, a thread each.{quick}")
    lines += [f"\nNot measured: {failure}" for failure in failures]
    return "\n".join(lines) + "\n"


def into_readme(readme: Path, text: str) -> bool:
    """Replace what stands between the markers; False where there are none."""
    whole = readme.read_text(encoding="utf-8")
    if BEGIN not in whole or END not in whole:
        return False
    before, _, rest = whole.partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")
    return True
