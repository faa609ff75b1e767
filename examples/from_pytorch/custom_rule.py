import torch
from torch import nn
from torch.nn import functional as F

from fill import fill

torch.set_default_dtype(torch.float64)


class Quantize(torch.autograd.Function):
    """Eighths from -1 to 1; the gradient passes as if it had not been rounded."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.clamp(torch.round(8 * x) / 8, -1, 1)

    @staticmethod
    def backward(ctx, g):
        x, = ctx.saved_tensors
        return g * (x.abs() <= 1)


class QuantizedLinear(nn.Linear):
    def forward(self, x):
        return F.linear(x, Quantize.apply(self.weight), self.bias)


t = torch.linspace(-1, 1, 40).unsqueeze(1)
x, y = torch.cat([t, t**2], dim=1), torch.sin(3 * t)

model = nn.Sequential(QuantizedLinear(2, 16), nn.Tanh(), QuantizedLinear(16, 1))
fill(model)
optimizer = torch.optim.RMSprop(model.parameters(), lr=0.01)
for step in range(60):
    optimizer.zero_grad()
    loss = F.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    print(loss.item())
