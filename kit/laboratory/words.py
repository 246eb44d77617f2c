"""What the page may ask of the lab: one function for each word."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kit.errors import unknown

if TYPE_CHECKING:
    from kit.laboratory.lab import Lab

Said = dict[str, Any]


def word(lab: Lab, widget: Any, said: Said) -> None:
    """Do what the page asks. Raises `KitError` for what cannot be."""
    asked = str(said.get("do"))
    if asked == "report":
        _report(lab, widget)
        return
    if asked not in WORDS:
        raise unknown("word for the lab", asked, WORDS)
    WORDS[asked](lab, said)


def _report(lab: Lab, widget: Any) -> None:
    path = lab.report()
    widget.send({"kind": "report", "name": path.name}, buffers=[path.read_bytes()])


def _number(said: Said) -> int:
    return int(said["number"])


WORDS: dict[str, Callable[[Lab, Said], Any]] = {
    "hello": lambda lab, said: None,
    "run": lambda lab, said: lab.start(),
    "pause": lambda lab, said: lab.pause(),
    "resume": lambda lab, said: lab.resume(),
    "stop": lambda lab, said: lab.stop(),
    "seed": lambda lab, said: lab.new_seed(),
    "part": lambda lab, said: lab.change(lambda form: form.with_part(said["kind"], said["name"])),
    "option": lambda lab, said: lab.change(lambda form: form.with_option(said["kind"], said["option"], said["text"])),
    "setting": lambda lab, said: lab.change(lambda form: form.with_setting(said["option"], said["text"])),
    "lane": lambda lab, said: lab.change(lambda form: form.with_lane(_number(said), said["name"])),
    "lane_backend": lambda lab, said: lab.change(lambda form: form.with_lane_backend(_number(said), said["name"])),
    "lane_option": lambda lab, said: lab.change(
        lambda form: form.with_lane_option(_number(said), said["option"], said["text"])
    ),
    "add": lambda lab, said: lab.add_lane(),
    "copy": lambda lab, said: lab.duplicate_lane(_number(said)),
    "remove": lambda lab, said: lab.remove_lane(_number(said)),
    "keep": lambda lab, said: lab.keep(said.get("name") or None),
    "overlay": lambda lab, said: lab.lay_over(said["name"], bool(said["on"])),
}
