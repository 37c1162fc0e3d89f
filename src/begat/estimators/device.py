"""Where networks are fitted and asked."""

from __future__ import annotations

import os

import torch

from begat.errors import DataError


def chosen(said: str) -> torch.device:
    """The device of this name; "auto" is a GPU where there is one: of several processes on a machine each its own."""
    if said == "auto" and torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    if said == "auto":
        return torch.device("cpu")
    try:
        device = torch.device(said)
        torch.empty(1, device=device)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"device is {said!r}, which is not to be had here ({reason}); try 'auto' or 'cpu'") from None
    return device


def halves(said: str, device: torch.device) -> bool:
    """Whether networks multiply numbers of bfloat16: as said, or where the device is made for them."""
    if said != "auto":
        return said == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    has = [getattr(torch.cpu, f"_is_{kind}_supported", bool) for kind in ("avx512_bf16", "amx_tile")]
    return device.type == "cpu" and any(each() for each in has)
