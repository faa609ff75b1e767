import torch

torch.set_default_dtype(torch.float64)

x = torch.linspace(-1, 1, 20)
y = 3 * x - 1 + 0.1 * torch.cos(20 * x)

w = torch.zeros((), requires_grad=True)
b = torch.zeros((), requires_grad=True)
optimizer = torch.optim.SGD([w, b], lr=0.1, momentum=0.8)
for step in range(50):
    optimizer.zero_grad()
    loss = (w * x + b - y).square().mean()
    loss.backward()
    optimizer.step()
    print(loss.item())
