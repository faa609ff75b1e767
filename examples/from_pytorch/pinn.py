import torch
from torch import nn
from torch.autograd import grad

from fill import fill

torch.set_default_dtype(torch.float64)
pi = torch.pi

# u'' + π² sin πx = 0 with u(0) = u(1) = 0, whose solution is sin πx.
x = torch.linspace(0, 1, 33).unsqueeze(1).requires_grad_()
model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
fill(model)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(60):
    optimizer.zero_grad()
    u = model(x)
    u_x, = grad(u.sum(), x, create_graph=True)
    u_xx, = grad(u_x.sum(), x, create_graph=True)
    residual = u_xx + pi**2 * torch.sin(pi * x)
    loss = residual.square().mean() + 100 * u[[0, -1]].square().sum()
    loss.backward()
    optimizer.step()
    print(loss.item())
