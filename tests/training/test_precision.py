"""bfloat16 is used where the hardware multiplies it, and nowhere else."""

import pytest
import torch

from training import precision


@pytest.mark.parametrize(
    ("capabilities", "dtype"), [({"avx2": True}, torch.float32), ({"avx512_bf16": True}, torch.bfloat16)]
)
def test_autocast_follows_the_processor(monkeypatch: pytest.MonkeyPatch, capabilities, dtype) -> None:
    """A processor that would emulate bfloat16 is asked for float32."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    with precision.autocast("cpu"):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == dtype
