import math

import torch

torch.set_default_dtype(torch.float64)


def negative_log_likelihood(x, y, logarithms):
    amplitude, length, noise = logarithms.exp()
    difference = (x[:, None] - x[None, :]) / length
    K = amplitude**2 * torch.exp(-0.5 * difference**2) + noise**2 * torch.eye(len(x))
    L = torch.linalg.cholesky(K)
    alpha = torch.cholesky_solve(y[:, None], L)[:, 0]
    return 0.5 * y @ alpha + L.diagonal().log().sum() + 0.5 * len(x) * math.log(2 * math.pi)


x = torch.linspace(0, 6, 25)
y = torch.sin(2 * x) + 0.3 * x + 0.1 * torch.cos(17 * x)

logarithms = torch.tensor([0.0, 1.0, -1.0], requires_grad=True)
optimizer = torch.optim.Adam([logarithms], lr=0.1)
for step in range(60):
    optimizer.zero_grad()
    loss = negative_log_likelihood(x, y, logarithms)
    loss.backward()
    optimizer.step()
    print(loss.item())
