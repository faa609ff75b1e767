"""golden_nn.json: layers, optimisers, schedules and clipping of nn, computed by PyTorch in double."""
import json
import zlib

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler as schedules

torch.set_default_dtype(torch.float64)


def tensor(t):
    return {"shape": list(t.shape), "data": t.detach().reshape(-1).tolist()}


# ---- layers in training mode: three batches, of the last one the output and gradients; then in evaluation mode
layers = {}


def layer(name, module, *shape):
    torch.manual_seed(zlib.crc32(name.encode()))
    for p in module.parameters():
        p.data = torch.randn(p.shape)
    row = {"parameters": [tensor(p) for p in module.parameters()], "batches": []}
    for _ in range(3):
        x = (torch.randn(shape) * 2 + 0.5).requires_grad_()
        module.zero_grad()
        y = module(x)
        seed = torch.rand(y.shape) + 0.5
        y.backward(seed)
        row["batches"].append({
            "x": tensor(x), "seed": tensor(seed), "y": tensor(y), "dx": tensor(x.grad),
            "gradients": [tensor(p.grad) for p in module.parameters()],
            "buffers": [tensor(b) for b in module.buffers() if b.is_floating_point()],
        })
    module.eval()
    x = torch.randn(shape).requires_grad_()
    y = module(x)
    y.backward(torch.ones(y.shape))
    row["evaluation"] = {"x": tensor(x), "y": tensor(y), "dx": tensor(x.grad)}
    layers[name] = row


class Residual(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return x + self.module(x)


layer("Linear", nn.Linear(4, 3), 2, 5, 4)
layer("Linear/no bias", nn.Linear(4, 3, bias=False), 5, 4)
layer("BatchNorm1d", nn.BatchNorm1d(3), 6, 3)
layer("BatchNorm1d/options", nn.BatchNorm1d(3, eps=0.01, momentum=0.3), 2, 3)
layer("LayerNorm", nn.LayerNorm(5), 2, 3, 5)
layer("LayerNorm/epsilon", nn.LayerNorm(5, eps=0.01), 4, 5)
layer("Residual", Residual(nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4))), 5, 4)
layer("Sequential", nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.GELU(), Residual(nn.Linear(4, 4)), nn.LayerNorm(4),
                                  nn.Linear(4, 2)), 7, 3)


class SelfAttention(nn.Module):
    def __init__(self, causal, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True, **options)
        self.causal = causal

    def forward(self, x):
        mask = torch.ones(x.shape[-2], x.shape[-2]).triu(1) > 0 if self.causal else None
        return self.attention(x, x, x, attn_mask=mask)[0]


class RMSNorm(nn.Module):  # PyTorch has one since 2.4
    def __init__(self, features, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(features)), eps

    def forward(self, x):
        return x / (x.square().mean(-1, keepdim=True) + self.eps).sqrt() * self.weight


def encoder_layer(**options):
    # The masks of nn.TransformerEncoderLayer are arguments of forward, so these are not causal.
    return nn.TransformerEncoderLayer(6, 2, dropout=0, batch_first=True, **options)


layer("MultiheadAttention", SelfAttention(False), 2, 4, 6)
layer("MultiheadAttention/causal, no bias", SelfAttention(True, bias=False), 2, 4, 6)
layer("TransformerBlock", encoder_layer(dim_feedforward=24, activation="gelu", norm_first=True), 2, 4, 6)
layer("TransformerBlock/relu, norm last", encoder_layer(dim_feedforward=5), 2, 4, 6)
layer("RMSNorm", RMSNorm(5, 1e-5), 2, 3, 5)
layer("RMSNorm/epsilon", RMSNorm(5, 0.01), 4, 5)
for name, module in [
    ("Sigmoid", nn.Sigmoid()), ("Tanh", nn.Tanh()), ("ReLU", nn.ReLU()), ("GELU", nn.GELU()), ("SiLU", nn.SiLU()),
    ("Softplus", nn.Softplus(threshold=100)), ("LeakyReLU", nn.LeakyReLU(0.2)), ("ELU", nn.ELU(1.5)),
    ("Softmax", nn.Softmax(-1)), ("Softmax/0", nn.Softmax(0)),
]:
    layer(name, module, 3, 4)


# ---- optimisers: 20 steps of a 2-layer network
def start():
    torch.manual_seed(7)
    return {"x": torch.randn(8, 3), "y": torch.rand(8, 2), "W1": torch.randn(5, 3) * 0.5, "b1": torch.randn(5) * 0.1,
            "W2": torch.randn(2, 5) * 0.5, "b2": torch.randn(2) * 0.1}


def network_loss(p, data):
    return F.mse_loss(torch.sigmoid(F.linear(torch.tanh(F.linear(data["x"], p[0], p[1])), p[2], p[3])), data["y"])


def curve(make_optimizer):
    data = start()
    p = [data[name].clone().requires_grad_() for name in ("W1", "b1", "W2", "b2")]
    optimizer = make_optimizer(p)
    losses = []
    for step in range(20):
        optimizer.zero_grad()
        loss = network_loss(p, data)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        if step == 2:
            third = [tensor(t) for t in p]
    return {"losses": losses, "third": third, "final": [tensor(t) for t in p]}


optim = torch.optim
optimizers = {
    "SGD": curve(lambda p: optim.SGD(p, lr=0.5)),
    "SGD/momentum": curve(lambda p: optim.SGD(p, lr=0.2, momentum=0.9, weight_decay=0.01)),
    "SGD/nesterov": curve(lambda p: optim.SGD(p, lr=0.2, momentum=0.9, nesterov=True)),
    "Adam": curve(lambda p: optim.Adam(p)),
    "Adam/options": curve(lambda p: optim.Adam(p, lr=0.05, betas=(0.8, 0.9), eps=1e-4, weight_decay=0.02)),
    "AdamW": curve(lambda p: optim.AdamW(p)),
    "AdamW/options": curve(lambda p: optim.AdamW(p, lr=0.05, betas=(0.8, 0.9), eps=1e-4, weight_decay=0.3)),
    "RMSprop": curve(lambda p: optim.RMSprop(p)),
    "RMSprop/momentum": curve(lambda p: optim.RMSprop(p, lr=0.01, alpha=0.9, eps=1e-3, momentum=0.8, weight_decay=0.1)),
    "RMSprop/centered": curve(lambda p: optim.RMSprop(p, alpha=0.9, eps=1e-3, centered=True)),
    "RMSprop/all": curve(lambda p: optim.RMSprop(p, lr=0.005, alpha=0.8, eps=1e-3, centered=True, momentum=0.5,
                                                 weight_decay=0.05)),
    "Adagrad": curve(lambda p: optim.Adagrad(p)),
    "Adagrad/options": curve(lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.05, weight_decay=0.02,
                                                     initial_accumulator_value=0.1, eps=1e-4)),
}


# ---- schedules: the first 30 rates from 0.5 on, before and after each step
def rates(make_schedule, metrics=None):
    optimizer = optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = make_schedule(optimizer)
    values = []
    for i in range(30):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step(*([metrics[i]] if metrics else []))
    return values


falling = [1.0, 0.8, 0.7, 0.69999, 0.75, 0.9, 0.8, 0.6, 0.61, 0.62, 0.63, 0.64, 0.65, 0.66, 0.5, float("nan")] + [0.55] * 14
schedule_rates = {
    "StepLR": rates(lambda o: schedules.StepLR(o, 7, gamma=0.3)),
    "CosineLR": rates(lambda o: schedules.CosineAnnealingLR(o, 30)),
    "CosineLR/beyond": rates(lambda o: schedules.CosineAnnealingLR(o, 12, eta_min=0.05)),
    "WarmupLR": rates(lambda o: schedules.LinearLR(o)),
    "WarmupLR/options": rates(lambda o: schedules.LinearLR(o, start_factor=0.1, total_iters=8)),
    "ReduceOnPlateau": rates(lambda o: schedules.ReduceLROnPlateau(o, patience=2), falling),
    "ReduceOnPlateau/options": rates(lambda o: schedules.ReduceLROnPlateau(
        o, factor=0.5, patience=1, threshold=0.01, cooldown=2, min_lr=0.1), falling),
    "ReduceOnPlateau/maximize": rates(lambda o: schedules.ReduceLROnPlateau(o, mode="max", patience=3), falling),
}
# WarmupLR and then CosineLR: the one's rates, followed by the other's from the beginning.
schedule_rates["WarmupLR/cosine"] = (
    rates(lambda o: schedules.LinearLR(o, total_iters=6))[:6] + rates(lambda o: schedules.CosineAnnealingLR(o, 20)))[:30]


# ---- clipping
def clipped(clip):
    torch.manual_seed(3)
    p = [torch.zeros(shape, requires_grad=True) for shape in ((3, 2), (4,), ())]
    for t in p:
        t.grad = torch.randn(t.shape) * 3
    before = [tensor(t.grad) for t in p]
    norm = clip(p)
    return {"before": before, "norm": norm, "after": [tensor(t.grad) for t in p]}


clipping = {
    "norm": clipped(lambda p: nn.utils.clip_grad_norm_(p, 1.5).item()),
    "norm/small": clipped(lambda p: nn.utils.clip_grad_norm_(p, 100).item()),
    "value": clipped(lambda p: nn.utils.clip_grad_value_(p, 2) or 0.0),
}


def text():
    return json.dumps({
        "torch": torch.__version__, "layers": layers,
        "network": {name: tensor(t) for name, t in start().items()}, "optimizers": optimizers,
        "schedules": {name: {"rates": values} for name, values in schedule_rates.items()},
        "metrics": [None if x != x else x for x in falling], "clipping": clipping,
    }, separators=(",", ":"), allow_nan=False) + "\n"
