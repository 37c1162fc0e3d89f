"""Which columns hang together: mutual information of coded columns, and the tree that holds most of it."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

Codes = Int[Tensor, "n d"]
Pairs = Float[Tensor, "d d"]
ROWS = 65_536
"""Rows whose one-hot codes are multiplied at a time."""


def mutual_information(codes: Codes, sizes: tuple[int, ...], weight: Float[Tensor, " n"] | None = None) -> Pairs:
    """I(X_a; X_b) of every two columns, nats, at least 0 -> (D, D), 0 on the diagonal.

    The plug-in estimate of the joint counts less (A - 1) (B - 1) / 2n for A and B codes that occur, which is what n
    rows of independent columns show on average: Miller, "Note on the bias of information estimates" (1955). A code
    beyond a column's size counts nowhere, so that each pair is estimated from the rows that know both.
    """
    total, d = sum(sizes), len(sizes)
    joint = torch.zeros(total, total)
    for first in range(0, len(codes), ROWS):
        piece = codes[first : first + ROWS]
        hot = [one_hot(c.clamp(max=s), s + 1)[:, :s].float() for c, s in zip(piece.T, sizes, strict=True)]
        wide = torch.cat(hot, 1) if hot else torch.zeros(len(piece), 0)
        joint += wide.T @ (wide if weight is None else wide * weight[first : first + ROWS, None].float())
    blocks = [b.split(sizes, 1) for b in joint.double().split(sizes)]
    out = torch.zeros(d, d, dtype=torch.float64)
    for a in range(d):
        for b in range(a):
            n = blocks[a][b].sum().clamp(min=1.0)
            p = blocks[a][b] / n
            left, right = p.sum(1, keepdim=True), p.sum(0, keepdim=True)
            ratio = (p / (left * right).clamp(min=1e-300)).clamp(min=1e-300)
            bias = ((left > 0).sum() - 1) * ((right > 0).sum() - 1) / (2 * n)
            out[a, b] = out[b, a] = ((p * ratio.log()).sum() - bias).clamp(min=0.0)
    return out


def spanning_tree(weight: Pairs, root: int = 0) -> tuple[int, ...]:
    """The tree over D nodes whose edges weigh most, as each node's parent, -1 for the root -> D numbers.

    With mutual information as weight it is the maximum likelihood tree of discrete columns: Chow and Liu,
    "Approximating discrete probability distributions with dependence trees" (1968). Prim's algorithm, ties to the
    lower number.
    """
    d = len(weight)
    parent, nearest = [-1] * d, [root] * d
    reach = weight[root].tolist()
    waiting = [v for v in range(d) if v != root]
    while waiting:
        new = max(waiting, key=lambda v: (reach[v], -v))
        waiting.remove(new)
        parent[new] = nearest[new]
        for v, w in enumerate(weight[new].tolist()):
            if w > reach[v]:
                reach[v], nearest[v] = w, new
    return tuple(parent)


def topological(parents: tuple[int, ...]) -> tuple[int, ...]:
    """The nodes of a tree, each after its parent."""
    children: dict[int, list[int]] = {}
    for node, parent in enumerate(parents):
        children.setdefault(parent, []).append(node)
    order: list[int] = []
    heap = children.get(-1, [])[::-1]
    while heap:
        order.append(node := heap.pop())
        heap.extend(children.get(node, [])[::-1])
    return tuple(order)
