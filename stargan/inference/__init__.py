"""Using trained models: photos to photos, noise to images. No Lightning, no Hydra."""

from __future__ import annotations

from stargan.inference.sampler import Sampler
from stargan.inference.translator import Translator

__all__ = ["Sampler", "Translator"]
