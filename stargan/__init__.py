"""Multi-domain image-to-image translation with StarGAN.

``from stargan import Translator`` opens an exported generator; it loads neither Lightning
nor Hydra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stargan.inference import Translator

__version__ = "0.1.0"
__all__ = ["Translator", "__version__"]


def __getattr__(name: str) -> Any:
    # Late, so that `stargan --help` does not pay for torch.
    if name == "Translator":
        from stargan.inference import Translator

        return Translator
    raise AttributeError(f"module 'stargan' has no attribute {name!r}")
