"""The structure of a circuit from data: the tree of latents, where each column hangs, and counts to start from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from begat.leaves.place_law import Alone, Free, PlaceLaw, Smooth
from begat.leaves.places import Places
from begat.maths.clusters import centres, nearest
from begat.maths.trees import mutual_information, spanning_tree, topological

GROUPS = 32
"""Groups of places at most, in which dependence is measured, and levels that rows are clustered by."""
CROWDED = 8
"""Rows for each pair of groups of two columns at least: with fewer, chance looks like dependence."""
CHANCE = 3e-7
"""The probability with which two columns of noise are taken to depend on each other."""
OWN, NEAR, FAR = 3.0, 1.0, 0.05
"""Weights in the clustering for a latent: of its column, of that one's neighbours in the tree, of all others."""
LEVEL = 0.5
"""Length of the unit vector of a level or special code there, beside normal scores of deviation 1."""
EVEN = 0.3
"""Share of a row that is spread over all clusters at the start; the rest is its nearest one's."""

Groups = Int[Tensor, "n d"]


class Pull(NamedTuple):
    """Mutual information with the root counts so many `times`, up to `most` nats: what a person asks about would fade
    with every latent between, but columns that hang together closely stay neighbours."""

    times: float
    most: float


PULLS = (Pull(5.0, 0.4), Pull(10.0, 0.6), Pull(1.0, math.inf))
"""What is taken if nothing else does better, more, and none."""


@dataclass(frozen=True)
class Structure:
    """Which columns hang together.

    parents: of each latent, -1 for the first, each before its children. hosts: each column's latent, -1 for a column
    that depends on no other. main: the column each latent stands for, -1 where it stands for none. links: the tree over
    the columns, as pairs and their mutual information in nats.
    """

    parents: tuple[int, ...]
    hosts: tuple[int, ...]
    main: tuple[int, ...]
    links: tuple[tuple[int, int, float], ...]


def law(places: Places, states: int, alpha: float, *, alone: bool) -> PlaceLaw:
    """The law of a column's places: a Gaussian on normal scores for numbers and dates, a table for levels."""
    kind = Alone if alone else Smooth if places.intervals > 1 else Free
    return kind(places, states, alpha)


# structure --------------------------------------------------------------------------------------------------------
def learn(
    places: Sequence[Places],
    rows: Groups,
    weight: Any = None,
    *,
    root: int | None,
    states: int,
    tree: bool,
    pull: Pull,
) -> Structure:
    """The structure of these columns whose cells lie in these places (n, D), of rows of these weights.

    The tree spans the columns that depend on any other and holds most of their mutual information, that with the root
    weighing more. Each has a latent, but columns of levels, at most `states` of them, at the tips hang on that of their
    neighbour; without `tree` all hang on one. root: the column whose latent is the first, if it depends on any.
    """
    most = min(max(math.isqrt(len(rows) // CROWDED), 4), GROUPS)
    groups, sizes = grouped(places, rows, most)
    information = mutual_information(groups, sizes, weight)
    alone = ~_dependent(information, groups, sizes, weight)
    inside = (~alone).nonzero()[:, 0].tolist()
    if not inside:
        return Structure((-1,), (-1,) * len(places), (-1,), ())
    some = information[inside][:, inside]
    first = inside.index(root) if root in inside else int(some.sum(1).argmax())
    if root in inside:
        near = torch.maximum(some[first], (pull.times * some[first]).clamp(max=pull.most))
        some[first], some[:, first] = near, near
    found = spanning_tree(some, first)
    if not tree:
        found = tuple(-1 if v == first else first for v in range(len(inside)))
    parent = {inside[v]: inside[p] if p >= 0 else -1 for v, p in enumerate(found)}
    tips = set(parent) - set(parent.values())
    direct = {
        c for c in tips if parent[c] >= 0 and (not tree or (not places[c].intervals and places[c].size <= states))
    }
    order = [inside[v] for v in topological(found) if inside[v] not in direct]
    latent = {c: z for z, c in enumerate(order)}
    hosts = tuple(-1 if alone[c] else latent[parent[c] if c in direct else c] for c in range(len(places)))
    parents = tuple(latent.get(parent[c], -1) for c in order)
    links = tuple((c, p, float(information[c, p])) for c, p in parent.items() if p >= 0)
    return Structure(parents, hosts, tuple(order), links)


def _dependent(information: Tensor, groups: Groups, sizes: tuple[int, ...], weight: Any) -> Tensor:
    """Whether a column's mutual information with any other is more than chance -> (D,).

    2n times the plug-in estimate of independent columns is about chi-square with (A - 1) (B - 1) degrees of freedom;
    the estimate here is less its mean, (A - 1) (B - 1) / 2n.
    """
    from scipy.special import chdtri

    known = torch.stack([groups[:, d] < s for d, s in enumerate(sizes)], 1).double()
    rows = known if weight is None else known * weight.double()[:, None]
    both = (known.T @ rows).clamp(min=1.0)
    free = torch.tensor(sizes).clamp(min=2).double() - 1
    free = free[:, None] * free
    chance = (torch.from_numpy(chdtri(free.numpy(), CHANCE)) - free) / (2 * both)
    return (information > chance).any(1)


def grouped(places: Sequence[Places], rows: Groups, most: int) -> tuple[Groups, tuple[int, ...]]:
    """The group of each cell (n, D), the number of groups where it is not known, and these numbers.

    At most `most` groups of intervals by their share of p0, and as many of special codes and levels: the frequent ones
    have their own, the others share one.
    """
    columns, sizes = [], []
    for each, row in zip(places, rows.T, strict=True):
        inner = each.base[: each.intervals].double()
        middle = (inner.cumsum(0) - 0.5 * inner) / inner.sum().clamp(min=1e-300)
        many = min(most, each.intervals)
        numbers = torch.arange(many) if many == each.intervals else (middle * many).long().clamp(0, many - 1)
        table = torch.cat([numbers, many + ranks(each).clamp(max=most - 1)])
        sizes.append(int(table.max()) + 1 if len(table) else 0)
        columns.append(torch.cat([table, torch.full((2,), sizes[-1])])[row.long()])
    return torch.stack(columns, 1) if columns else rows.clone(), tuple(sizes)


def ranks(places: Places) -> Int[Tensor, " c"]:
    """The rank of each special code or level by its share of p0, 0 the most frequent -> (codes,)."""
    return places.base[places.intervals :].argsort(descending=True, stable=True).argsort()


# a start ----------------------------------------------------------------------------------------------------------
def start(
    laws: Sequence[PlaceLaw], structure: Structure, rows: Groups, weight: Any, states: int, generator: Generator
) -> dict[str, Tensor]:
    """First counts, as the circuit's statistics name them: rows are clustered anew for each latent.

    k-means on what the columns say (normal scores of numbers, levels as unit vectors), those near the latent weighing
    more: states that tell apart what the tree's neighbours share.
    """
    n, features = len(rows), [_features(law, row) for law, row in zip(laws, rows.T, strict=True)]
    mass = torch.ones(n) if weight is None else weight.float()
    assigned, out = [], {}
    for main in structure.main:
        near = {a + b - main for a, b, _ in structure.links if main in (a, b)}
        scale = [OWN if d == main else NEAR if d in near else FAR for d in range(len(laws))]
        if states == 1:
            assigned.append(torch.zeros(n, dtype=torch.long))
            continue
        wide = torch.cat([w * f for w, f, h in zip(scale, features, structure.hosts, strict=True) if h >= 0], 1)
        assigned.append(nearest(wide, centres(wide, states, generator=generator)))
    share = [torch.bincount(a, mass, minlength=states) for a in assigned]
    total = mass.sum()
    out["prior"] = (1 - EVEN) * share[0] + EVEN * total / states
    for z, parent in enumerate(structure.parents[1:], 1):
        both = torch.bincount(assigned[parent] * states + assigned[z], mass, minlength=states**2).view(states, states)
        out[f"edge.{z}"] = (1 - EVEN) * both + EVEN * share[parent][:, None] * share[z] / total
    for d, (law, host) in enumerate(zip(laws, structure.hosts, strict=True)):
        if host < 0:
            continue
        cells = torch.bincount(rows[:, d].long() * states + assigned[host], mass, minlength=(law.size + 2) * states)
        counts = cells.view(-1, states)[: law.size]
        even = counts.sum() * law.places.base[:, None] / states
        out[f"column.{d}"] = (1 - EVEN) * counts + EVEN * even
    return {name: value.float().contiguous() for name, value in out.items()}


def _features(law: PlaceLaw, row: Int[Tensor, " n"]) -> Float[Tensor, "n f"]:
    """What a column says of each row: the normal score of its number; unit vectors of special codes and levels."""
    places = law.places
    many = min(places.codes, GROUPS)
    table = torch.zeros(law.size + 2, (places.intervals > 1) + many)
    if places.intervals > 1:
        reached = places.base[: places.intervals].double()
        reached = (reached.cumsum(0) - 0.5 * reached) / reached.sum().clamp(min=1e-300)
        table[: places.intervals, 0] = torch.special.ndtri(reached.clamp(1e-5, 1 - 1e-5)).float()
    where = (places.intervals > 1) + ranks(places).clamp(max=many - 1)
    table[places.intervals + torch.arange(places.codes), where] = LEVEL
    return table[row.long()]
