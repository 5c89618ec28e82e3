"""Multi-domain image-to-image translation with StarGAN.

``from stargan import Translator`` opens an exported generator that translates images,
``from stargan import Sampler`` one that makes them from noise; they load neither Lightning nor
Hydra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stargan.errors import UserError

if TYPE_CHECKING:
    from stargan.inference.sampler import Sampler
    from stargan.inference.translator import Translator

__version__ = "0.1.0"
__all__ = ["Sampler", "Translator", "UserError", "__version__"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    # Late, so that `stargan --help` does not pay for torch.
    if name == "Translator":
        from stargan.inference.translator import Translator

        return Translator
    if name == "Sampler":
        from stargan.inference.sampler import Sampler

        return Sampler
    raise AttributeError(f"module 'stargan' has no attribute {name!r}")
