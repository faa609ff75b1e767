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


def layer(name, module, *shape, spread=1):
    torch.manual_seed(zlib.crc32(name.encode()))
    for p in module.parameters():
        p.data = torch.randn(p.shape) * spread
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
layer("BatchNorm1d/sequence", nn.BatchNorm1d(3), 4, 3, 5)
layer("BatchNorm2d", nn.BatchNorm2d(3), 4, 3, 5, 2)
layer("BatchNorm2d/options", nn.BatchNorm2d(2, eps=0.01, momentum=0.3), 1, 2, 3, 4)
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


layer("MultiheadAttention", SelfAttention(False), 2, 4, 6, spread=0.4)
layer("MultiheadAttention/causal, no bias", SelfAttention(True, bias=False), 2, 4, 6, spread=0.4)
layer("TransformerBlock", encoder_layer(dim_feedforward=24, activation="gelu", norm_first=True), 2, 4, 6,
      spread=0.4)
layer("TransformerBlock/relu, norm last", encoder_layer(dim_feedforward=5), 2, 4, 6, spread=0.4)
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




def grouped(p, weights, biases):
    return [{"params": [p[0], p[2]], **weights}, {"params": [p[1], p[3]], **biases}]


optimizers |= {
    "SGD/groups": curve(lambda p: optim.SGD(grouped(p, {"weight_decay": 0.1}, {"lr": 0.05}), lr=0.2, momentum=0.9)),
    "Adam/groups": curve(lambda p: optim.Adam(grouped(p, {"lr": 0.02}, {"weight_decay": 0.3}), lr=0.05)),
    "AdamW/groups": curve(lambda p: optim.AdamW(
        grouped(p, {"weight_decay": 0.1}, {"weight_decay": 0, "lr": 0.1}), lr=0.05, weight_decay=0.4)),
    "RMSprop/groups": curve(lambda p: optim.RMSprop(grouped(p, {"weight_decay": 0.2}, {"lr": 0.002}), lr=0.01)),
    "Adagrad/groups": curve(lambda p: optim.Adagrad(grouped(p, {"lr": 0.1}, {"weight_decay": 0.2}), lr=0.05)),
}


# ---- losses: for each reduction the value, its gradient, and the gradient of that times a direction
losses = {}


def loss(name, f, x, y):
    torch.manual_seed(zlib.crc32(name.encode()))
    direction = torch.randn(x.shape)
    row = {"x": tensor(x), "y": tensor(y), "direction": tensor(direction), "reductions": {}}
    for reduction in ("mean", "sum", "none"):
        leaf = x.clone().requires_grad_()
        value = f(leaf, y, reduction)
        seed = torch.rand(value.shape) + 0.5
        first, = torch.autograd.grad(value, leaf, seed, create_graph=True)
        product = (first * direction).sum()
        second = torch.autograd.grad(product, leaf)[0] if product.requires_grad else torch.zeros(x.shape)
        row["reductions"][reduction] = {"value": tensor(value), "seed": tensor(seed), "first": tensor(first),
                                        "second": tensor(second + torch.zeros(x.shape))}
    losses[name] = row


torch.manual_seed(11)
logits, labels = torch.randn(6, 4) * 2, torch.tensor([3, 0, 2, 0, 1, 3])
sequences, words = torch.randn(2, 3, 4), torch.tensor([[1, -1, 2], [3, -1, 0]])
class_weights = torch.tensor([0.5, 2.0, 1.25, 0.1])


def cross_entropy(**options):
    def of_rows(z, y, reduction):
        value = F.cross_entropy(z.reshape(-1, 4), y.reshape(-1), reduction=reduction, **options)
        return value.reshape(y.shape) if reduction == "none" else value
    return of_rows


loss("cross_entropy", cross_entropy(), logits, labels)
loss("cross_entropy/ignore_index", cross_entropy(ignore_index=-1), sequences, words)
loss("cross_entropy/weight", cross_entropy(weight=class_weights), logits, labels)
loss("cross_entropy/label_smoothing", cross_entropy(label_smoothing=0.2), logits, labels)
loss("cross_entropy/all", cross_entropy(label_smoothing=0.3, weight=class_weights, ignore_index=-1), sequences, words)
predictions, targets = torch.randn(3, 4) * 2, torch.rand(3, 4)
distributions = torch.softmax(torch.randn(3, 4), 1)
distributions[1] = torch.tensor([0.0, 0.25, 0.75, 0.0])
loss("binary_cross_entropy_with_logits/pos_weight", lambda z, y, reduction: F.binary_cross_entropy_with_logits(
    z, y, pos_weight=torch.tensor([0.5, 3.0, 1.0, 2.0]), reduction=reduction), predictions, targets)
loss("l1_loss", lambda x, y, reduction: F.l1_loss(x, y, reduction=reduction), predictions, targets)
loss("huber_loss", lambda x, y, reduction: F.huber_loss(x, y, delta=1.0, reduction=reduction), predictions, targets)
loss("huber_loss/delta", lambda x, y, reduction: F.huber_loss(x, y, delta=0.4, reduction=reduction), predictions, targets)
loss("kl_div", lambda x, y, reduction: F.kl_div(F.log_softmax(x, 1), y, reduction=reduction), predictions, distributions)


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
        "network": {name: tensor(t) for name, t in start().items()}, "optimizers": optimizers, "losses": losses,
        "schedules": {name: {"rates": values} for name, values in schedule_rates.items()},
        "metrics": [None if x != x else x for x in falling], "clipping": clipping,
    }, separators=(",", ":"), allow_nan=False) + "\n"
