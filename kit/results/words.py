"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

MISSING = "–"
UNITS = {"seconds": "s", "peak_memory_bytes": "bytes"}
FACTOR = 3.0  # from here on a ratio is said as a factor, not as a percentage


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits: `0.154`, `12,300`, `3.1e-6`."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        rounded = abs(float(f"{value:.{digits - 1}e}"))  # 9.99 has one digit more once it is 10
        decimals = max(0, digits - 1 - math.floor(math.log10(rounded)))
        text = f"{value:,.{decimals}f}"
    else:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        text = f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def short(value: float) -> str:
    """A setting as one types it: `0.1`, `3e-4`, `64`."""
    text = f"{value:.4g}"
    if 0 < abs(value) < 1e-3:
        mantissa, _, exponent = f"{value:.3e}".partition("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def duration(seconds: float | None) -> str:
    """`340 µs`, `12 ms`, `1.2 s`, `2 min 5 s`, `1 h 4 min`."""
    if seconds is None or math.isnan(seconds):
        return MISSING
    if seconds < 1e-3:
        return f"{number(seconds * 1e6, 2)} µs"
    if seconds < 1:
        return f"{number(seconds * 1e3, 2)} ms"
    if seconds < 60:
        return f"{number(seconds, 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: float | None) -> str:
    """A number of bytes: `340 MB`, powers of ten."""
    if not count or math.isnan(count):
        return MISSING
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{number(count / scale, 2 if count < 100 * scale else 3)} {unit}"
    return f"{count:g} bytes"


def percent(share: float, digits: int = 2) -> str:
    """`12%`, `0.03%`."""
    return f"{number(100 * share, 3 if abs(share) >= 1 else digits)}%"


def p_value(p: float) -> str:
    """`p = 0.012`, `p < 0.001`."""
    return "p < 0.001" if p < 1e-3 else f"p = {min(p, 1.0):.2g}"


def metric_words(metric: str) -> str:
    """`validation_loss` → `validation loss`; cost fields as their own words."""
    known = {"seconds": "training time", "peak_memory_bytes": "peak memory"}
    return known.get(metric, metric.replace("train_", "training_").replace("_", " "))


def axis_words(metric: str) -> str:
    """A metric for an axis, with its unit."""
    if metric == "seconds":
        return "training time (s)"
    if metric == "peak_memory_bytes":
        return "peak memory of the process (MB)"
    if metric in ("samples", "gradient_evaluations"):
        return {"samples": "training samples seen", "gradient_evaluations": "gradients evaluated (one per sample)"}[
            metric
        ]
    return {"step": "step (updates)"}.get(metric, metric_words(metric))


def label_words(label: str, value: Any) -> str:
    """A label with its value, as part of a name: `adam`, `learning rate 0.1`, `hidden (64, 32)`."""
    said = value_words(value)
    if label in ("dataset", "model", "loss", "optimizer", "schedule", "backend", "device", "dtype", "budget"):
        return said
    return f"{label.rpartition('__')[2].replace('_', ' ')} {said}"


def value_words(value: Any) -> str:
    """A label's value."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return short(value)
    if isinstance(value, tuple):
        return "(" + ", ".join(value_words(item) for item in value) + ")"
    return str(value)


def listed(items: Iterable[str], last: str = "and") -> str:
    """`a, b and c`."""
    found = list(items)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} {last} {found[-1]}" if found else ""


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 run`, `3 runs`."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def counted(counts: Mapping[str, int]) -> str:
    """`3 done`, `2 done, 1 diverged`."""
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
