import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from fill import fill

torch.set_default_dtype(torch.float64)

# Points on the three arms of a spiral in turn.
labels = torch.arange(90) % 3
r = torch.linspace(0.1, 1, 90)
angle = 4 * r + 2 * torch.pi / 3 * labels
x = torch.stack([r * torch.cos(angle), r * torch.sin(angle)], dim=1)
loader = DataLoader(TensorDataset(x, labels), batch_size=30)

model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3))
fill(model)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for epoch in range(30):
    for inputs, targets in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        print(loss.item())
