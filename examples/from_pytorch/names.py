"""One line for each row of the README's tables of names; names.cpp gives the same numbers."""
import copy
import os
import tempfile

import torch
from torch import nn, optim
from torch.nn import functional as F
from torch.optim.lr_scheduler import StepLR
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from fill import fill

torch.set_default_dtype(torch.float64)


def show(x):
    for number in torch.as_tensor(x).detach().reshape(-1).tolist():
        print(float(number))


# Tensors
x = torch.tensor([[1.0, 2.0, 4.0], [3.0, 5.0, 0.5]])
numbers = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
show(torch.tensor(numbers).reshape(2, 3))
show(torch.zeros(2, 3))
show(torch.full((2, 3), 7.0))
show(torch.eye(3))
show(torch.arange(6.0))
show(torch.linspace(0, 1, 5))
show(torch.ones_like(x))
show(x.shape[1])
show(x.numel())
show(x.dim())
show(x.sum().item())
show(x.float())
torch.manual_seed(1)
show(torch.randn(2, 3).numel())
show(torch.rand(2, 3).numel())

# Operations
y = torch.linspace(-1, 1, 6).reshape(2, 3)
labels = torch.tensor([2, 0])
show(x * y)
show(x @ y.T)
show(x**2)
show(x.sum())
show(x.mean(1, keepdim=True))
show(x.amax((0, 1)))
show(x.var(1))
show(x.var(1, unbiased=False))
show(x.norm())
show(x.argmax(1))
show(x.reshape(-1, 2))
show(x.flatten())
show(x.flatten(0, 1))
show(x.permute(1, 0))
show(x.transpose(0, 1))
show(x.unsqueeze(1))
show(x.expand(2, 2, 3))
show(x[0])
show(x[:, 1])
show(x[:, 1:3])
show(x[:, [2, 0]])
show(x.gather(1, labels.unsqueeze(1)))
show(torch.cat([x, y], dim=1))
show(torch.stack([x, y]))
show(x.chunk(3, dim=1)[1])
left, middle, right = x.chunk(3, dim=1)
show(middle)
show(x.unbind()[1])
show(torch.where(x > 2, x, y))
show(x.masked_fill(y < 0, 9.0))
show(torch.clamp(x, 1, 3))
show(torch.einsum("ij,kj->ik", x, y))
show(torch.linalg.solve(x @ x.T, x))

# Derivatives
w = torch.ones(3).requires_grad_()
b = torch.zeros(2, requires_grad=True)
loss = (x @ w + b).square().sum()
loss.backward(retain_graph=True)
show(w.grad)
loss.backward()
show(w.grad)
w.grad = None
(x @ w).backward(torch.tensor([1.0, -1.0]))
show(w.grad)
with torch.no_grad():
    w.copy_(torch.tensor([1.0, 2.0, 3.0]))
    show(x @ w)
show((x @ w.detach()).requires_grad)


def f(a):
    return (torch.tanh(a) * w).sum()


v, u = torch.tensor([0.3, -0.2, 0.1]), torch.tensor([1.0, 0.0, 2.0])
show(torch.autograd.grad(f(v * w), [w], create_graph=True)[0])
show(torch.autograd.functional.jacobian(lambda a: a**2 * w.detach(), v))
show(torch.autograd.functional.hessian(f, v))
show(torch.autograd.functional.jvp(f, v, u)[1])
show(torch.autograd.functional.hvp(f, v, u)[1])
if hasattr(torch, "func"):  # PyTorch 2
    show(torch.func.vmap(f)(x))
    show(torch.compile(f)(v))
else:
    show(torch.stack([f(row) for row in x]))
    show(f(v))
show(checkpoint(f, v.requires_grad_(), use_reentrant=False))
show(torch.autograd.gradcheck(f, v))
with torch.autograd.detect_anomaly():
    show(f(v))

# Functions and losses
image = torch.linspace(-1, 1, 32).reshape(1, 2, 4, 4)
kernel = torch.linspace(1, -1, 54).reshape(3, 2, 3, 3)
show(F.relu(y))
show(F.gelu(y))
show(F.silu(y))
show(F.leaky_relu(y, 0.2))
show(F.softplus(y))
show(F.softmax(y, dim=1))
show(F.log_softmax(y, dim=-1))
show(F.one_hot(labels, 3))
show(F.linear(x, y, b))
show(F.conv2d(image, kernel, stride=2, padding=1))
show(F.max_pool2d(image, 2))
show(F.layer_norm(x, (3,), torch.ones(3), torch.zeros(3)))
if hasattr(F, "scaled_dot_product_attention"):  # PyTorch 2
    show(F.scaled_dot_product_attention(image, image, image, is_causal=True))
else:
    future = torch.ones(4, 4).triu(1) > 0
    show((image @ image.mT / 2).masked_fill(future, -torch.inf).softmax(-1) @ image)
show(F.mse_loss(x, y))
show(F.mse_loss(x, y, reduction="sum"))
show(F.cross_entropy(x, labels))
classes = torch.tensor([1.0, 2.0, 3.0])
show(F.cross_entropy(x, labels, ignore_index=0, label_smoothing=0.1, weight=classes))
show(F.binary_cross_entropy_with_logits(y, torch.sigmoid(x)))
show(F.binary_cross_entropy_with_logits(y, torch.sigmoid(x), pos_weight=classes))
show(F.l1_loss(x, y))
show(F.huber_loss(x, y, delta=0.5))
show(F.kl_div(F.log_softmax(x, dim=1), F.softmax(y, dim=1), reduction="batchmean"))

# Modules
model = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 3, bias=False))
nn.init.xavier_uniform_(model[0].weight)
nn.init.kaiming_normal_(model[2].weight)
nn.init.constant_(model[0].weight, 0.1)
nn.init.constant_(model[0].bias, 0.2)
nn.init.constant_(model[2].weight, 0.3)
show(model[0].bias)
show(model(x))
show(len(list(model.parameters())))
show(sum(p.numel() for p in model.parameters()))
show(len(dict(model.named_parameters())["0.weight"]))
show(len(model.state_dict()))
model.eval()
show(model.training)
model.train()
model.zero_grad()
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "model")
    torch.save(model.state_dict(), path)
    model.load_state_dict(torch.load(path))
show(model(x))
show(nn.LayerNorm(3)(x))
show(nn.BatchNorm1d(3)(x))
show(nn.Embedding(4, 3)(labels).numel())
show(nn.Dropout(0.1)(x).numel())
show(nn.Conv2d(2, 3, 3, padding=1)(image).numel())
show(nn.Conv2d(2, 4, 3, padding=2, dilation=2, groups=2)(image).numel())
show(nn.BatchNorm2d(2)(image))
rows = image.flatten(0, 1)
heads = nn.MultiheadAttention(4, 2, batch_first=True)
fill(heads)
show(heads(rows, rows, rows)[0])
block = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, activation="gelu", norm_first=True, batch_first=True)
fill(block)
show(block(rows))
model[0].weight.requires_grad_(False)
show(model[0].weight.requires_grad)
model.requires_grad_(False)
show(model(x).requires_grad)
model.requires_grad_(True)
show(copy.deepcopy(model)(x))
if hasattr(torch, "func"):  # PyTorch 2
    show(torch.func.functional_call(model, {"0.bias": b}, (x,)))
else:
    show(nn.utils.stateless.functional_call(model, {"0.bias": b}, (x,)))

# Training
sgd = optim.SGD([w, b], lr=0.1, momentum=0.9)
optimizer = optim.AdamW(model.parameters(), lr=0.1, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1)
schedule = StepLR(optimizer, step_size=2, gamma=0.5)
for inputs, targets in DataLoader(TensorDataset(x, labels), batch_size=1, shuffle=False):
    optimizer.zero_grad()
    F.cross_entropy(model(inputs), targets).backward()
    show(nn.utils.clip_grad_norm_(model.parameters(), 0.1))
    optimizer.step()
    schedule.step()
    show(optimizer.param_groups[0]["lr"])
for group in optimizer.param_groups:
    group["lr"] = 0.01
show(optimizer.param_groups[0]["lr"])
show(model(x))
adamw = optim.AdamW([{"params": [w]}, {"params": [b], "weight_decay": 0.0}], lr=0.1, weight_decay=0.1)
adamw.step()
show(w)
show(b)
lbfgs = optim.LBFGS([w], history_size=20)


def closure():
    lbfgs.zero_grad()
    loss = (f(x) - 1).square()
    loss.backward()
    return loss


show(lbfgs.step(closure))
torch.set_num_threads(1)
show(torch.get_num_threads())
