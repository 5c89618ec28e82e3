"""`make ordinary` runs the numeric tests as on a processor without AVX-512: is that true?"""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("ATEN_CPU_CAPABILITY") != "avx2", reason="of make ordinary alone"
    ),
    pytest.mark.skipif(
        platform.machine().lower() not in ("x86_64", "amd64"), reason="a processor of another kind"
    ),
]


def test_torch_computes_with_avx2() -> None:
    assert torch.backends.cpu.get_cpu_capability() == "AVX2"


def test_onednn_computes_with_avx2() -> None:
    """It has a setting of its own, read once per process, and says what it uses on stdout only."""
    code = "import torch; torch.rand(1, 8, 4, 4).to_mkldnn().relu()"
    words = {"ONEDNN_VERBOSE": "all"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | words, capture_output=True, text=True
    )
    (isa,) = [line for line in done.stdout.splitlines() if "cpu,isa:" in line]
    assert "AVX2" in isa
    assert "AVX-512" not in isa
