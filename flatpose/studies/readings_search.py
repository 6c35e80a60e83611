"""Which network do the paper's own numbers mean? A search over small readings for those that print its digits.

Tables 1 and 5 print parameters (M) and GFLOPs of twelve different FlatPose networks: 24 cells of one decimal. Every
count is a sum of layers, so it is done by arithmetic here (a test compares it with built networks and their counters),
and all sets of up to three departures from the literal text are tried.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from flatpose import NUMERICS

DIM, HEADS, HIDDEN, KEYPOINTS = 256, 8, 1024, 17
MAX_DEPARTURES = 3
DEFAULT = ("ffn_all",)
"""The departures that FlatPoseConfig's defaults make."""


@dataclass(frozen=True)
class Trunk:
    """A stride-32 backbone: parameters, channels, and multiply-adds per input pixel with and without its norms."""

    params: int
    channels: int
    macs_per_pixel: float
    matmuls_per_pixel: float


TRUNKS = {
    "convnextv2_nano": Trunk(14_981_520, 640, 48926.25, 48726.25),
    "convnextv2_tiny": Trunk(27_864_960, 768, 89079.0, 88782.75),
    "resnet50": Trunk(23_508_032, 2048, 81899.0, 81456.0),
}


@dataclass(frozen=True)
class Case:
    """One printed network: what distinguishes its row, and the digits printed for it."""

    row: str
    params_m: float
    gflops: float
    backbone: str = "convnextv2_nano"
    image_size: tuple[int, int] = (192, 256)
    coarse: int = 4
    refine: int = 2
    top_k: int | None = 4
    """None: all tokens."""
    ica: bool = True
    head: Literal["simcc", "regression"] = "simcc"
    upsampled: bool = False


CASES = (
    Case("Table 1, B = Table 5 (5) (9) (13)", 21.6, 2.8),
    Case("Table 1, L 256x192", 37.3, 4.9, backbone="convnextv2_tiny", coarse=6, refine=3),
    Case("Table 1, L 384x288", 37.4, 11.5, backbone="convnextv2_tiny", coarse=6, refine=3, top_k=6,
         image_size=(288, 384)),
    Case("Table 5 (2) ResNet-50", 33.4, 4.6, backbone="resnet50"),
    Case("Table 5 (3) regression", 21.9, 2.9, head="regression"),
    Case("Table 5 (4) upsampling", 24.8, 3.9, upsampled=True),
    Case("Table 5 (6) no ICA", 21.3, 2.7, ica=False),
    Case("Table 5 (7) 3 + 3", 21.5, 2.8, coarse=3, refine=3),
    Case("Table 5 (8) 4 + 4", 23.2, 2.9, refine=4),
    Case("Table 5 (10) K = 2", 21.6, 2.8, top_k=2),
    Case("Table 5 (11) K = 8", 21.6, 2.8, top_k=8),
    Case("Table 5 (12) K = full", 21.6, 2.8, top_k=None),
)


CELLS = [{"row": case.row, "quantity": name, "published": getattr(case, name)}
         for case in CASES for name in ("params_m", "gflops")]
DEPARTURES: dict[str, str] = {
    "ffn_all": "feed-forward of the refine block on all tokens (model.readings.refine_ffn)",
    "block_all": "whole refine block computed on all tokens, K of them written back",
    "salience_mlp": "salience head 256-64-1 (model.readings.salience_head)",
    "salience_per_keypoint": "one salience score per keypoint (model.readings.salience_head)",
    "no_salience_head": "salience without parameters (a norm of the token)",
    "query_norm": "refine block with separate norms for queries and context",
    "query_self_attention": "self-attention among the queries before the cross-attention",
    "share_refine": "refine iterations share their weights (model.readings.share_refine)",
    "no_final_norm": "no norm after the last block",
    "ica_no_bias": "ICA projections without bias, as Algorithm 1 writes them",
    "standard_no_bias": "standard attention (row 6) and cross-attention without bias",
    "coordinate_bias": "semantic coordinate projections with bias",
    "gamma": "learned gamma per block (model.readings.gamma)",
    "shared_grid": "one bias grid for all blocks",
    "shared_interpolator": "one interpolator MLP for all blocks",
    "each_pair_once": "bias computed once per pair of tokens",
    "relative_table": "standard attention (row 6) with a learned relative position table",
    "classifier_no_bias": "classifiers without bias",
    "split_1.5": "1.5 bins per pixel (codec.split_ratio)",
    "split_3": "3 bins per pixel (codec.split_ratio)",
    "projection_norm": "batch norm after the 3x3 projection, no bias in it",
    "learned_position": "position code held as a parameter",
    "wide_classifier": "classifiers on the upsampled map, row 4 (model.readings.classifier)",
    "regression_per_token": "regression head on every token, averaged afterwards",
    "matmuls_only": "norms and interpolation not counted",
    "truncate": "digits cut off instead of rounded",
}
"""A name for each small change of the literal text, and what it means."""
EXCLUSIVE = ({"ffn_all", "block_all"}, {"salience_mlp", "salience_per_keypoint", "no_salience_head"},
             {"split_1.5", "split_3"})
"""At most one departure of each group can be made."""
Text = frozenset[str]
"""The departures from the literal text that a count is made with."""


@dataclass
class Tally:
    """Running sum of parameters and multiply-adds."""

    params: float = 0
    macs: float = 0

    def add(self, params: int = 0, macs: float = 0) -> None:
        self.params += params
        self.macs += macs

    def linear(self, inputs: int, outputs: int, uses: float, *, bias: bool = True, weights: bool = True) -> None:
        """A linear layer applied ``uses`` times; ``weights`` False when its parameters were counted before."""
        self.add(weights * (inputs + bias) * outputs, inputs * outputs * uses)


def count(case: Case, text: Text) -> Tally:
    """Parameters and multiply-adds of one network under one reading of the text."""
    trunk, (width, height) = TRUNKS[case.backbone], case.image_size
    tokens, total = width * height // 1024, Tally()
    per_pixel = trunk.matmuls_per_pixel if "matmuls_only" in text else trunk.macs_per_pixel
    total.add(trunk.params, per_pixel * width * height)
    total.linear(9 * trunk.channels, DIM, tokens, bias="projection_norm" not in text)
    total.add(2 * DIM * ("projection_norm" in text) + tokens * DIM * ("learned_position" in text))
    for index in range(case.coarse):
        _coarse(total, case, text, tokens, first=index == 0)
    for index in range(case.refine):
        _refine(total, case, text, tokens, weights=index == 0 or "share_refine" not in text)
    if "no_final_norm" not in text:
        _norm(total, text, tokens)
    _head(total, case, text, tokens)
    return total


def _norm(total: Tally, text: Text, tokens: int, weights: bool = True) -> None:
    # fvcore counts five operations per element.
    total.add(2 * DIM * weights, 5 * DIM * tokens * ("matmuls_only" not in text))


def _coarse(total: Tally, case: Case, text: Text, tokens: int, first: bool) -> None:
    _norm(total, text, tokens)
    bias = ("ica_no_bias" if case.ica else "standard_no_bias") not in text
    total.linear(DIM, 4 * DIM, tokens, bias=bias)  # q, k, v and output
    total.add(macs=2 * tokens**2 * DIM)
    if case.ica:
        pairs = tokens * (tokens - 1) / 2 + 1 if "each_pair_once" in text else tokens**2
        total.linear(DIM, DIM, tokens, bias="coordinate_bias" in text)  # four projections to D / 4
        total.add(("gamma" in text) + 64 * 16**2 * (first or "shared_grid" not in text),
                   4 * 64 * pairs * ("matmuls_only" not in text))
        own = first or "shared_interpolator" not in text
        total.linear(66, 128, pairs, weights=own)
        total.linear(128, HEADS, pairs, weights=own)
    elif "relative_table" in text:
        width, height = (side // 32 for side in case.image_size)
        total.add((2 * width - 1) * (2 * height - 1) * HEADS)
    _feed_forward(total, text, tokens)


def _feed_forward(total: Tally, text: Text, tokens: int, weights: bool = True) -> None:
    _norm(total, text, tokens, weights)
    total.linear(DIM, HIDDEN, tokens, weights=weights)
    total.linear(HIDDEN, DIM, tokens, weights=weights)


def _refine(total: Tally, case: Case, text: Text, tokens: int, weights: bool) -> None:
    selected = tokens if case.top_k is None else case.top_k
    queries = tokens if "block_all" in text else selected
    bias = "standard_no_bias" not in text
    if "salience_mlp" in text:
        total.linear(DIM, 64, tokens, weights=weights)
        total.linear(64, 1, tokens, weights=weights)
    elif "no_salience_head" not in text:
        total.linear(DIM, KEYPOINTS if "salience_per_keypoint" in text else 1, tokens, weights=weights)
    if "query_self_attention" in text:
        _norm(total, text, queries, weights)
        total.linear(DIM, 4 * DIM, queries, bias=bias, weights=weights)
        total.add(macs=2 * queries**2 * DIM)
    _norm(total, text, tokens, weights)
    if "query_norm" in text:
        _norm(total, text, queries, weights)
    total.linear(DIM, 2 * DIM, queries, bias=bias, weights=weights)  # q and output
    total.linear(DIM, 2 * DIM, tokens, bias=bias, weights=weights)  # k and v
    total.add(macs=2 * queries * tokens * DIM)
    _feed_forward(total, text, tokens if text & {"ffn_all", "block_all"} else queries, weights)


def _head(total: Tally, case: Case, text: Text, tokens: int) -> None:
    if case.head == "regression":
        uses = tokens if "regression_per_token" in text else 1
        total.linear(DIM, 1024, uses)
        total.linear(1024, 2 * KEYPOINTS, uses)
        return
    cells = tokens
    if case.upsampled:
        for doubling in range(3):
            total.linear(16 * DIM, DIM, tokens * 4**doubling, bias=False)
            total.add(2 * DIM, 2 * DIM * tokens * 4 ** (doubling + 1) * ("matmuls_only" not in text))
        cells = 64 * tokens if "wide_classifier" in text else tokens
    total.linear(DIM, KEYPOINTS, cells)
    ratio = 1.5 if "split_1.5" in text else 3.0 if "split_3" in text else 2.0
    for side in case.image_size:
        total.linear(cells, round(side * ratio), KEYPOINTS, bias="classifier_no_bias" not in text)


def in_print(value: float, text: Text) -> float:
    """``value`` with one decimal, as the paper prints it."""
    return math.floor(value * 10) / 10 if "truncate" in text else float(f"{value:.1f}")


@dataclass(frozen=True)
class Outcome:
    """What one set of departures gives in the 24 cells of CELLS; ``printed``: a value prints the paper's digits."""

    departures: tuple[str, ...]
    values: tuple[float, ...]
    printed: tuple[bool, ...]

    @property
    def hits(self) -> int:
        return sum(self.printed)


def evaluate(departures: tuple[str, ...]) -> Outcome | None:
    """The cells under these departures; None when two of them contradict each other."""
    text = frozenset(departures)
    if any(len(text & group) > 1 for group in EXCLUSIVE):
        return None
    counts = [count(case, text) for case in CASES]
    values = [value for total in counts for value in (total.params / 1e6, total.macs / 1e9)]
    printed = tuple(in_print(v, text) == cell["published"] for v, cell in zip(values, CELLS, strict=True))
    return Outcome(departures, tuple(round(value, 4) for value in values), printed)


def search(max_departures: int = MAX_DEPARTURES) -> list[Outcome]:
    """Every consistent set of up to ``max_departures`` departures, best first, small sets before large ones."""
    sets = (c for n in range(max_departures + 1) for c in itertools.combinations(DEPARTURES, n))
    outcomes = [outcome for outcome in map(evaluate, sets) if outcome is not None]
    return sorted(outcomes, key=lambda o: (-o.hits, len(o.departures)))


def measure(max_departures: int = MAX_DEPARTURES) -> pd.DataFrame:
    """What the search says, in lines of three kinds; every line has numerics.

    cell: row, quantity (params_m or gflops), published, literal and default (values), and explained_by, the departures
    of the best set that prints it: "" for the literal text, none where no set does.
    single: name and meaning of a departure, and the cells printed with it alone or with_default.
    sets: number of departures, how many sets were tried, hits and names of the best one, and its ties.
    """
    outcomes = search(max_departures)
    by_set = {frozenset(o.departures): o for o in outcomes}
    literal, default = by_set[frozenset()], by_set[frozenset(DEFAULT)]
    cells = [{"kind": "cell", **cell, "literal": literal.values[i], "default": default.values[i],
              "explained_by": next((" + ".join(o.departures) for o in (literal, default, *outcomes) if o.printed[i]),
                                   None)} for i, cell in enumerate(CELLS)]
    singles = [{"kind": "single", "name": name, "meaning": meaning, "alone": by_set[frozenset((name,))].hits,
                "with_default": both.hits if (both := by_set.get(frozenset((name, *DEFAULT)))) else None}
               for name, meaning in DEPARTURES.items()]
    sizes = [[o for o in outcomes if len(o.departures) == n] for n in range(max_departures + 1)]
    best = [{"kind": "sets", "departures": n, "tried": len(group), "hits": group[0].hits,
             "names": " + ".join(group[0].departures), "ties": sum(o.hits == group[0].hits for o in group)}
            for n, group in enumerate(sizes)]
    return pd.DataFrame([*cells, *singles, *best]).assign(numerics=NUMERICS)
