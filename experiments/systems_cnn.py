"""The published recipes of the convolutional systems of Tables 2, 3 and 4, one function per system.

Each takes the input size (width, height) and the benchmark and gives the run as its authors (or mmpose, where the
paper quotes mmpose's number) trained it. Sources: the yaml or Python configurations of the official repositories and
of mmpose 1.3. What a source leaves open is said beside the function.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from flatpose.config import (
    AugmentConfig,
    BaselineConfig,
    DataConfig,
    EvalConfig,
    FinalAugmentConfig,
    HeatmapCodecConfig,
    HRNetConfig,
    LossConfig,
    RTMPoseConfig,
    RunConfig,
    SARCodecConfig,
    SARConfig,
    SimCCCodecConfig,
    SimCCConfig,
    SRPoseConfig,
    TrainConfig,
)

Task = Literal["coco", "crowdpose", "mpii"]
Size = tuple[int, int]
LOW: Size = (192, 256)
HIGH: Size = (288, 384)
SQUARE: Size = (256, 256)  # MPII

# Training persons, to turn warm-up iterations into epochs (CrowdPose train + val: rounded).
TRAIN_PERSONS: dict[Task, int] = {"coco": 149_813, "crowdpose": 43_400, "mpii": 22_246}

AUGMENT_SIMPLE = AugmentConfig(rotation=40.0, scale=0.3, half_body=0.0)
AUGMENT_HRNET = AugmentConfig(rotation=45.0, scale=0.35, half_body=0.3)
AUGMENT_HRNET_MPII = AugmentConfig(rotation=30.0, scale=0.25, half_body=0.0)
AUGMENT_MMPOSE0 = AugmentConfig(rotation=40.0, scale=0.5, half_body=0.3)
AUGMENT_MMPOSE1 = AugmentConfig(rotation=80.0, scale=0.5, shift=0.16, half_body=0.3, half_body_upper=0.7,
                                truncated=True)
AUGMENT_MMPOSE1_MPII = AugmentConfig(rotation=80.0, scale=0.5, half_body=0.0, truncated=True)
AUGMENT_RTMPOSE = AugmentConfig(rotation=80.0, scale=0.4, shift=0.16, half_body=0.3, half_body_upper=0.7,
                                truncated=True, cutout=1.0, hsv=(5.0, 30.0, 30.0), blur=0.1)
AUGMENT_RTMPOSE_FINAL = AugmentConfig(rotation=60.0, scale=0.25, shift=0.0, half_body=0.3, half_body_upper=0.7,
                                      truncated=True, cutout=0.5, hsv=(5.0, 30.0, 30.0), blur=0.1)
RTMPOSE_FINAL_EPOCHS = 30


def base_run(task: Task, image_size: Size) -> RunConfig:
    """Data, input and evaluation: MPII is scored on given centres and scales, the other two on both kinds of boxes."""
    return RunConfig(data=DataConfig(task=task, source="disk"), image_size=image_size,
                     eval=EvalConfig(box_sources=("gt",) if task == "mpii" else ("gt", "det")))


def sigma_of(image_size: Size) -> float:
    """Cells: the standard deviation that every heatmap system but SRPose uses."""
    return 3.0 if max(image_size) > 256 else 2.0


def adam(lr: float, batch_size: int, task: Task, *, epochs: int = 210, drops: tuple[int, int] = (170, 200),
          warmup_iterations: int = 0) -> TrainConfig:
    """Adam without weight decay, the rate divided by ten after each of ``drops`` epochs, no running average."""
    return TrainConfig(epochs=epochs, batch_size=batch_size, optimizer="adam", lr=lr, weight_decay=0.0,
                       schedule="step", milestones=(drops[0] / epochs, drops[1] / epochs), ema_decay=None,
                       warmup_epochs=warmup_iterations * batch_size / TRAIN_PERSONS[task],
                       warmup_lr=lr * (0.001 if warmup_iterations else 1.0))


def mmpose_adam(task: Task, batch_size: int = 512) -> TrainConfig:
    return adam(5e-4, batch_size, task, warmup_iterations=500)


def _heatmap(image_size: Size) -> HeatmapCodecConfig:
    return HeatmapCodecConfig(sigma=sigma_of(image_size), flip_shift=1)


def simplebaseline(depth: Literal[50, 152] = 152, image_size: Size = LOW, task: Task = "coco") -> RunConfig:
    """SimpleBaseline as in the HRNet repository; on CrowdPose and MPII mmpose's recipe, whose numbers Table 4 has."""
    ours = task == "coco"
    return replace(
        base_run(task, image_size), model=BaselineConfig(backbone=f"resnet{depth}"),
        codec=_heatmap(image_size), augment=AUGMENT_SIMPLE if ours else mmpose_augment(task),
        train=adam(1e-3, 128, task, epochs=140, drops=(90, 120)) if ours else mmpose_adam(task))


def hrnet(width: Literal[32, 48] = 48, image_size: Size = LOW, task: Task = "coco") -> RunConfig:
    """HRNet as in its repository (24 instead of 32 persons per GPU at W48-384); on CrowdPose and MPII as in mmpose."""
    ours = task == "coco"
    batch = 96 if width == 48 and image_size == HIGH else 128
    return replace(
        base_run(task, image_size), model=HRNetConfig(backbone=f"hrnet_w{width}"),
        codec=_heatmap(image_size), augment=AUGMENT_HRNET if ours else mmpose_augment(task),
        train=adam(1e-3, batch, task) if ours else mmpose_adam(task))


def mmpose_augment(task: Task) -> AugmentConfig:
    return AUGMENT_MMPOSE1_MPII if task == "mpii" else AUGMENT_MMPOSE1


def simcc(image_size: Size = LOW, task: Task = "coco") -> RunConfig:
    """SimCC on HRNet-W48; on MPII the published 90.0 is HRNet-W32 with a wider label."""
    mpii, high = task == "mpii", image_size == HIGH
    codec = SimCCCodecConfig(split_ratio=1.5 if high else 2.0, sigma=6.0 if mpii else 4.0, flip_shift=1,
                             border="three_sigma_pixels", score_threshold=0.005 if high else 0.01)
    return replace(
        base_run(task, image_size), model=SimCCConfig(backbone="hrnet_w32" if mpii else "hrnet_w48"),
        codec=codec, loss=LossConfig(kind="kl"), augment=AUGMENT_HRNET_MPII if mpii else AUGMENT_HRNET,
        train=adam(1e-3, 128, task))


def simcc_upsample_free() -> RunConfig:
    """SimCC's ResNet-50 without upsampling: one-hot labels, so a Gaussian far narrower than a bin.

    The authors average probabilities over the mirrored image and score by the larger peak; here logits are averaged
    and the smaller peak counts, as in their newer variant.
    """
    codec = SimCCCodecConfig(split_ratio=2.0, sigma=0.1, label="peak", centre="rounded", flip_shift=1, border="crop")
    return replace(base_run("coco", LOW), model=SimCCConfig(backbone="resnet50", maps_per_keypoint=28), codec=codec,
                   loss=LossConfig(kind="kl"), augment=AUGMENT_SIMPLE,
                   train=adam(1e-3, 128, "coco", epochs=140, drops=(90, 120)))


def simcc_resnet50(image_size: Size = LOW) -> RunConfig:
    """SimCC on SimpleBaseline's ResNet-50 as mmpose trains and evaluates it: on eight GPUs, the loss summed over each.

    Its authors' own (one-hot labels, three deconvolutions) has the same network.
    """
    codec = SimCCCodecConfig(split_ratio=2.0, sigma=6.0, centre="rounded", score="min_raw", flip_shift=0,
                             border="three_sigma_bins", score_threshold=0.2)
    train = (adam(1e-3, 256, "coco", epochs=140, drops=(90, 120), warmup_iterations=500) if image_size == HIGH else
             adam(1e-3, 512, "coco", warmup_iterations=500))
    return replace(base_run("coco", image_size), model=BaselineConfig(head="simcc"), codec=codec,
                   loss=LossConfig(kind="kl", summed_persons=train.batch_size // 8), augment=AUGMENT_MMPOSE1,
                   train=train)


def sar(backbone: Literal["resnet50", "hrnet_w48"] = "hrnet_w48", image_size: Size = HIGH,
        task: Task = "coco") -> RunConfig:
    """SAR on the two GPUs of its README, with 96 (ResNet-50) or 36 persons (HRNet-W48) each and a rate of 5e-4.

    Its configurations name 512 as the batch of that rate, but nothing in them or in the README's command scales it.
    No CrowdPose configuration is public: there, the same head and recipe.
    """
    batch = 2 * (96 if backbone == "resnet50" else 36)
    return replace(base_run(task, image_size), model=SARConfig(backbone=backbone),
                   codec=SARCodecConfig(sigma=sigma_of(image_size)), loss=LossConfig(kind="sar"),
                   augment=mmpose_augment(task), train=mmpose_adam(task, batch))


def srpose(backbone: Literal["resnet50", "hrnet_w32"] = "resnet50", image_size: Size = LOW,
           task: Task = "coco") -> RunConfig:
    """SRPose: 32 persons per GPU; eight GPUs assumed."""
    return replace(base_run(task, image_size), model=SRPoseConfig(backbone=backbone),
                   codec=HeatmapCodecConfig(stride=1, sigma=8.0, flip_shift=1), loss=LossConfig(kind="multi_mse"),
                   augment=AUGMENT_HRNET_MPII if task == "mpii" else AUGMENT_MMPOSE0,
                   train=mmpose_adam(task, 256))


def rtmpose(size: Literal["m", "l"] = "l", image_size: Size = LOW, task: Task = "coco") -> RunConfig:
    """RTMPose. The label's sigma is sqrt(pixels / 8) bins: 4.9 and 5.66 at 192x256. Starts from ImageNet weights here.

    CrowdPose and MPII: half the epochs, batch 512 and 5e-4 (an earlier MPII configuration of theirs had 4e-3).
    """
    sigma = (round((image_size[0] / 8) ** 0.5, 2), round((image_size[1] / 8) ** 0.5, 2))
    codec = SimCCCodecConfig(split_ratio=2.0, sigma=sigma, label="peak", centre="rounded", score="min_raw",
                             flip_shift=0, border="three_sigma_bins", score_threshold=0.2)
    lr, batch, epochs = (4e-3, 1024, 420) if task == "coco" else (5e-4, 512, 210)
    train = TrainConfig(epochs=epochs, batch_size=batch, optimizer="adamw", lr=lr, weight_decay=0.05,
                        schedule="flat_cosine", min_lr=0.05 * lr, warmup_lr=1e-5 * lr,
                        warmup_epochs=1000 * batch / TRAIN_PERSONS[task], ema_decay=0.9998)
    final = FinalAugmentConfig(augment=AUGMENT_RTMPOSE_FINAL, fraction=RTMPOSE_FINAL_EPOCHS / epochs)
    return replace(base_run(task, image_size), model=RTMPoseConfig(backbone=f"cspnext_{size}"),
                   codec=codec, augment=AUGMENT_RTMPOSE, augment_final=final,
                   loss=LossConfig(kind="kl", beta=10.0, target_softmax=True,
                                   summed_persons=256 if task == "coco" else 64), train=train)
