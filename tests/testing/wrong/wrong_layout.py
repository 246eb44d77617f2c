"""Wrong: the weight, which is (outputs, features), is read as if it were (features, outputs)."""

import kit
from kit.records import ModelSpec


def build(*, inputs):
    import math

    import torch

    class Linear(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.features = math.prod(inputs.shape)
            self.weight = torch.nn.Parameter(torch.zeros(inputs.outputs, self.features))
            self.bias = torch.nn.Parameter(torch.zeros(inputs.outputs))

        def forward(self, x):
            output = x.flatten(1) @ self.weight.reshape(self.features, -1) + self.bias
            return output.squeeze(-1) if inputs.outputs == 1 else output

    return Linear()


@kit.hookimpl
def kit_models():
    yield ModelSpec(
        name="wrong_layout",
        family="linear",
        backend="torch",
        build="wrong_layout:build",
        parameters="kit.architectures:linear",
        tasks=("regression", "classification"),
        requires=("torch",),
        help="One linear layer.",
    )
