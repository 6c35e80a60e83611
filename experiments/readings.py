"""Readings: every point that the paper leaves open or contradicts, with what we do and how it could be decided.

Rows name the readings that they depend on. ``field`` is the field of a run that holds the choice
(``model.readings.gamma``); its alternatives can be set in any spec. A reading without
a field is about the paper's numbers, not about the network.
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
    field: str | None = None
    value: Any = None
    """The value of ``field`` in the paper's own rows."""
    alternatives: tuple[Any, ...] = ()
    along: tuple[tuple[str, Any], ...] = ()
    """Other fields and the values that an alternative needs beside its own."""
    measured: tuple[str, ...] = ()
    """Pages with measurements of it, beside the experiment of the alternatives."""


READINGS = (
    Reading(
        id="R1", question="Is gamma of eq. 5 learned?", field="model.readings.gamma", value="fixed",
        alternatives=("learnable",),
        paper='Eq. 5: "a learnable parameter gamma"; Table 6: "fixed scaling factor of 0.125".',
        ours="Fixed at D'^-0.5 = 0.125. Learnable: one scalar per block, which starts there.",
        why="Table 6 is the later and more precise statement, an answer to a reviewer.",
        test="Train both. The counts cannot tell: one scalar per block changes no printed digit."),
    Reading(
        id="R2", measured=("table6",),
        question="Whose key is multiplied in eq. 5?",
        paper="Eq. 5 and Algorithm 1 multiply token i's query with token i's own key.",
        ours="As written: one coordinate per token. A product over pairs would not give a coordinate.",
        why="Text and algorithm agree.", test="No test is needed."),
    Reading(
        id="R3", question="Where are the grid's outer nodes, and which axis is x?",
        field="model.readings.align_corners",
        value=True, alternatives=(False,),
        paper='Eq. 8 and Algorithm 1 say "GridSample" and no more.',
        ours="align_corners=True, which puts distances 0 and 2 on nodes; the last axis is x, as in grid_sample.",
        why="With False, a distance of 0 (the most frequent one) is interpolated half with zero padding.",
        test="Train both."),
    Reading(
        id="R4", measured=("readings_search",),
        question="Norm placement, activation, feed-forward ratio, dropout, drop path?", field="model.readings.norm",
        value="pre", alternatives=("post",),
        paper="Not said.",
        ours="Pre-norm and a norm at the end, GELU, ratio 4, no dropout (activation, mlp_ratio, dropout, "
             "drop_path).",
        why="The parameter counts fix the ratio; the rest is the usual choice.",
        test="Train both norms; they have the same parameters."),
    Reading(
        id="R5", measured=("readings_search",),
        question="Which 2-D sinusoidal code?",
        paper='Eq. 2: "a standard 2D sinusoidal position encoding".',
        ours="Half the channels for y, half for x, positions scaled to (0, 2 pi], temperature 10000, no parameters.",
        why="The usual code of detection transformers; it does not depend on the input size.",
        test="Train several. The counts show that the code has no parameters."),
    Reading(
        id="R6", measured=("fig3",),
        question="How is the salience head trained?", field="model.readings.salience", value="gate",
        alternatives=("none", "straight_through"),
        paper="Section 3.3: scores, top-k, gather, overwrite. No gradient reaches the scores that way.",
        ours="A gate, the sigmoid of a token's score, mixes its refined and its old value, which trains the head.",
        why="Read literally, the head would keep its random weights and Fig. 3 would show noise.",
        test="Train all three; compare AP and the salience maps. An auxiliary loss is not implemented."),
    Reading(
        id="R7", measured=("readings_search",),
        question="One salience score per token or one per keypoint?", field="model.readings.salience_head",
        value="linear", alternatives=("mlp", "per_keypoint"),
        paper='Introduction: "for each keypoint"; section 3.3.1: "a relevance score to each one" of the tokens.',
        ours="One linear score per token. With per_keypoint, the largest of one score per keypoint counts.",
        why="Section 3.3.1 is the definition, and FlatPose-L's printed parameters rule out more.",
        test="Counts (see readings_search), and training."),
    Reading(
        id="R8", measured=("readings_search",),
        question="Which tokens does the feed-forward of a refine block act on?", field="model.readings.refine_ffn",
        value="all", alternatives=("selected",),
        paper="Eq. 12: the block maps the selected tokens. The multiply-adds of Tables 1 and 5 say otherwise.",
        ours="Cross-attention on the selected tokens, feed-forward on the whole updated context.",
        why="It explains five printed GFLOPs that the literal text does not (docs/decisions/0030).",
        test="Train both. The counts would also agree if the whole block were computed for all tokens."),
    Reading(
        id="R9", measured=("readings_search", "table5"),
        question="Do the M refine iterations share their weights?", field="model.readings.share_refine", value=False,
        alternatives=(True,),
        paper='"Repeated M times"; Fig. 2 draws one loop.', ours="Separate weights.",
        why="In Table 5, two more iterations, (8) against (9), cost 1.6 M parameters.",
        test="The counts decide it."),
    Reading(
        id="R10", measured=("readings_search", "table5"),
        question='What are the "upsampling layers" of Table 5 (4)?', field="model.readings.classifier",
        value="pooled", alternatives=("wide",),
        paper="Added after the Transformer blocks; 24.8 M, 3.9 GFLOPs.",
        ours="Three deconvolutions to 256 channels; the map is pooled back to the token grid for the classifiers.",
        why="Pooled: 24.76 M and 3.86 G. With classifiers on the whole fine map: 27.5 M.",
        test="The counts decide it."),
    Reading(
        id="R11", measured=("readings_search", "ceilings"),
        question="SimCC split ratio, sigma and label?", field="codec.split_ratio", value=2.0,
        alternatives=(1.0, 1.5, 3.0), paper="Not said.",
        ours="2 bins per pixel, sigma 6 bins, Gaussian density (codec.sigma, codec.label). An alternative keeps 6 "
             "bins: its label has another width in pixels.",
        why="These are SimCC's values. 2 fits the printed parameters; 1.5 and 3 fit all but one row each.",
        test="Train each; the codec ceilings need no training."),
    Reading(
        id="R12", question="Which loss?", field="loss.beta", value=1.0, alternatives=(10.0,),
        along=(("codec.temperature", 0.1),),  # the trained probabilities are those of ten times the logits
        paper="Not said for the classifiers; L1 for the regression head.",
        ours="SimCC's KL divergence of each axis (loss.kind). RTMPose uses beta 10.",
        why="The classifiers are SimCC's.", test="Train both."),
    Reading(
        id="R13", measured=("ceilings", "why"),
        question="How is a coordinate decoded?", field="codec.decode", value="argmax",
        alternatives=("expectation",),
        paper='Appendix A: "typically decoded by calculating the expected value".',
        ours="The highest bin. Expectation, and a softmax temperature (codec.temperature), can be set.",
        why="SimCC's code uses argmax. Small probabilities of all bins pull an expectation to the middle of the crop, "
            "but in the networks trained here it has the higher AP.",
        test="Decode the same checkpoint both ways."),
    Reading(
        id="R14", question="What is a person's score?", field="codec.score", value="min_softmax",
        alternatives=("mean_softmax", "min_raw"), paper="Not said.",
        ours="Box score x mean over keypoints of the smaller of the two peaks; OKS-NMS at 0.9 (eval.rescore).",
        why="This is SimCC's rule.", test="Score the same predictions with each rule."),
    Reading(
        id="R15", measured=("boxes",),
        question="Ground-truth or detector boxes?", field="eval.box_sources", value=("gt", "det"),
        paper="Not said. An AP50 of 93.6 and AR - AP below 3 are typical of ground-truth boxes; the rows that FlatPose "
              "is compared with look like the 56.4-AP detector's.",
        ours="Every network is evaluated with both, and every AP names its boxes.",
        why="They differ by about 2 AP.", test="Public results of one network with both kinds of boxes (see boxes)."),
    Reading(
        id="R16", question="Batch size, weight decay, warm-up, EMA momentum, final learning rate?",
        field="train.batch_size", value=512, alternatives=(256, 1024),
        paper="8 GPUs, 210 epochs, AdamW 1e-3, cosine with linear warm-up, EMA; no more.",
        ours="512, 0.05, 5 epochs, 0.9998, 1e-6 (fields of train).",
        why="64 images per GPU and the usual AdamW and EMA settings of the field.", test="Train."),
    Reading(
        id="R17", question="What were the backbones pre-trained on?", field="model.pretrained", value=True,
        alternatives=(False,), paper='"ConvNeXt backbone", Table 1: ConvNeXtV2-N and -T.',
        ours="timm's default ImageNet weights of the name given (22k to 1k for ConvNeXtV2).",
        why="These are the weights that timm loads by default.", test="Train from each set of weights."),
    Reading(
        id="R18", question="How strong is the augmentation?", field="augment.rotation", value=45.0,
        alternatives=(30.0, 80.0), paper='"Standard data augmentation".',
        ours="HRNet's: flip 0.5; rotation N(0, 45), at most 90 degrees, in 60 %; scale N(1, 0.35), within 0.35; half "
             "body in 30 % of persons with more than 8 labelled keypoints, then the upper half in 69 % (fields of "
             "augment; the default half_body_upper).",
        why="The most widely used set.", test="Train."),
    Reading(
        id="R19", measured=("ceilings", "fig5", "controls"),
        question="Width of the heatmap's Gaussian at coarser strides of Fig. 1?", field="codec.sigma",
        value=2.0, alternatives=(1.0, 0.5), paper="Not said.", ours="2 cells at every stride.",
        why="In cells, every network then has the same target.", test="Ceilings and training at each width."),
    Reading(
        id="R20", measured=("fig1",),
        question="What is FlatPose at finer strides in Fig. 1?", field="model.num_deconvs", value=0,
        alternatives=(1, 2, 3),
        paper='"FlatPose" is a curve over strides. How finer strides are made is not said.',
        ours="Deconvolutions after the transformer, and classifiers on the fine map (classifier: wide).",
        why="Table 5 (4) adds its upsampling there.", test="Compare with deconvolutions before the transformer."),
    Reading(
        id="R21", measured=("table5", "fig1"),
        question="Is SimpleBaseline's AP 72.0 or 71.8?",
        paper="Table 5 (1) prints 72.0, Fig. 1 71.8, for ResNet-50 with three deconvolutions.",
        ours="Both are kept as printed.", why="72.0 is the published number of ResNet-152.",
        test="Train ResNet-50, for which 70.4 and 71.8 are published with two recipes."),
    Reading(
        id="R22", measured=("table2", "readings_search"),
        question="What is a GFLOP?",
        paper="Not said. Tables 2 and 3 mix two conventions (HRNet's tool counted SimpleBaseline, HRNet, TokenPose and "
              "SimCC).",
        ours="Multiply-adds / 1e9 with every matrix product, Algorithm 1 as printed; beside it HRNet's count.",
        why="FlatPose's rows then agree, and each other row agrees in the convention of its source.",
        test="The counts decide it."),
    Reading(
        id="R23", measured=("table2",),
        question="Which RTMPose is in Table 2?",
        paper='27.7 M and 4.2 GFLOPs in the table, "RTMPose-m" in the text.', ours="RTMPose-l.",
        why="Size and cost agree to the digit. RTMPose-m has 13.6 M and 1.9 GFLOPs.",
        test="The counts decide it."),
    Reading(
        id="R24", measured=("table2", "table3"),
        question="Are the parameters of the 384x288 rows right?",
        paper="SimCC 66.3 M and SHaRPose-Base 93.9 M, as at 256x192.", ours="70.6 M and 118.5 M, counted.",
        why="Classifiers and position codes grow with the input; the printed values repeat the 256x192 rows.",
        test="The counts decide it."),
    Reading(
        id="R25", measured=("readings_search",),
        question="What is the regression head of Table 5 (3)?",
        paper="Direct regression with L1 loss; 21.9 M, 2.9 GFLOPs.",
        ours="Mean over tokens, 256-1024-2K: 21.86 M, 2.80 GFLOPs.",
        why="The parameters agree; no head of that size reaches 2.9 GFLOPs (see readings_search).",
        test="The counts leave it open."),
    Reading(
        id="R26", measured=("table5",),
        question="Are differences of 0.1 to 0.3 AP real?",
        paper="One number per row, without seeds or intervals.",
        ours="Three seeds per row, and differences paired by seed.",
        why="A difference means little without its spread over seeds.",
        test="The page of Table 5 has the interval of every difference."),
    Reading(
        id="R27", measured=("readings_search",),
        question="Is `w/o ICA` anything but the bias left out?", field="model.ica", value=True,
        alternatives=(False,),
        paper='"Standard attention", 21.3 M, 0.3 M less than with ICA.',
        ours="The same block without the path of the bias: 21.24 M, which rounds to 21.2.",
        why="The simplest meaning. A relative position table would round to 21.3 but is not mentioned.",
        test="Counts (reports/readings_search.md)."),
    Reading(
        id="R28", question="Are keypoints beyond the border of the crop learned?", field="codec.border",
        value="three_sigma_pixels", alternatives=("crop", "three_sigma_bins"), paper="Not said.",
        ours="Up to three sigma, taken as input pixels, outside the crop.", why="SimCC's own rule, as in R11.",
        test="Train all three."),
)

BY_ID = {reading.id: reading for reading in READINGS}
