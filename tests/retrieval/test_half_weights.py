"""Linear layers with weights of fp16."""

import pytest
import torch

from retrieval.half_weights import HalfLinear

pytestmark = pytest.mark.skipif(
    "fbgemm" not in torch.backends.quantized.supported_engines, reason="torch without FBGEMM"
)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 48), (13, 48), (2, 7, 48)])
@torch.inference_mode()
def test_it_computes_in_fp32_with_rounded_weights(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(48, 20, bias=bias)
    half = HalfLinear(linear)
    inputs = torch.randn(shape)
    linear.weight.copy_(linear.weight.half().float())
    torch.testing.assert_close(half(inputs), linear(inputs), rtol=1e-5, atol=1e-5)
