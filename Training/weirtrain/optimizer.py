"""Muon for the matrices inside the layers, AdamW for embeddings, routers and norms.

Muon: momentum whose matrix is replaced by its nearest orthogonal one (five Newton-Schulz steps), K. Jordan et al., 2024
(https://kellerjordan.github.io/posts/muon/). It needs about half of Adam's steps here, and CPU hours are what we lack.
"""

import torch


def orthogonal(matrix, steps=5):
    """The orthogonal factors of [n, rows, columns], approximately: singular values end between about 0.7 and 1.2."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters, lr=0.02, momentum=0.95, weight_decay=0.01):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            shapes = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append(parameter)
            for (rows, columns), alike in shapes.items():  # one call for all of a shape: a GPU waits for launches
                gradients = torch.stack([p.grad for p in alike])
                buffers = [self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in alike]
                torch._foreach_lerp_(buffers, list(gradients), 1 - group["momentum"])
                updates = orthogonal(gradients.lerp(torch.stack(buffers), group["momentum"]))
                torch._foreach_mul_(alike, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(alike, list(updates), alpha=-group["lr"] * max(1, rows / columns) ** 0.5)


def optimizers(model, muon_lr=0.02, adam_lr=0.003):
    inner, outer = [], []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.dim() == 2 and "embed" not in name and not name.endswith("moe.gate.weight")
        (inner if is_matrix else outer).append(parameter)
    return [Muon(inner, lr=muon_lr), torch.optim.AdamW(outer, lr=adam_lr, betas=(0.9, 0.95), weight_decay=0.0)]
