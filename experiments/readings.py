"""Readings: everything the paper leaves open or contradicts, numbered, with what we do and how to tell.

Rows name the readings they depend on. ``field`` is where the choice lives in a run (``model.readings.gamma``); its
alternatives can be set in any spec. A reading without a field is about the paper's numbers, not about the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One open point of the paper."""

    id: str
    question: str
    paper: str
    """What the paper says, with the place."""
    ours: str
    """What we do."""
    why: str
    test: str
    """How it could be decided."""
    rows: tuple[str, ...] = ()
    """Experiments, or experiment/row, whose numbers it touches."""
    field: str | None = None
    value: Any = None
    """The value of ``field`` in the paper's own rows."""
    alternatives: tuple[Any, ...] = ()
    measured: tuple[str, ...] = ()
    """Pages that measured something about it, beside the experiment of the alternatives."""


FLATPOSE = ("table1", "table2", "table3", "table4", "table5", "fig1")

READINGS = (
    Reading(
        id="R1", question="Is gamma of eq. 5 learned?", field="model.readings.gamma", value="fixed",
        alternatives=("learnable",),
        paper='Eq. 5: "a learnable parameter gamma"; Table 6: "fixed scaling factor of 0.125".',
        ours="Fixed at D'^-0.5 = 0.125; learnable is one scalar per block, started there.",
        why="Table 6 is the later and more precise statement, an answer to a reviewer.", rows=FLATPOSE,
        test="Train both; one scalar per block changes no printed count."),
    Reading(
        id="R2", measured=("table6",),
        question="Whose key is multiplied in eq. 5?", rows=FLATPOSE,
        paper="Eq. 5 and Algorithm 1 multiply token i's query with token i's own key.",
        ours="Just that: a coordinate per token. A product over pairs would give no coordinate.",
        why="Text and algorithm agree.", test="None needed."),
    Reading(
        id="R3", question="Where are the grid's outer nodes, and which axis is x?",
        field="model.readings.align_corners",
        value=True, alternatives=(False,), rows=FLATPOSE,
        paper='Eq. 8 and Algorithm 1 say "GridSample" and no more.',
        ours="align_corners=True, so that distances 0 and 2 fall on nodes; the last axis is x, as in grid_sample.",
        why="With False a distance of 0, the commonest, is interpolated half with zero padding.",
        test="Train both."),
    Reading(
        id="R4", measured=("readings_search",),
        question="Norm placement, activation, feed-forward ratio, dropout, drop path?", field="model.readings.norm",
        value="pre", alternatives=("post",), rows=FLATPOSE,
        paper="Not said.",
        ours="Pre-norm and a norm at the end, GELU, ratio 4, no dropout (activation, mlp_ratio, dropout, "
             "drop_path).",
        why="Ratio 4 is fixed by the parameter counts; the rest is today's usual choice.",
        test="Train both norms; parameters do not tell them apart."),
    Reading(
        id="R5", measured=("readings_search",),
        question="Which 2-D sinusoidal code?", rows=FLATPOSE,
        paper='Eq. 2: "a standard 2D sinusoidal position encoding".',
        ours="Half the channels for y, half for x, positions scaled to (0, 2 pi], temperature 10000, no parameters.",
        why="The form of the detection transformers; independent of the input size.",
        test="Small; counts show that it is not a parameter."),
    Reading(
        id="R6", measured=("fig3",),
        question="How is the salience head trained?", field="model.readings.salience", value="gate",
        alternatives=("none", "straight_through"), rows=FLATPOSE,
        paper="Section 3.3: scores, top-k, gather, overwrite. No gradient reaches the scores that way.",
        ours="The refined token is mixed with the old one by the sigmoid of its score, which trains the head.",
        why="Literally read the head keeps its random weights and Fig. 3 would show noise.",
        test="Train all three; compare AP and the salience maps. An auxiliary loss is a further way, not built."),
    Reading(
        id="R7", measured=("readings_search",),
        question="One salience score per token or one per keypoint?", field="model.readings.salience_head",
        value="linear", alternatives=("mlp", "per_keypoint"), rows=FLATPOSE,
        paper='Introduction: "for each keypoint"; section 3.3.1: "a relevance score to each one" of the tokens.',
        ours="One linear score per token. per_keypoint: K scores, the largest counts.",
        why="Section 3.3.1 is the definition, and the parameters of FlatPose-L leave no room for more.",
        test="Counts (reports/readings_search.md); training."),
    Reading(
        id="R8", measured=("readings_search",),
        question="Which tokens does the feed-forward of a refine block act on?", field="model.readings.refine_ffn",
        value="all", alternatives=("selected",), rows=FLATPOSE,
        paper="Eq. 12: the block maps the selected tokens. The multiply-adds of Tables 1 and 5 say otherwise.",
        ours="Cross-attention on the selected tokens, feed-forward on the whole updated context.",
        why="Explains five printed GFLOPs that the literal text does not (docs/decisions/0030).",
        test="Train both. Counts cannot separate it from computing the whole block for all tokens."),
    Reading(
        id="R9", measured=("readings_search", "table5"),
        question="Do the M refine iterations share their weights?", field="model.readings.share_refine", value=False,
        alternatives=(True,), rows=FLATPOSE,
        paper='"Repeated M times"; Fig. 2 draws one loop.', ours="Separate weights.",
        why="Table 5 (8) against (9): two more iterations cost 1.6 M parameters.", test="Decided by the counts."),
    Reading(
        id="R10", measured=("readings_search", "table5"),
        question='What are the "upsampling layers" of Table 5 (4)?', field="model.readings.classifier",
        value="pooled", alternatives=("wide",), rows=("table5/upsampling",),
        paper="Added after the Transformer blocks; 24.8 M, 3.9 GFLOPs.",
        ours="Three deconvolutions to 256 channels, map pooled back to the token grid before the classifiers.",
        why="Pooled gives 24.76 M / 3.86 G; classifiers as wide as the fine map give 27.5 M.",
        test="Decided by the counts."),
    Reading(
        id="R11", measured=("readings_search", "ceilings"),
        question="SimCC split ratio, sigma and label?", field="codec.split_ratio", value=2.0,
        alternatives=(1.0, 1.5, 3.0), rows=FLATPOSE, paper="Not said.",
        ours="2 bins per pixel, sigma 6 bins, Gaussian density (codec.sigma, codec.label).",
        why="SimCC's own values; 2 fits the parameters, as 1.5 and 3 do in all but one row each.",
        test="Train; the ceiling of each is computed without training."),
    Reading(
        id="R12", question="Which loss?", field="loss.beta", value=1.0, alternatives=(10.0,), rows=FLATPOSE,
        paper="Not said for the classifiers; L1 for the regression head.",
        ours="KL divergence of each axis (loss.kind), SimCC's; beta 10 is RTMPose's.",
        why="The classifiers are SimCC's.", test="Train both."),
    Reading(
        id="R13", measured=("ceilings",),
        question="How is a coordinate decoded?", field="codec.decode", value="argmax",
        alternatives=("expectation",), rows=FLATPOSE,
        paper='Appendix A: "typically decoded by calculating the expected value".',
        ours="Highest bin. Expectation, and a softmax temperature (codec.temperature), can be set.",
        why="The expectation is drawn to the middle by every bin's small share; the field uses argmax.",
        test="Decode the same checkpoint both ways."),
    Reading(
        id="R14", question="What is a person's score?", field="codec.score", value="min_softmax",
        alternatives=("mean_softmax", "min_raw"), rows=FLATPOSE, paper="Not said.",
        ours="Box score x mean over keypoints of the smaller of the two peaks, OKS-NMS at 0.9 (eval.rescore).",
        why="SimCC's rule.", test="Rescore the same predictions."),
    Reading(
        id="R15", measured=("boxes", "boxes_simulated"),
        question="Which boxes?", field="eval.box_sources", value=("gt", "det"), rows=("table2", "table1",
                                                                                         "table5"),
        paper="Not said. AP50 93.6 and AR - AP below 3 are the mark of ground-truth boxes; every row FlatPose is "
              "compared with has the marks of the 56.4-AP detector.",
        ours="Both, side by side, named beside every AP.",
        why="About 2 AP separate them.", test="`flatpose-exp run boxes`; reports/boxes_simulated.md"),
    Reading(
        id="R16", question="Batch size, weight decay, warm-up, EMA momentum, final learning rate?",
        field="train.batch_size", value=512, alternatives=(256, 1024), rows=FLATPOSE,
        paper="8 GPUs, 210 epochs, AdamW 1e-3, cosine with linear warm-up, EMA; no more.",
        ours="512, 0.05, 5 epochs, 0.9998, 1e-6 (fields of train).",
        why="64 images per GPU and the usual AdamW and EMA settings of the field.", test="Train."),
    Reading(
        id="R17", question="What were the backbones pre-trained on?", field="model.pretrained", value=True,
        alternatives=(False,), rows=FLATPOSE, paper='"ConvNeXt backbone", Table 1: ConvNeXtV2-N and -T.',
        ours="timm's default ImageNet weights of the name given (22k to 1k for ConvNeXtV2).",
        why="The weights most readers will get.", test="Train from each set of weights."),
    Reading(
        id="R18", question="How strong is the augmentation?", field="augment.rotation", value=45.0,
        alternatives=(30.0, 80.0), rows=FLATPOSE, paper='"Standard data augmentation".',
        ours="HRNet's: flip, rotation 45, scale 0.35, half body 0.3 (fields of augment).",
        why="The most widely used set.", test="Train."),
    Reading(
        id="R19", measured=("ceilings", "fig5"),
        question="Width of the heatmap's Gaussian at coarser strides of Fig. 1?", field="codec.sigma",
        value=2.0, alternatives=(1.0, 0.5), rows=("fig1",), paper="Not said.", ours="2 cells at every stride.",
        why="Each network then sees the same target in its own cells.", test="Ceilings and training at each width."),
    Reading(
        id="R20", measured=("fig1",),
        question="What is FlatPose at finer strides in Fig. 1?", field="model.num_deconvs", value=0,
        alternatives=(1, 2, 3), rows=("fig1",), paper='"FlatPose" is a curve over strides; how, is not said.',
        ours="Deconvolutions after the transformer and classifiers on the fine map (classifier: wide).",
        why="Table 5 (4) adds its upsampling there.", test="Compare with deconvolutions before the transformer."),
    Reading(
        id="R21", measured=("table5", "fig1"),
        question="Is SimpleBaseline's AP 72.0 or 71.8?", rows=("table5/simplebaseline", "fig1/heatmap_s4"),
        paper="Table 5 (1) prints 72.0, Fig. 1 71.8, for ResNet-50 with three deconvolutions.",
        ours="Both are kept as printed.", why="72.0 is the published number of ResNet-152.",
        test="Train ResNet-50: published values are 70.4 and 71.8 by recipe."),
    Reading(
        id="R22", measured=("table2", "readings_search"),
        question="What is a GFLOP?", rows=("table1", "table2", "table3", "table5"),
        paper="Not said; Tables 2 and 3 mix two conventions (SimpleBaseline, HRNet, TokenPose and SimCC rows are of "
              "HRNet's tool).",
        ours="Multiply-adds / 1e9 with every matrix product, Algorithm 1 as printed; HRNet's tool beside it.",
        why="This reproduces FlatPose's rows; each other row matches under the convention that made it.",
        test="Decided by the counts."),
    Reading(
        id="R23", measured=("table2",),
        question="Which RTMPose is in Table 2?", rows=("table2",),
        paper='27.7 M and 4.2 GFLOPs in the table, "RTMPose-m" in the text.', ours="RTMPose-l.",
        why="Its size and cost to the digit; m has 13.6 M and 1.9 GFLOPs.", test="Decided by the counts."),
    Reading(
        id="R24", measured=("table2", "table3"),
        question="Are the parameters of the 384x288 rows right?", rows=("table2", "table3"),
        paper="SimCC 66.3 M and SHaRPose-Base 93.9 M, as at 256x192.", ours="70.6 M and 118.5 M, counted.",
        why="Classifiers and position codes grow with the input; the printed values are copies.",
        test="Decided by the counts."),
    Reading(
        id="R25", measured=("readings_search",),
        question="What is the regression head of Table 5 (3)?", rows=("table5/regression",),
        paper="Direct regression with L1 loss; 21.9 M, 2.9 GFLOPs.",
        ours="Mean over tokens, 256-1024-2K: 21.86 M, 2.80 GFLOPs.",
        why="Fits the parameters; nothing of that size reaches 2.9 GFLOPs (reports/readings_search.md).",
        test="Counts leave it open."),
    Reading(
        id="R26", measured=("table5",),
        question="Are differences of 0.1 to 0.3 AP real?", rows=("table5",),
        paper="One number per row, no seeds, no intervals.", ours="Three seeds and t intervals on every row.",
        why="Without noise a difference says nothing.", test="The page gives the seeds each would need."),
    Reading(
        id="R27", measured=("readings_search",),
        question="Is `w/o ICA` anything but the bias left out?", field="model.ica", value=True,
        alternatives=(False,), rows=("table5/no_ica",),
        paper='"Standard attention", 21.3 M, 0.3 M less than with ICA.',
        ours="The same block without bias path: 21.24 M, which prints 21.2.",
        why="The simplest meaning; a relative position table would print 21.3 but is not mentioned.",
        test="Counts (reports/readings_search.md)."),
)

BY_ID = {reading.id: reading for reading in READINGS}
