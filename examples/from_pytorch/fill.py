"""First weights by a formula, so that both languages start from the same ones without a file."""
import torch


@torch.no_grad()
def fill(model):
    for name, p in model.named_parameters():
        if "bias" in name:
            p.zero_()
        elif p.dim() > 1:  # a norm's weight stays 1
            values = torch.sin(torch.arange(p.numel()) ** 2).reshape(p.shape)
            p.copy_(values * (p.shape[0] / p.numel()) ** 0.5)
