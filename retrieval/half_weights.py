"""A copy of a model whose linear layers keep their weights in fp16, for short texts on a CPU.

A query has so few tokens that its time goes into reading the weights. In fp16 they are half as
long; products and sums are fp32 as before. FBGEMM, which torch brings for x86, does the products.
"""

from copy import deepcopy

import torch
from sentence_transformers import SentenceTransformer

FP16_MAX = torch.finfo(torch.float16).max


class HalfLinear(torch.nn.Module):
    """What `torch.nn.Linear` computes, with weights of fp16 and without gradients.

    Weights lose what is beyond 11 significant bits, and those above 65,504 are cut to that.
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        bias = None if linear.bias is None else linear.bias.detach()
        # A copy, because packing itself would cut the given weights to this range, in place.
        weight = linear.weight.detach().clamp(-FP16_MAX, FP16_MAX)
        self._packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return (..., out_features) fp32 for (..., in_features) fp32."""
        outputs: torch.Tensor = torch.ops.quantized.linear_dynamic_fp16(inputs, self._packed)
        return outputs


def with_half_weights(model: SentenceTransformer) -> SentenceTransformer | None:
    """Return a copy with fp16 linear weights, which shares everything else with the model.

    None when there is nothing to gain: the model is not fp32 on a CPU, or torch lacks FBGEMM.
    """
    is_fp32 = all(weight.dtype == torch.float32 for weight in model.parameters())
    has_fbgemm = "fbgemm" in torch.backends.quantized.supported_engines
    if model.device.type != "cpu" or not is_fp32 or not has_fbgemm:
        return None
    shared = [*model.parameters(), *model.buffers(), model.tokenizer]
    copy: SentenceTransformer = deepcopy(model, {id(one): one for one in shared})
    for module in list(copy.modules()):
        for name, child in module.named_children():
            # Not its subclasses: whoever made one wants something else of it.
            if type(child) is torch.nn.Linear:
                setattr(module, name, HalfLinear(child))
    return copy
