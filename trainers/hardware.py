"""What a training ran on, as measured there."""

import platform
import resource
import sys

import torch


def hardware(world: int) -> str:
    """`2 × NVIDIA H100`, or the processor's name and threads."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is not None and accelerator.type == "cuda":
        return f"{world} × {torch.cuda.get_device_name()}"
    if accelerator is not None:
        return f"{world} × {accelerator.type}"
    processor = platform.processor() or platform.machine()
    ranks = f"{world} processes of " if world > 1 else ""
    return f"CPU ({processor}), {ranks}{torch.get_num_threads()} threads"


def peak_memory_bytes() -> int:
    """The most memory that this process held: of its GPU where it uses one, else of the machine."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
