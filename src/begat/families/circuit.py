"""Circuits: a tree of latent variables, each column hanging on one of them; naive Bayes grown in depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from begat.core import Batch, Label, Model, Region, Spec, Stats
from begat.errors import Impossible
from begat.leaves.place_law import PlaceLaw
from begat.maths.bilinear import Bilinear
from begat.maths.inversion import draw_each, draw_rows
from begat.maths.messages import LEAST, Hear, Messages, States, collect, distribute, highest, outside
from begat.maths.shrinkage import pull, shrunk

Rows = Int[Tensor, "n d"]
"""Each cell's row in the table of its column: its place, or one of the rows below the last place."""
Table = Float[Tensor, "_ k"]
PerRow = Float[Tensor, " n"]
Regions = Mapping[int, Region]
ASCENT = (*Bilinear._fields, "counts", "pull")
"""What a fit keeps of an edge."""


class Circuit(Model):
    """P(x) = sum_z P(z_1) prod_l P(z_l | z_parent(l)) prod_d P(x_d | z_host(d)): a hidden tree over the columns.

    Every latent z_l has K states; one latent alone is a mixture of naive Bayes models. The sum over all states is one
    pass of messages from the leaves of the tree to its root, a product with a K x K table for each edge, so that any
    marginal, conditional and posterior is exact: what is unknown sends the message 1. Liu and Van den Broeck,
    "Tractable regularization of probabilistic circuits" (2021), section 2, have such trees as hidden Chow-Liu trees.

    Columns are scored as ratios to their own laws, P(place | z) / p0(place) (leaves.places), so that messages are near
    1 and log P(x) = sum_d log p0(x_d) + log (the sum above over ratios).

        E-step     P(z_l, z_parent | row) from messages up and down: expected counts, additive over rows
        M-step     the prior and the laws of places from their counts; the table of an edge as its counts shrunk
                   (maths.shrinkage) to a log-bilinear law (maths.bilinear), which takes a step of gradient ascent
    """

    def __init__(self, spec: Spec, laws: Sequence[PlaceLaw], hosts: Sequence[int], parents: Sequence[int], states: int):
        """laws: one for each column. hosts: the latent of each column, -1 for one that depends on no other. parents: of
        each latent, -1 for the first, each before its children."""
        super().__init__()
        if not parents or parents[0] != -1 or any(not 0 <= p < z for z, p in enumerate(parents) if z):
            raise ValueError(f"parents are {list(parents)}; the first latent has -1, the others one before them")
        if len(hosts) != len(laws) or any(not -1 <= h < len(parents) for h in hosts):
            raise ValueError(f"{len(hosts)} hosts among {len(parents)} latents for {len(laws)} columns")
        self.spec, self.hosts, self.parents, self.states = spec, tuple(hosts), tuple(parents), states
        self.seats = tuple(max(h, 0) for h in hosts)  # a column that is alone may be asked of any latent
        self.laws, self.columns = tuple(laws), nn.ModuleList(laws)
        self.hung = [[d for d, h in enumerate(self.hosts) if h == z] for z in range(len(parents))]
        self.register_buffer("prior", None)
        self.transitions: list[Table] = []  # of the latents 1, 2, ...: P(z | z_parent), parent by child
        self.edges: list[Bilinear] = []  # what they are shrunk to, from counts, by pseudo-rows
        self.counts: list[Tensor] = []
        self.pulls: list[Tensor] = []

    prior: Float[Tensor, " k"]

    # maximum likelihood -------------------------------------------------------------------------------------------
    def statistics(self, rows: Rows, weight: PerRow | None = None, kept: float = 1.0) -> Stats:
        """Expected counts of these rows under the current parameters, in float32: "prior" (K,), "edge.l" (K, K) parent
        by child, "column.d" (V, K). An unknown cell counts nowhere; where only a share `kept` of the cells is shown,
        these count for the others."""
        told = self._messages(rows, self.tables())
        beliefs = self._beliefs(told, weight)
        out: dict[str, Tensor] = {"prior": beliefs[0].sum(0)}
        for z in range(1, len(self.parents)):
            parent = outside(beliefs[self.parents[z]], told, z)
            out[f"edge.{z}"] = (parent.T @ told.inward[z]).mul_(self.transitions[z - 1])
        for d, law in enumerate(self.laws):
            if self.hosts[d] < 0:
                continue
            counts = torch.zeros(law.size + 2, self.states)
            counts.index_add_(0, rows[:, d], beliefs[self.hosts[d]], alpha=1 / kept)
            out[f"column.{d}"] = counts[: law.size]
        return out

    def maximise(self, stats: Stats, anew: bool = False) -> None:
        """The parameters that these counts give; P(z_1) with a tenth of a pseudo-row for each state.

        anew: choose the number of pseudo-rows of the smoothing again, too.
        """
        self.edges = [edge.ascend(stats[f"edge.{z}"]) for z, edge in enumerate(self.edges, 1)]
        self._take(stats, anew)

    def begin(self, stats: Stats, rank: int, even: float) -> None:
        """The parameters that counts give at the start, with edges of this rank.

        even: the share of the counts that is spread over all states; the edges begin without it, for a table of high
        contrast is found again sooner than one is made.
        """
        self.edges = []
        for z in range(1, len(self.parents)):
            counts = stats[f"edge.{z}"]
            alike = counts.sum(1, keepdim=True) * counts.sum(0, keepdim=True) / counts.sum().clamp(min=1e-30)
            self.edges.append(Bilinear.of((counts - even * alike).clamp(min=0.0), rank))
        self.pulls = [torch.tensor(torch.inf) for _ in self.edges]
        self._take(stats, False)

    def _take(self, stats: Stats, anew: bool) -> None:
        prior = stats["prior"] + 0.1
        self.prior = prior / prior.sum()
        self.counts = [stats[f"edge.{z}"] for z in range(1, len(self.parents))]
        tables = [edge.table() for edge in self.edges]
        if anew:
            self.pulls = [pull(*pair) for pair in zip(self.counts, tables, strict=True)]
        self.transitions = [shrunk(*each) for each in zip(self.counts, tables, self.pulls, strict=True)]
        for d, law in enumerate(self.laws):
            if self.hosts[d] >= 0:
                law.maximise(stats[f"column.{d}"], anew)

    def widen(self) -> None:
        """After the fit: the laws of the columns as wide as the next row calls for."""
        for law in self.laws:
            law.widen()

    def state(self) -> dict[str, Tensor]:
        """What a fit goes on from, by name: counts, pseudo-rows, and what the ascent of the edges remembers."""
        out = {"prior": self.prior}
        for z, (edge, counts, pseudo) in enumerate(zip(self.edges, self.counts, self.pulls, strict=True), 1):
            held = {**edge._asdict(), "steps": torch.tensor(edge.steps), "counts": counts, "pull": pseudo}
            out |= {f"edge.{z}.{name}": value for name, value in held.items()}
        for d, law in enumerate(self.laws):
            out |= {f"column.{d}.{name}": value for name, value in law.state().items()}
        return out

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Set what `state` gave."""
        self.prior = tensors["prior"]
        own = [{n: tensors[f"edge.{z}.{n}"] for n in ASCENT} for z in range(1, len(self.parents))]
        self.edges = [Bilinear(t["u"], t["w"], t["b"], t["mean"], t["square"], int(t["steps"])) for t in own]
        self.counts, self.pulls = [t["counts"] for t in own], [t["pull"] for t in own]
        tables = [edge.table() for edge in self.edges]
        self.transitions = [shrunk(*each) for each in zip(self.counts, tables, self.pulls, strict=True)]
        for d, law in enumerate(self.laws):
            law.restore({n: tensors[name] for n in ("counts", "pull") if (name := f"column.{d}.{n}") in tensors})

    # messages -----------------------------------------------------------------------------------------------------
    def tables(self, asked: Regions | None = None) -> list[Table]:
        """Each column's ratios, and below them the rows of a cell that is unknown: 1, or the ratio of its region."""
        return [law.table((asked or {}).get(d)) for d, law in enumerate(self.laws)]

    def _hear(self, rows: Rows, tables: Sequence[Table], asked: Regions | None = None) -> Hear:
        """What a latent hears of the columns on it; the first one also of those alone of which a region is asked."""
        alone = [d for d in asked or () if self.hosts[d] < 0]
        return lambda z: [tables[d][rows[:, d]] for d in (self.hung[z] if z else self.hung[z] + alone)]

    def _messages(self, rows: Rows, tables: Sequence[Table], asked: Regions | None = None) -> Messages:
        return collect(self.parents, self.transitions, self._hear(rows, tables, asked), len(rows), self.states)

    def _beliefs(self, told: Messages, weight: PerRow | None = None) -> list[States]:
        """P(z_l | row) of each latent, times the row's weight -> (n, K) each."""
        first = self._first(told)
        if weight is not None:
            first = first * weight.float()[:, None]
        return distribute(self.parents, self.transitions, first, told)

    def _first(self, told: Messages) -> States:
        """P(z_1 | row) -> (n, K)."""
        first = told.inward[0] * self.prior
        return first / first.sum(1, keepdim=True).clamp(min=LEAST)

    # in -----------------------------------------------------------------------------------------------------------
    def find(self, batch: Batch) -> Rows:
        """The row of each cell in the table of its column -> (n, D)."""
        found = [law.places.find(batch) for law in self.laws]
        return torch.stack(found, 1) if found else torch.zeros(len(batch), 0, dtype=torch.long)

    def log_within(self, batch: Batch, rows: Rows) -> PerRow:
        """sum_d log p0(x_d) over the known cells -> (n,): what all states share."""
        total = torch.zeros(len(batch), dtype=torch.float64)
        for d, law in enumerate(self.laws):
            total += law.places.log_own(batch, rows[:, d])
        return total

    # sampler ------------------------------------------------------------------------------------------------------
    def sample(self, n: int, cond: Label | None = None, *, generator: Generator) -> Batch:
        """n rows, from the root down. Conditions are cells like others: `complete`."""
        if cond is not None:
            raise TypeError("a circuit has no condition apart from its columns; complete rows that know some of them")
        state = [draw_rows(self.prior[None], torch.zeros(n, dtype=torch.long), generator=generator)]
        for z in range(1, len(self.parents)):
            state.append(draw_rows(self.transitions[z - 1], state[self.parents[z]], generator=generator))
        x = self._blank(n)
        for law, host in zip(self.laws, self.seats, strict=True):
            place = draw_rows(law.probabilities().T, state[host], generator=generator)
            law.places.write(law.places.draw(place, generator=generator), *x)
        return Batch(x, (None, None))

    def complete(self, batch: Batch, asked: Regions | None = None, *, generator: Generator) -> Batch:
        """The batch with every unknown cell drawn from P(unknown | known, unknown cells in their regions).

        asked: regions by column. Known cells stay. A row without any probability is an EvidenceError.
        """
        asked, rows, n = asked or {}, self.find(batch), len(batch)
        told = self._messages(rows, self.tables(asked), asked)
        weight = told.inward[0] * self.prior
        lost = torch.isneginf(told.log_scale) | (weight.sum(1) <= 0)
        if lost.any():
            raise Impossible(int(lost.nonzero()[0, 0]))
        state = [draw_each(weight, generator=generator)]
        for z in range(1, len(self.parents)):
            weight = self.transitions[z - 1][state[self.parents[z]]] * told.inward[z]
            state.append(draw_each(weight, generator=generator))
        x = self._blank(n)
        for d, (law, host) in enumerate(zip(self.laws, self.seats, strict=True)):
            unknown = (rows[:, d] >= law.size).nonzero()[:, 0]
            if len(unknown):
                table = law.probabilities(asked.get(d))
                numbers = rows[unknown, d] == law.size + 1  # no special code, but which number is not known
                place = draw_rows(table.T, state[host][unknown], generator=generator)
                if bool(numbers.any()):
                    inner = table[: law.places.intervals].T
                    place[numbers] = draw_rows(inner, state[host][unknown][numbers], generator=generator)
                drawn = law.places.draw(place, asked.get(d), generator=generator)
                law.places.write(drawn, *x, rows=unknown)
        return batch.filled(x)

    def _blank(self, n: int) -> tuple[Tensor, Tensor]:
        values, codes = (field.shape[0] for field in self.spec.fields)
        return torch.zeros(n, values, dtype=torch.float64), torch.zeros(n, codes, dtype=torch.int32)

    # density ------------------------------------------------------------------------------------------------------
    def log_prob(self, batch: Batch, asked: Regions | None = None) -> PerRow:
        """log P(x), or log P(x, unknown cells in their regions) -> (n,) float64; what else is unknown is summed out."""
        rows = self.find(batch)
        return self.log_within(batch, rows) + self.log_ratio(rows, asked)

    def log_ratio(self, rows: Rows, asked: Regions | None = None) -> PerRow:
        """log P(x) / prod_d p0(x_d) of rows given as places -> (n,): what dependence adds to independent columns."""
        told = self._messages(rows, self.tables(asked), asked)
        return told.log_scale + (told.inward[0] @ self.prior).double().log()

    def log_joint(self, batch: Batch, column: int) -> Float[Tensor, "v n"]:
        """log P(x_column in place v, the other columns) of every place of a column -> (V, n) float64."""
        rows = self.find(batch)
        rows[:, column] = self.laws[column].size
        told = self._messages(rows, self.tables())
        mass = self._beliefs_of(told, self.seats[column]).double() @ self.laws[column].probabilities().double().T
        whole = told.log_scale + (told.inward[0] @ self.prior).double().log()
        return self.log_within(batch, rows) + whole + mass.T.log()

    def log_posterior(self, batch: Batch, column: int) -> Float[Tensor, "v n"]:
        """log P(x_column in place v | the other columns) -> (V, n) float64; the marginal where these are impossible."""
        rows = self.find(batch)
        rows[:, column] = self.laws[column].size
        told = self._messages(rows, self.tables())
        belief = self._beliefs_of(told, self.seats[column])
        lost = torch.isneginf(told.log_scale)
        if lost.any():
            belief[lost] = self.marginal_states(self.seats[column])
        mass = belief.double() @ self.laws[column].probabilities().double().T
        return (mass / mass.sum(1, keepdim=True)).T.log()

    def expected(self, batch: Batch, column: int, numbers: Float[Tensor, " v"]) -> PerRow:
        """E[numbers of the column's place | the other columns] -> (n,) float64."""
        return self.log_posterior(batch, column).exp().T @ numbers

    def _beliefs_of(self, told: Messages, latent: int) -> States:
        """P(z_latent | row) -> (n, K); the first latent's needs no message down."""
        return self._beliefs(told)[latent] if latent else self._first(told)

    def marginal_states(self, latent: int) -> Float[Tensor, " k"]:
        """P(z_latent) -> (K,)."""
        if not latent:
            return self.prior
        return self.marginal_states(self.parents[latent]) @ self.transitions[latent - 1]

    def surprise(self, batch: Batch) -> Float[Tensor, "d n"]:
        """-log P(x_d | all other columns) -> (D, n): log sum_k P(z_host = k | row) / ratio_d(x_d | k) - log p0(x_d).

        0 for unknown cells. Where no state can produce the others, they leave the marginal of x_d.
        """
        rows, tables = self.find(batch), self.tables()
        told = self._messages(rows, tables)
        beliefs = self._beliefs(told)
        out = []
        for d, (law, host) in enumerate(zip(self.laws, self.seats, strict=True)):
            ratio = tables[d][rows[:, d]]
            odd = (beliefs[host] / ratio.clamp(min=LEAST)).sum(1).double().log()
            if (lost := torch.isneginf(told.log_scale)).any():
                odd[lost] = self._alone(rows[lost], tables, d)
            out.append(odd - law.places.log_own(batch, rows[:, d]))
        return torch.stack(out) if out else torch.zeros(0, len(batch), dtype=torch.float64)

    def _alone(self, rows: Rows, tables: Sequence[Table], column: int) -> PerRow:
        """-log of the ratio of a cell whose row is impossible, given its others where these are possible."""
        others = rows.clone()
        others[:, column] = self.laws[column].size
        told = self._messages(others, tables)
        belief = self._beliefs_of(told, self.seats[column])
        lost = torch.isneginf(told.log_scale)
        belief[lost] = self.marginal_states(self.seats[column])
        return -(belief * tables[column][rows[:, column]]).sum(1).double().log()

    def most_probable(self, batch: Batch, asked: Regions | None = None) -> Batch:
        """The batch with what is unknown at argmax over states and cells together of P(unknown, states | known)."""
        return self.best(batch, asked)[0]

    def best(self, batch: Batch, asked: Regions | None = None) -> tuple[Batch, PerRow]:
        """The most probable completion of each row, and the logarithm of its probability with the states -> (n,).

        By messages of maxima in place of sums; of numbers the middles of places stand to choose from. asked: regions of
        unknown cells by column.
        """
        asked, rows, n = asked or {}, self.find(batch), len(batch)
        gaps = [bool((rows[:, d] >= law.size).any()) for d, law in enumerate(self.laws)]
        peaks = [law.peaks(asked.get(d)) if gaps[d] else (law.table(), law.p) for d, law in enumerate(self.laws)]
        hear = self._hear(rows, [table for table, _ in peaks], asked)
        state, log_p = highest(self.prior, self.parents, self.transitions, hear, n)
        x = self._blank(n)
        for d, (law, host) in enumerate(zip(self.laws, self.seats, strict=True)):
            unknown = (rows[:, d] >= law.size).nonzero()[:, 0]
            if len(unknown):
                best = peaks[d][1].argmax(0)[state[host][unknown]]
                law.places.write(law.places.representative(best), *x, rows=unknown)
        return batch.filled(x), log_p + self.log_within(batch, rows)
