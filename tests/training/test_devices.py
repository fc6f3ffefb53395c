"""Processors of unlike models have unlike names."""

import platform
from pathlib import Path

import torch

from senn_ray.training.devices import CPU_FACTS, name_of, processor_name


def test_a_processor_is_named_by_its_model(tmp_path: Path) -> None:
    facts = tmp_path / "cpuinfo"
    facts.write_text("processor\t: 0\nmodel\t: 1\nmodel name\t: Fast  CPU @ 2 GHz\n\n")
    assert processor_name(facts) == "Fast CPU @ 2 GHz"
    assert name_of(torch.device("cpu")) == processor_name(CPU_FACTS)


def test_a_system_that_does_not_tell_the_model_names_the_architecture(
    tmp_path: Path,
) -> None:
    plain = platform.processor() or platform.machine()
    assert processor_name(tmp_path / "nowhere") == plain
    (tmp_path / "arm").write_text("processor\t: 0\nmodel name\t:\n")
    assert processor_name(tmp_path / "arm") == plain
