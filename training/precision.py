"""Which floating-point numbers a device multiplies fast: bfloat16 where its hardware has it, float32 elsewhere.

On a processor without bfloat16 instructions torch emulates them: a training step of the backbone then takes fifteen
times as long as in float32 (measured on AVX2).
"""

import torch


def has_bfloat16(device: str) -> bool:
    """Whether the hardware behind "cuda" or "cpu" multiplies bfloat16."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16") or found.get("bf16"))


def fastest(device: str) -> torch.dtype:
    """What `autocast` multiplies in."""
    return torch.bfloat16 if has_bfloat16(device) else torch.float32


def autocast(device: str) -> torch.autocast:
    """A context in which torch multiplies in bfloat16 where that is fast, and in float32 elsewhere."""
    return torch.autocast(device, torch.bfloat16, enabled=has_bfloat16(device))


def name(device: str) -> str:
    """`fastest` in a word: "bfloat16" or "float32"."""
    return str(fastest(device)).removeprefix("torch.")
