"""The class of `stale_gradients`."""

import torch


class Sharp(torch.optim.Optimizer):
    def __init__(self, params, lr=0.05):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure):
        moved = [(p, 0.05 * p.grad) for group in self.param_groups for p in group["params"] if p.grad is not None]
        for p, shift in moved:
            p.add_(shift)
        loss = closure()
        for p, shift in moved:
            p.sub_(shift)
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] * p.grad)
        return loss
