import torch
from torch import nn
from torch.nn import functional as F

from fill import fill

torch.set_default_dtype(torch.float64)


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 4))
        self.decoder = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 16))

    def forward(self, x, noise):
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        z = mu + noise * torch.exp(0.5 * logvar)  # a sample, with a gradient
        return self.decoder(z), mu, logvar


# Waves of different lengths and phases, 32 of 16 points between 0 and 1.
n, t = torch.arange(32).reshape(32, 1), torch.arange(16)
x = 0.5 + 0.4 * torch.sin((0.2 + 0.02 * n) * t + n)

model = VAE()
fill(model)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(50):
    # In place of torch.randn(32, 2)
    noise = 1.4 * torch.sin(step + torch.arange(64) ** 2).reshape(32, 2)
    optimizer.zero_grad()
    output, mu, logvar = model(x, noise)
    reconstruction = F.mse_loss(output, x, reduction="sum")
    divergence = -0.5 * torch.sum(1 + logvar - mu.square() - logvar.exp())
    loss = (reconstruction + divergence) / len(x)
    loss.backward()
    optimizer.step()
    print(loss.item())
