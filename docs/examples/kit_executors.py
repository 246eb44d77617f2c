"""An executor: where stacks run. This one is `inline` with the lightest work first."""

import kit
from kit.executors import Inline
from kit.records import ExecutorSpec


class LightestFirst:
    """In the caller's process, in the order of their weight."""

    def __init__(self, registry):
        self.inline = Inline(registry)

    def run(self, pending, listener, stopping):
        self.inline.run(sorted(pending, key=lambda item: item.weight), listener, stopping)


@kit.hookimpl
def kit_executors():
    yield ExecutorSpec(
        name="lightest_first", build=f"{__name__}:LightestFirst", help="One after the other, the lightest first."
    )
