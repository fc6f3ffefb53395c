"""Names of devices: whose seconds are one currency."""

import functools
import platform
from pathlib import Path

import torch

CPU_FACTS = Path("/proc/cpuinfo")


def name_of(device: torch.device) -> str:
    """Name a device by its model.

    Args:
        device: Where a run was trained.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor_name(CPU_FACTS)


@functools.cache
def processor_name(facts: Path) -> str:
    """Name the processor by its model, if the system tells: all are x86_64.

    Args:
        facts: What Linux says of the processors.
    """
    try:
        lines = facts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    pairs = (line.partition(":") for line in lines)
    models = (" ".join(text.split()) for name, _, text in pairs if _is_model(name))
    known = next(filter(None, models), "")
    return known or platform.processor() or platform.machine()


def _is_model(name: str) -> bool:
    return name.strip() == "model name"
