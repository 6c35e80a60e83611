"""Parameters and multiply-adds of a network, by three counters, so that every published number can be matched.

``gflops`` is what recent papers print: multiply-adds / 1e9 of one forward pass, every matrix product included, counted
by fvcore with a handle for fused attention (which fvcore alone would miss). ``gflops_torch`` is torch's own counter, a
check. ``gflops_hrnet_tool`` is the summary tool of HRNet's repository, which made half of the field's published
numbers; its peculiarities are kept.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import get_shape
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from flatpose.errors import FlatPoseError

# At most a few operations per output element, which no counter prices. An operator that is neither here nor counted
# is an error, so that no matrix product is missed.
ELEMENTWISE = frozenset(f"aten::{name}" for name in (
    "abs", "add", "add_", "addcmul", "amax", "ceil", "clamp_min", "div", "exp", "gelu", "hardsigmoid", "hardswish",
    "hardswish_", "hardtanh", "hardtanh_", "lerp", "linalg_vector_norm", "linspace", "log_softmax", "max_pool2d",
    "mean", "meshgrid", "mul", "mul_", "neg", "norm", "pad", "pixel_shuffle", "pow", "rsqrt", "rsub", "scatter",
    "sigmoid", "sigmoid_", "silu", "silu_", "softmax", "sqrt", "square", "sub", "sum", "tanh", "topk",
    "triu_indices", "unflatten", "upsample_nearest2d", "where",
))

_RANDOM_FILLS = (torch.ops.aten.uniform_.default, torch.ops.aten.normal_.default, torch.ops.aten.erfinv_.default)


@dataclass(frozen=True)
class Cost:
    """What one forward pass of one image costs."""

    params_m: float
    """All parameters that inference uses, in millions."""
    params_leaf_m: float
    """Without parameters held by modules that have children (position codes, tokens), as some papers count."""
    gflops: float
    """Every matrix product; FlatPose with Algorithm 1 as printed."""
    gflops_executed: float
    """What our forward pass executes, which is less for FlatPose: the first layer of ICA's MLP is folded."""
    gflops_hrnet_tool: float
    gflops_torch: float


def measure(model: nn.Module, image_size: tuple[int, int]) -> Cost:
    """Count a network at batch 1 and ``image_size`` (width, height).

    A network may name prefixes of parameters that only training uses in an attribute ``training_only``, and switch to
    the operations its paper describes by a method ``use_literal_ica``.

    Raises:
        FlatPoseError: The network uses an operator that is neither counted nor known to be element-wise.
    """
    parameter = next(model.parameters())
    images = torch.zeros(1, 3, image_size[1], image_size[0], device=parameter.device, dtype=parameter.dtype)
    training, threads = model.training, torch.get_num_threads()
    model.eval()
    torch.set_num_threads(1)  # several threads slow this small work down on a busy machine
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            executed = gflops = _fvcore(model, images)
            if hasattr(model, "use_literal_ica"):
                model.use_literal_ica(True)
                gflops = _fvcore(model, images)
            with FlopCounterMode(display=False) as counter:
                by_hrnet_tool = _hrnet_tool(model, images)
    finally:
        if hasattr(model, "use_literal_ica"):
            model.use_literal_ica(False)
        torch.set_num_threads(threads)
        model.train(training)
    skipped = tuple(getattr(model, "training_only", ()))
    used = {id(p): p.numel() for name, p in model.named_parameters() if not name.startswith(skipped)}
    leaves = {id(p) for module in model.modules() if not any(module.children()) for p in module.parameters()}
    return Cost(
        params_m=sum(used.values()) / 1e6,
        params_leaf_m=sum(size for key, size in used.items() if key in leaves) / 1e6,
        gflops=gflops, gflops_executed=executed, gflops_hrnet_tool=by_hrnet_tool / 2**30,  # as the tool divides
        gflops_torch=counter.get_total_flops() / 2e9,
    )


def _fvcore(model: nn.Module, images: Tensor) -> float:
    """Multiply-adds / 1e9."""
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)  # it warns of each uncounted operator
    analysis = FlopCountAnalysis(model, images)
    analysis.set_op_handle("aten::scaled_dot_product_attention", _attention_products)
    analysis.uncalled_modules_warnings(False)
    total = analysis.total() / 1e9
    unknown = sorted(set(analysis.unsupported_ops()) - ELEMENTWISE)
    if unknown:
        raise FlatPoseError(f"no rule counts the multiply-adds of {', '.join(unknown)}", where=type(model).__name__,
                            hint="add a handle, or the name to ELEMENTWISE, in flatpose/complexity.py")
    return total


def _attention_products(inputs: list[Any], outputs: list[Any]) -> int:
    """Multiply-adds of q k^T and of the product with v."""
    query, key, value = (get_shape(t) for t in inputs[:3])
    return prod(query) * key[-2] + prod(query[:-1]) * key[-2] * value[-1]


def _hrnet_tool(model: nn.Module, images: Tensor) -> int:
    """Multiply-adds by HRNet's summary tool, which counts modules named *Conv* and nn.Linear only.

    Transposed convolutions are priced at their output size, and a linear layer multiplies its output size by
    ``input.size(1)``, which for tokens (B, N, C) is N and not C. Attention, norms and resizing are free.
    """
    counts: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        linear = isinstance(module, nn.Linear)
        counts.append(output.numel() * inputs[0].shape[1] if linear else module.weight.numel() * prod(output.shape[2:]))

    handles = [module.register_forward_hook(count) for module in model.modules() if isinstance(module, nn.Linear)
               or ("Conv" in type(module).__name__ and isinstance(getattr(module, "weight", None), Tensor))]
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    return sum(counts)


class ShapesOnly(TorchDispatchMode):
    """``with ShapesOnly():`` networks built inside start with zeros, which is fast where only shapes matter."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Every operator as usual, but a random fill gives zeros."""
        return args[0].zero_() if func in _RANDOM_FILLS else func(*args, **(kwargs or {}))


def table6(block: Any) -> dict[str, float | list[int]]:
    """The entries of Table 6 read from a built coarse block, by the paper's symbols; ValueError without ICA."""
    bias = block.semantic_bias
    if bias is None:
        raise ValueError("this block has standard attention")
    first, last = bias.mlp[0], bias.mlp[2]
    dim = block.attention.to_q.in_features
    return {"D": dim, "N_h": block.attention.num_heads, "d_k": dim // block.attention.num_heads,
            "D'": bias.to_qk.out_features // 4, "gamma": float(bias.gamma), "S": bias.grid.shape[-1],
            "D_bias": bias.grid.shape[0], "MLP_interp": [first.in_features, first.out_features, last.out_features]}
