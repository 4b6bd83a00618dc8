# SPDX-License-Identifier: GPL-2.0-only
"""The llama architecture and the Muon optimiser, as small as they can be said."""
import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads, head_dim):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.q = nn.Linear(dim, heads * head_dim, bias=False)
        self.k = nn.Linear(dim, kv_heads * head_dim, bias=False)
        self.v = nn.Linear(dim, kv_heads * head_dim, bias=False)
        self.output = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x, rope, mask):
        b, t, _ = x.shape
        q = rotate(self.q(x).view(b, t, self.heads, self.head_dim), rope).transpose(1, 2)
        k = rotate(self.k(x).view(b, t, self.kv_heads, self.head_dim), rope).transpose(1, 2)
        v = self.v(x).view(b, t, self.kv_heads, self.head_dim).transpose(1, 2)
        group = self.heads // self.kv_heads
        k = k.repeat_interleave(group, dim=1)
        v = v.repeat_interleave(group, dim=1)
        scores = q @ k.transpose(-1, -2) * self.head_dim ** -0.5 + mask
        mixed = torch.softmax(scores.float(), -1).to(v.dtype) @ v
        return self.output(mixed.transpose(1, 2).reshape(b, t, -1))


def rotate(x, rope):
    """RoPE on interleaved pairs, as llama GGUF files have it."""
    cos, sin = rope
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(x.dtype)


class RMSNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attn_norm = RMSNorm(c["dim"], c["eps"])
        self.attn = Attention(c["dim"], c["heads"], c["kv_heads"], c["head_dim"])
        self.ffn_norm = RMSNorm(c["dim"], c["eps"])
        self.gate = nn.Linear(c["dim"], c["ffn"], bias=False)
        self.up = nn.Linear(c["dim"], c["ffn"], bias=False)
        self.down = nn.Linear(c["ffn"], c["dim"], bias=False)

    def forward(self, x, rope, mask):
        x = x + self.attn(self.attn_norm(x), rope, mask)
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.config = c
        self.embed = nn.Embedding(c["vocab"], c["dim"])
        self.blocks = nn.ModuleList(Block(c) for _ in range(c["layers"]))
        self.norm = RMSNorm(c["dim"], c["eps"])
        half = torch.arange(0, c["head_dim"], 2) / c["head_dim"]
        self.register_buffer("frequencies", c["rope_base"] ** -half, persistent=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                scale = 0.02 if "embed" in name else p.shape[1] ** -0.5
                nn.init.normal_(p, std=scale)
            if name.endswith(("output.weight", "down.weight")):
                p.data.mul_((2 * c["layers"]) ** -0.5)

    def hidden(self, tokens, positions, branches):
        t = tokens.shape[1]
        past = torch.ones(t, t, dtype=torch.bool).tril()
        mine = branches[:, None, :] == branches[:, :, None]
        seen = past & (mine | (branches[:, None, :] == 0))
        mask = torch.zeros(seen.shape).masked_fill(~seen, -1e9)[:, None]
        angles = positions[..., None] * self.frequencies
        rope = (angles.cos()[:, :, None], angles.sin()[:, :, None])
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, rope, mask)
        return self.norm(x)

    def logits(self, hidden):
        return F.linear(hidden, self.embed.weight)

    def next_logits(self, tokens):
        """Logits after every token of one plain sequence."""
        tokens = torch.tensor([tokens])
        positions = torch.arange(tokens.shape[1])[None]
        return self.logits(self.hidden(tokens, positions, torch.zeros_like(tokens)))[0].float()


def orthogonal(g):
    """Nearest orthogonal matrix, roughly: the quintic Newton-Schulz steps of Muon."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = g.shape[0] > g.shape[1]
    x = g.T if tall else g
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        s = x @ x.T
        x = a * x + (b * s + c * (s @ s)) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised (Jordan et al. 2024); for the matrices inside the blocks."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.05, dtype=torch.float32):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))
        self.dtype = dtype

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if "m" not in state:
                    state["m"] = torch.zeros_like(p)
                m = state["m"].mul_(group["momentum"]).add_(p.grad)
                g = p.grad.add(m, alpha=group["momentum"])
                update = orthogonal(g.to(self.dtype)).to(p.dtype)
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5)
