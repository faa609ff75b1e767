import torch
from torch import nn
from torch.nn import functional as F

from fill import fill

torch.set_default_dtype(torch.float64)


def attention(q, k, v):  # (batch, heads, steps, width of a head)
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    future = torch.ones(scores.shape[-2:]).triu(1)
    return F.softmax(scores.masked_fill(future.bool(), -torch.inf), dim=-1) @ v


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        parts = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        q, k, v = [p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in parts]
        x = x + self.project(attention(q, k, v).transpose(1, 2).reshape(x.shape))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, letters, steps, width, heads, layers):
        super().__init__()
        self.letters, self.places = nn.Embedding(letters, width), nn.Embedding(steps, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, letters, bias=False)

    def forward(self, x):
        x = self.letters(x) + self.places(torch.arange(x.shape[1]))
        return self.head(self.norm(self.blocks(x)))


# Five lines of sixteen letters; each letter is to be told from those before it.
text = "to be or not to be that is the question: whether tis nobler in the mind to suffer"
alphabet = sorted(set(text))
tokens = torch.tensor([alphabet.index(c) for c in text])
x, y = tokens[:-1].reshape(5, 16), tokens[1:]

model = GPT(len(alphabet), steps=16, width=32, heads=4, layers=2)
fill(model)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
for step in range(40):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x).flatten(0, 1), y)
    loss.backward()
    optimizer.step()
    print(loss.item())
