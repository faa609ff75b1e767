import torch
from torch import nn
from torch.nn import functional as F

from fill import fill

torch.set_default_dtype(torch.float64)


class Forecast(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 16)
        self.head = nn.Linear(16, 1)

    def forward(self, x):
        h, _ = self.lstm(x)
        return self.head(h)


# Four pieces of a wave, each value from those before it: (24, 4, 1), the time first.
t = torch.arange(25).reshape(25, 1) + 10 * torch.arange(4)
wave = 0.5 * (torch.sin(0.3 * t) + torch.sin(0.5 * t)).unsqueeze(2)
x, y = wave[:-1], wave[1:]

model = Forecast()
fill(model)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for step in range(50):
    optimizer.zero_grad()
    loss = F.mse_loss(model(x), y)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    print(loss.item())
