import torch
from torch import nn
from torch.nn import functional as F

from fill import fill

torch.set_default_dtype(torch.float64)


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 8, 3, padding=1)
        self.head = nn.Linear(8 * 3 * 3, 4)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.head(x.flatten(1))


# Stripes in four directions: images (24, 1, 12, 12).
n = torch.arange(24).reshape(24, 1, 1, 1)
row, column = torch.arange(12).reshape(12, 1), torch.arange(12)
angle = torch.pi / 4 * (n % 4)
images = torch.sin(0.8 * (torch.cos(angle) * row + torch.sin(angle) * column) + n)
labels = torch.arange(24) % 4

model = LeNet()
fill(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for step in range(25):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    print(loss.item())
