"""The largest parameter, as a curve."""

import numpy as np

import kit
from kit.records import ProbeSpec


class LargestParameter:
    """max |p| over all parameters, of each trial."""

    needs = frozenset()  # parameters are always there; "gradients" asks for those as well

    def read(self, snapshot):
        each = [np.abs(value).reshape(len(value), -1).max(axis=1) for value in snapshot.parameters.values()]
        return {"largest_parameter": np.max(each, axis=0)}  # (trials,)


@kit.hookimpl
def kit_probes():
    yield ProbeSpec(
        name="largest_parameter",
        build=f"{__name__}:LargestParameter",
        help="The largest absolute value of a parameter.",
    )
