"""The decoder that is trained: Llama (GQA, RoPE, SwiGLU, RMSNorm, tied embeddings), with Mixtral-style experts as an option.

Axes: b batch, t tokens, d width, h query heads, g KV heads, e head width, f hidden width of the MLP.
Parameter names follow Hugging Face's Llama and Mixtral, so that exporting is a copy.
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass(frozen=True)
class ModelConfig:
    vocab: int = 4096
    width: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_width: int = 64
    hidden: int = 384
    context: int = 4096
    rope_theta: float = 500000.0
    norm_eps: float = 1e-5
    experts: int = 0  # 0: dense; else Mixtral-style experts with `hidden` each
    experts_per_token: int = 2

    def __post_init__(self):
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} must be a multiple of kv_heads {self.kv_heads}")
        for name in ("width", "hidden", "head_width"):
            if getattr(self, name) % 32:
                raise ValueError(f"{name} {getattr(self, name)} must be a multiple of 32 (blocks of Q8_0)")

    def dictionary(self):
        return asdict(self)


def rotary_tables(config: ModelConfig, length: int, dtype=torch.float32):
    """cos and sin [length, e/2] of RoPE's angles, computed in float64."""
    exponents = torch.arange(0, config.head_width, 2, dtype=torch.float64) / config.head_width
    angles = torch.outer(torch.arange(length, dtype=torch.float64), config.rope_theta ** -exponents)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x, cos, sin):
    """RoPE on [b, heads, t, e] with halves as pairs (Hugging Face's layout)."""
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


class Attention(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        inner, kv = config.heads * config.head_width, config.kv_heads * config.head_width
        self.q_proj = nn.Linear(config.width, inner, bias=False)
        self.k_proj = nn.Linear(config.width, kv, bias=False)
        self.v_proj = nn.Linear(config.width, kv, bias=False)
        self.o_proj = nn.Linear(inner, config.width, bias=False)

    def forward(self, x, cos, sin, observer=None):
        c, (b, t, _) = self.config, x.shape
        weights = torch.cat([self.q_proj.weight, self.k_proj.weight, self.v_proj.weight])
        sizes = [c.heads * c.head_width, c.kv_heads * c.head_width, c.kv_heads * c.head_width]
        q, k, v = F.linear(x, weights).split(sizes, -1)
        q = rotate(q.view(b, t, c.heads, c.head_width).transpose(1, 2), cos, sin).to(q.dtype)
        k = rotate(k.view(b, t, c.kv_heads, c.head_width).transpose(1, 2), cos, sin).to(k.dtype)
        v = v.view(b, t, c.kv_heads, c.head_width).transpose(1, 2)
        group = c.heads // c.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        if observer is not None:
            y = observer(q, k, v)
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(b, t, -1))


class MLP(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.gate_proj = nn.Linear(config.width, config.hidden, bias=False)
        self.up_proj = nn.Linear(config.width, config.hidden, bias=False)
        self.down_proj = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x):
        gate, up = F.linear(x, torch.cat([self.gate_proj.weight, self.up_proj.weight])).chunk(2, -1)
        return self.down_proj(F.silu(gate) * up)


class Experts(nn.Module):
    """Top-k experts; the router's softmax is renormalised over the chosen ones, as Mixtral does."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.gate = nn.Linear(config.width, config.experts, bias=False)
        self.experts = nn.ModuleList(MLP(config) for _ in range(config.experts))
        self.balance = None  # load-balancing loss of the last forward pass
        self.shares = None  # share of (token, choice) pairs each expert got in the last forward pass

    def forward(self, x):
        flat = x.reshape(-1, x.shape[-1])
        probabilities = self.gate(flat).softmax(-1)
        chosen, index = probabilities.topk(self.config.experts_per_token, -1)
        chosen = chosen / chosen.sum(-1, keepdim=True)
        counts = torch.bincount(index.reshape(-1), minlength=self.config.experts)
        self.shares = counts / counts.sum()
        self.balance = self.config.experts * (self.shares.detach() * probabilities.mean(0)).sum()
        out = torch.zeros_like(flat)
        for number, expert in enumerate(self.experts):
            rows, choice = (index == number).nonzero(as_tuple=True)
            if rows.numel():
                out = out.index_add(0, rows, expert(flat[rows]) * chosen[rows, choice, None])
        return out.view_as(x)


class Layer(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(config.width, eps=config.norm_eps)
        if config.experts:
            self.block_sparse_moe = Experts(config)
        else:
            self.mlp = MLP(config)

    def forward(self, x, cos, sin, observer=None):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, observer)
        feed_forward = self.block_sparse_moe if hasattr(self, "block_sparse_moe") else self.mlp
        return x + feed_forward(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, config: ModelConfig, seed: int = 0):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab, config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                spread = 0.02 if "embed" in name else parameter.shape[1] ** -0.5
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    spread *= 0.3
                with torch.no_grad():
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
        cos, sin = rotary_tables(config, config.context)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def hidden_states(self, ids, observers=None, positions=None):
        """ids [b, t] -> normalised hidden states [b, t, d]. observers: one per layer, sees (q, k, v), returns the mix.

        positions [b, t]: what RoPE turns by; None: 0 to t - 1."""
        t = ids.shape[1]
        if positions is None:
            cos, sin = self.cos[:t], self.sin[:t]
        else:
            cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        x = self.embed_tokens(ids)
        for number, layer in enumerate(self.layers):
            x = layer(x, cos, sin, observers[number] if observers else None)
        return self.norm(x)

    def logits(self, hidden):
        return F.linear(hidden, self.embed_tokens.weight)

    def forward(self, ids, observers=None):
        return self.logits(self.hidden_states(ids, observers))

    def loss(self, ids, targets, weights, positions=None):
        """Weighted mean cross entropy over positions with weight > 0, in nats, and how many of those are predicted right.

        ids, targets, weights, positions [b, t]. Returns (loss, right [n] bool, where [n] flat positions)."""
        hidden = self.hidden_states(ids, positions=positions).reshape(-1, self.config.width)
        where = (weights.reshape(-1) > 0).nonzero().squeeze(1)
        logits = self.logits(hidden[where]).float()
        wanted = targets.reshape(-1)[where]
        share = weights.reshape(-1)[where]
        losses = F.cross_entropy(logits, wanted, reduction="none")
        loss = (losses * share).sum() / share.sum()
        for layer in self.layers:
            if self.config.experts:
                loss = loss + 0.01 * layer.block_sparse_moe.balance
        with torch.no_grad():
            right = logits.argmax(-1) == wanted
        return loss, right, where
