"""Claims: the quantitative sentences of the paper, each as a formula over cells of its own tables.

Quotes are a few words or the numbers. What words without a number mean ("nearly 40 %", "negligible") is fixed here,
once. ``flatpose-exp claims`` judges every entry; this file holds no verdict.
"""

from __future__ import annotations

from functools import partial

from flatpose.harness.formula import (
    PEERS,
    Cell,
    Claim,
    Formula,
    difference,
    highest,
    increase,
    inverse_root,
    lowest,
    quotient,
    reduction,
)

PARAMS, GFLOPS = "params_m", "gflops"
SIGNIFICANT, SLIGHT = 5.0, (0.0, 1.0)
"""Per cent of the GFLOPs; points of AP or AR (the paper itself calls 1.1 AP "substantial")."""
UPSAMPLING = ("simplebaseline", "vitpose_s", "vitpose_b")
"""Rows of Table 2 with deconvolutions between backbone and heatmap."""
AT_256 = ("simplebaseline", "hrnet_w48", "tokenpose_b", "tokenpose_l_d24", "vitpose_s", "vitpose_b", "sharpose_small",
          "sharpose_base", "rtmpose_l", "simcc")
AT_384 = ("hrnet_w48_384", "vitpose_b_384", "sharpose_base_384")
BELOW_B = ("simplebaseline", "hrnet_w48", "tokenpose_b", "vitpose_s", "sharpose_small", "rtmpose_l")
"""Rows of Table 2 at 256x192 that print less AP than FlatPose-B."""
HEAVY = ("vitpose_b", "sharpose_base", "simcc")
"""The systems of which section 4.2 says that FlatPose-L surpasses them at a fraction of the cost."""
CROWD = ("hrnet_w32", "vitpose_b", "srpose", "sar")
MPII = ("hrnet_w32", "simplebaseline", "simcc", "tokenpose", "gatedunipose")
TEST_DEV = ("simplebaseline", "hrnet_w48", "simcc", "sar", "tokenpose_l_d24", "vitpose_b")

TABLE_HAS_L = ("Judged by RTMPose-l, which the table holds (27.7 M, 4.2 GFLOPs). The text says RTMPose-m; with that "
               "network the sentence is an entry of its own.")
OLD_TOOL = "SimCC's 14.6 was counted by HRNet's tool, which leaves out every product of attention."
TIE = "SHaRPose-Base has 76.7 AP on test-dev in its own paper and is left out of Table 3, so this is a tie."


fig1, t1, t2, t3, t4, t5 = (partial(Cell, name) for name in ("fig1", "table1", "table2", "table3", "table4", "table5"))
t6 = partial(Cell, "table6", "b")


def _fall(series: str) -> Formula:
    """AP lost from the finest map to the coarsest."""
    return difference(fig1(f"{series}_s4"), fig1(f"{series}_s32"))


MOTIVATION = (
    Claim(id="heatmap_fine", section="1", quote="71.8 AP", formula=fig1("heatmap_s4"), prints="71.8",
          note="Table 5 (1) gives the same network 72.0, which is ResNet-152's number in Table 2."),
    Claim(id="heatmap_coarse", section="1", quote="a mere 17.2 AP", formula=fig1("heatmap_s32"), prints="17.2",
          note="The codec alone keeps 13.7 of 98.2 AP there (ceilings); a trained heatmap can pass that (fig1)."),
    Claim(id="heatmap_collapses", section="1", quote="collapses from 71.8 AP to a mere 17.2 AP",
          formula=_fall("heatmap"), prints="54.6"),
    Claim(id="simcc_robust", section="1", quote="coordinate-based methods demonstrate remarkable robustness",
          formula=difference(_fall("heatmap"), _fall("simcc")), above=0.0,
          note="Taken to mean: SimCC loses less AP from stride 4 to 32 than the heatmap does. The paper prints no "
               "numbers for SimCC."),
    Claim(id="flatpose_robust", section="1, caption of Fig. 1",
          quote="robustness of coordinate-based methods and FlatPose", above=0.0,
          formula=difference(_fall("heatmap"), _fall("flatpose")),
          note="Taken to mean: FlatPose loses less AP from stride 4 to 32 than the heatmap does."),
)

VAL = (
    Claim(id="b_ap", section="4.2", quote="a competitive 75.4 AP", formula=t2("flatpose_b"), prints="75.4"),
    Claim(id="b_gflops", section="4.2", quote="with only 2.8 GFLOPS", formula=t2("flatpose_b", GFLOPS), prints="2.8"),
    Claim(id="b_rtmpose_ap", section="4.2", quote="outperforms … RTMPose-m by 0.6 AP", prints="0.6", mixed_boxes=True,
          formula=difference(t2("flatpose_b"), t2("rtmpose_l")),
          note="The table's 74.8 is an RTMPose-l trained on HumanArt and COCO; on COCO alone RTMPose-l has 75.8."),
    Claim(id="b_rtmpose_gflops", section="4.2", quote="while using 33% fewer GFLOPS", prints="33",
          formula=reduction(t2("flatpose_b", GFLOPS), t2("rtmpose_l", GFLOPS)), note=TABLE_HAS_L),
    Claim(id="b_rtmpose_m_ap", section="4.2, as the sentence says: RTMPose-m", prints="0.6", mixed_boxes=True,
          quote="outperforms … RTMPose-m by 0.6 AP",
          formula=difference(t2("flatpose_b"), Cell(PEERS, "rtmpose_m")),
          note="RTMPose-m trained on COCO has 74.6 AP; trained on AIC and COCO 75.8."),
    Claim(id="b_rtmpose_m_gflops", section="4.2, as the sentence says: RTMPose-m", prints="33",
          quote="while using 33% fewer GFLOPS", note="RTMPose-m has 13.6 M and 1.93 GFLOPs, fewer than FlatPose-B.",
          formula=reduction(t2("flatpose_b", GFLOPS), Cell(PEERS, "rtmpose_m", GFLOPS))),
    Claim(id="l_ap", section="4.2", quote="77.4 AP", formula=t2("flatpose_l"), prints="77.4"),
    Claim(id="l_best_256", section="4.2", quote="a new state of the art for this resolution", above=0.0,
          mixed_boxes=True, formula=difference(t2("flatpose_l"), highest(*map(t2, AT_256))),
          note="Judged against the rows of the table only."),
    Claim(id="l_vitpose_ap", section="4.2", quote="surpasses … ViTPose-B by 1.7 AP", prints="1.7", mixed_boxes=True,
          formula=difference(t2("flatpose_l"), t2("vitpose_b"))),
    Claim(id="l_sharpose_ap", section="4.2, Table 2", quote="SHaRPose-Base by 1.9 AP", prints="1.9", mixed_boxes=True,
          formula=difference(t2("flatpose_l"), t2("sharpose_base"))),
    Claim(id="l_simcc_ap", section="4.2", quote="outperforms … SimCC by 1.5 AP", prints="1.5", mixed_boxes=True,
          formula=difference(t2("flatpose_l"), t2("simcc"))),
    Claim(id="l_gflops", section="4.2", quote="its 4.9 GFLOPS", formula=t2("flatpose_l", GFLOPS), prints="4.9"),
    Claim(id="l_fraction", section="4.2", quote="with a fraction of the computational cost", above=50.0,
          formula=reduction(t2("flatpose_l", GFLOPS), lowest(*(t2(row, GFLOPS) for row in HEAVY))),
          note="Taken to mean: less than half the GFLOPs of each of the three systems named before (ViTPose-B, "
               "SHaRPose-Base, SimCC)."),
    Claim(id="l_vitpose_gflops", section="4.2", quote="a 73% reduction compared to ViTPose-B", prints="73",
          formula=reduction(t2("flatpose_l", GFLOPS), t2("vitpose_b", GFLOPS))),
    Claim(id="l_simcc_gflops", section="4.2", quote="a 66% reduction compared to SimCC", prints="66",
          formula=reduction(t2("flatpose_l", GFLOPS), t2("simcc", GFLOPS)), note=OLD_TOOL),
    Claim(id="l_sharpose_params", section="Table 2", quote="37.3 ↓60%", prints="60",
          formula=reduction(t2("flatpose_l", PARAMS), t2("sharpose_base", PARAMS))),
    Claim(id="l_sharpose_gflops", section="Table 2", quote="4.9 ↓71%", prints="71",
          formula=reduction(t2("flatpose_l", GFLOPS), t2("sharpose_base", GFLOPS))),
    Claim(id="l384_ap", section="4.2", quote="78.2 AP", formula=t2("flatpose_l_384"), prints="78.2"),
    Claim(id="l384_best", section="4.2", quote="a top performance … beating previous methods", above=0.0,
          mixed_boxes=True, formula=difference(t2("flatpose_l_384"), highest(*map(t2, AT_384)))),
    Claim(id="l384_sharpose_ap", section="Table 2", quote="78.2 ↑0.8", prints="0.8", mixed_boxes=True,
          formula=difference(t2("flatpose_l_384"), t2("sharpose_base_384"))),
    Claim(id="l384_sharpose_gflops", section="4.2, Table 2", quote="with a 65% reduction in computational cost",
          prints="65", formula=reduction(t2("flatpose_l_384", GFLOPS), t2("sharpose_base_384", GFLOPS))),
    Claim(id="l384_sharpose_params", section="Table 2", quote="37.4 ↓60%", prints="60",
          formula=reduction(t2("flatpose_l_384", PARAMS), t2("sharpose_base_384", PARAMS)),
          note="93.9 M is SHaRPose-Base's size at 256x192; at 384x288 the released code builds 118.5 M."),
    Claim(id="cheapest_256", section="1", quote="significantly reducing computational cost",
          formula=reduction(t2("flatpose_b", GFLOPS), lowest(*(t2(row, GFLOPS) for row in AT_256))), above=SIGNIFICANT,
          note="Taken to mean: at 256x192 FlatPose-B has at least 5 % fewer GFLOPs than every other row, with "
               "upsampling or without."),
    Claim(id="smaller_than_upsampling", section="1", quote="and parameters compared to models that rely on upsampling",
          formula=difference(lowest(*(t2(row, PARAMS) for row in UPSAMPLING)), t2("flatpose_b", PARAMS)), above=0.0,
          note="Taken to mean: FlatPose-B has fewer parameters than each row with deconvolutions (SimpleBaseline, "
               "ViTPose-S, ViTPose-B). TokenPose-B, at 13.5 M, has none."),
    Claim(id="recall_lower", section="appendix C, 256x192", quote="reports a slightly lower AR", between=SLIGHT,
          formula=difference(t2("sharpose_base", "AR"), t2("flatpose_l", "AR")),
          note="Taken to mean: less than 1 point below SHaRPose-Base's, with which Table 2 compares it."),
    Claim(id="recall_lower_384", section="appendix C, 384x288", quote="reports a slightly lower AR", between=SLIGHT,
          formula=difference(t2("sharpose_base_384", "AR"), t2("flatpose_l_384", "AR")),
          note="Taken to mean: less than 1 point below SHaRPose-Base's, with which Table 2 compares it."),
    Claim(id="higher_ap_with_lower_recall", section="appendix C", quote="despite achieving a higher overall AP",
          formula=difference(t2("flatpose_l"), highest(*map(t2, AT_256))), above=0.0, mixed_boxes=True),
)

TESTDEV = (
    Claim(id="testdev_ap", section="4.3", quote="76.7 AP", formula=t3("flatpose_l"), prints="76.7"),
    Claim(id="testdev_best", section="4.3", quote="a state-of-the-art 76.7 AP", above=0.0, note=TIE,
          formula=difference(t3("flatpose_l"), highest(*map(t3, TEST_DEV)))),
    Claim(id="testdev_sar", section="4.3", quote="surpasses … SAR by 0.4 AP", prints="0.4",
          formula=difference(t3("flatpose_l"), t3("sar"))),
    Claim(id="testdev_vitpose", section="4.3, Table 3", quote="ViTPose-B by 0.5 AP", prints="0.5",
          formula=difference(t3("flatpose_l"), t3("vitpose_b"))),
    Claim(id="testdev_simcc", section="4.3", quote="SIMCC by 0.7 AP", prints="0.7",
          formula=difference(t3("flatpose_l"), t3("simcc"))),
    Claim(id="testdev_gflops", section="4.3", quote="only 11.5 GFLOPs", formula=t3("flatpose_l", GFLOPS),
          prints="11.5"),
    Claim(id="testdev_params", section="4.3", quote="and 37.4M parameters", formula=t3("flatpose_l", PARAMS),
          prints="37.4"),
    Claim(id="testdev_vitpose_gflops", section="4.3, Table 3", quote="massive 74% … reductions in computation",
          prints="74", formula=reduction(t3("flatpose_l", GFLOPS), t3("vitpose_b", GFLOPS))),
    Claim(id="testdev_vitpose_params", section="4.3, Table 3", quote="58% … and model size", prints="58",
          formula=reduction(t3("flatpose_l", PARAMS), t3("vitpose_b", PARAMS))),
)

CROWDS = (
    Claim(id="crowd_ap", section="4.4", quote="67.9 AP", formula=t4("flatpose_l_crowdpose"), prints="67.9"),
    Claim(id="crowd_vitpose", section="4.4", quote="outperforming … ViTPose-B", above=0.0,
          formula=difference(t4("flatpose_l_crowdpose"), t4("vitpose_b_crowdpose"))),
    Claim(id="crowd_sarpose", section="4.4", quote="… and SARPose", above=0.0,
          formula=difference(t4("flatpose_l_crowdpose"), t4("sar_crowdpose"))),
    Claim(id="crowd_hrnet", section="4.4", quote="an improvement over … HRNet-W32", above=0.0,
          formula=difference(t4("flatpose_l_crowdpose"), t4("hrnet_w32_crowdpose"))),
    Claim(id="crowd_hard", section="appendix C", quote='a certain gap in the "Hard" metric', above=0.0,
          formula=difference(highest(*(t4(f"{row}_crowdpose", "AP_hard") for row in CROWD)),
                             t4("flatpose_l_crowdpose", "AP_hard")),
          note="Taken to mean: below the table's best row, which is SARPose (57.6; its four numbers can hardly "
               "be from one evaluation, see table4). HRNet-W32 (55.3) and ViTPose-B (54.6) are above FlatPose-L's 54.0 "
               "too."),
    Claim(id="mpii_pckh", section="4.4", quote="90.7 PCKh@0.5", formula=t4("flatpose_l_mpii", "PCKh@0.5"),
          prints="90.7"),
    Claim(id="mpii_leading", section="4.4", quote="a leading result of 90.7 PCKh@0.5", above=0.0,
          formula=difference(t4("flatpose_l_mpii", "PCKh@0.5"),
                             highest(*(t4(f"{row}_mpii", "PCKh@0.5") for row in MPII))),
          note="Judged against the table's rows. RTMPose-m, which is not among them, has 90.7 in mmpose's table."),
    Claim(id="mpii_gatedunipose", section="4.4", quote="surpassing … GatedUniPose", above=0.0,
          formula=difference(t4("flatpose_l_mpii", "PCKh@0.5"), t4("gatedunipose_mpii", "PCKh@0.5"))),
    Claim(id="mpii_hrnet", section="4.4", quote="… and HRNet", above=0.0,
          formula=difference(t4("flatpose_l_mpii", "PCKh@0.5"), t4("hrnet_w32_mpii", "PCKh@0.5"))),
)

DEPTHS = ("depth_3_3", "depth_4_2")
ABLATIONS = (
    Claim(id="resnet_scores", section="4.5 A", quote="achieves 73.9 AP", formula=t5("resnet50"), prints="73.9"),
    Claim(id="baseline_scores", section="4.5 A", quote="which scored 72.0 AP", formula=t5("simplebaseline"),
          prints="72.0", note="ResNet-152's number in Table 2; for this ResNet-50 Fig. 1 has 71.8."),
    Claim(id="resnet_ap", section="4.5 A", quote="improves performance by 1.9 AP", prints="1.9",
          formula=difference(t5("resnet50"), t5("simplebaseline")),
          note="Fig. 1 gives the baseline 71.8, which would make it 2.1."),
    Claim(id="resnet_gflops", section="4.5 A", quote="16% fewer GFLOPs", prints="16",
          formula=reduction(t5("resnet50", GFLOPS), t5("simplebaseline", GFLOPS))),
    Claim(id="regression", section="4.5 A", quote="a substantial 1.1 AP drop from 75.4 to 74.3", prints="1.1",
          formula=difference(t5("ours"), t5("regression"))),
    Claim(id="upsampling_ap", section="4.5 A", quote="increased performance by 0.1 AP", prints="0.1",
          formula=difference(t5("upsampling"), t5("ours"))),
    Claim(id="upsampling_gflops", section="4.5 A", quote="a nearly 40% surge in GFLOPs", between=(35.0, 40.0),
          formula=increase(t5("upsampling", GFLOPS), t5("ours", GFLOPS)),
          note="Taken to mean: 35 to 40 %."),
    Claim(id="ica_ap", section="4.5 B", quote="a 1.3 AP drop", prints="1.3",
          formula=difference(t5("ours"), t5("no_ica"))),
    Claim(id="ica_cost", section="4.5 B", quote="with negligible changes in complexity", between=(-5.0, 5.0),
          formula=increase(t5("ours", GFLOPS), t5("no_ica", GFLOPS)), note="Taken to mean: within 5 % of the GFLOPs."),
    Claim(id="depth_best", section="4.5 C", quote="4+4 … achieves the highest AP at 75.5", above=0.0,
          formula=difference(t5("depth_4_4"), highest(*map(t5, DEPTHS))), note="Of part C."),
    Claim(id="depth_close", section="4.5 C", quote="4+2 … a very close 75.4 AP", between=(-0.2, 0.2),
          formula=difference(t5("depth_4_4"), t5("depth_4_2")), note="Taken to mean: within 0.2 AP."),
    Claim(id="depth_params", section="4.5 C", quote="with fewer parameters", above=0.0,
          formula=difference(t5("depth_4_4", PARAMS), t5("depth_4_2", PARAMS))),
    Claim(id="k_ap", section="4.5 D", quote="K=4 … the same peak performance as … Full", prints="0.0",
          formula=difference(t5("k4"), t5("k_full"))),
    Claim(id="k_peak", section="4.5 D", quote="peak performance", between=(0.0, 100.0),
          formula=difference(t5("k4"), highest(*map(t5, ("k2", "k8", "k_full")))), note="Of part D: no K has more."),
    Claim(id="k_cost", section="4.5 D", quote="significantly lower computational overhead in the refinement stage",
          above=SIGNIFICANT, formula=reduction(t5("k4", GFLOPS), t5("k_full", GFLOPS)),
          note="Taken to mean: 5 % of the network's GFLOPs or more. The table prints 2.8 for both, and the whole "
               "refinement stage is under 4 % of the network."),
)

CONCLUSION = (
    Claim(id="fewer_resources", section="5", quote="while using significantly fewer computational resources",
          above=SIGNIFICANT,
          formula=reduction(t2("flatpose_b", GFLOPS), lowest(*(t2(row, GFLOPS) for row in BELOW_B))),
          note="Taken to mean: FlatPose-B has at least 5 % fewer GFLOPs than each row of Table 2 at 256x192 that "
               "prints less AP. RTMPose-m, not in the table, has less AP and fewer GFLOPs."),
)

SHAPE = (
    Claim(id="few_tokens", section="3.3.1", quote="significantly smaller than L (L_q ≪ L)", above=90.0,
          formula=lowest(*(reduction(t1(row, "top_k"), t1(row, "L")) for row in ("b", "l_384"))),
          note="Taken to mean: under a tenth of the tokens, at 256x192 (4 of 48) and at 384x288 (6 of 108)."),
    Claim(id="semantic_dim", section="3.2.1, Table 6", quote="D' = D/4", prints="4",
          formula=quotient(t6("D"), t6("D'"))),
    Claim(id="head_dim", section="Table 6", quote="32 … (D/N_h)", prints="32",
          formula=quotient(t6("D"), t6("N_h"))),
    Claim(id="gamma", section="Table 6", quote="(D')^-0.5 … 0.125", prints="0.125",
          formula=inverse_root(t6("D'")), note='Table 6 calls it "fixed", eq. 5 "learnable" (reading R1).'),
)

CLAIMS: tuple[Claim, ...] = MOTIVATION + VAL + TESTDEV + CROWDS + ABLATIONS + CONCLUSION + SHAPE
