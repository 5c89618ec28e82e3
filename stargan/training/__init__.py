"""Training: an engine that runs the phases of any method, and what a run is around it.

::

    from stargan.training import train

    figures = train(["experiment=demo", "trainer.max_steps=2000"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stargan.training.run import train

__all__ = ["train"]


def __getattr__(name: str) -> Any:
    # Lightning and Hydra are loaded by those who train, not by those who read a checkpoint.
    if name == "train":
        from stargan.training.run import train

        return train
    raise AttributeError(f"module 'stargan.training' has no attribute '{name}'")
