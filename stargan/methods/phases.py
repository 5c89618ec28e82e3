"""The words in which a method says how it is trained; ``stargan.training.engine`` does it.

A method is networks, phases and losses. ``Group`` says which networks share an Adam, ``Update``
which loss moves them and how often, ``Phase`` which updates belong together and how long they last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

from stargan.contracts import Batch

Terms = dict[str, Tensor]
"""Raw, unweighted values by name (``D/adv``, ``G/rec``), scalars on the device."""

Shared = dict[str, Tensor]
"""What the updates of a step have in common. Entries whose name begins with ``fake`` are images of
the generators: monitors look at them."""

Loss = Callable[..., tuple[Tensor, Terms]]
"""``loss(batch, shared, **lazy)``: the scalar to minimise and its raw terms. Pure, and one graph
for ``torch.compile``: no random numbers of its own, no step count, nothing kept."""


class Average(NamedTuple):
    """A running average of a network's weights.

    Attributes:
        kept: attribute of the method that holds the average, a copy of the network.
        of: attribute of the method that holds the network.
        decay: share of the old average that is kept at each step of its group.
    """

    kept: str
    of: str
    decay: float


class Group(NamedTuple):
    """Networks that share an Adam and step together.

    Attributes:
        networks: attributes of the method.
        lr: learning rate at the schedule's beginning.
        betas, eps: of Adam.
        eps_hat: whether ``eps`` is Kingma and Ba's epsilon hat (ICLR 2015, end of section 2): added
            to the root of the second moment before its bias is corrected, as in Keras. PyTorch's
            is added after it.
        averages: updated after each step of the group.
    """

    networks: tuple[str, ...]
    lr: float
    betas: tuple[float, float] = (0.5, 0.999)
    eps: float = 1e-8
    eps_hat: bool = False
    averages: tuple[Average, ...] = ()


class Update(NamedTuple):
    """One optimizer step of one group.

    Attributes:
        group: name of the group, also the prefix of its terms: ``D`` of ``D/adv``.
        loss: see ``Loss``.
        every: taken in every so many-th step of the phase (``n_critic`` of the generator).
        round: steps that ``every`` counts as one: in a round that is due the update is taken in
            each of its steps.
        lazy: names of the flags that the loss takes, and how often each is True, counted in the
            steps of the group: the first of every so many. Karras et al., StyleGAN2, CVPR 2020,
            appendix B.
        lr: instead of the group's, not scheduled.
        ramp: steps of the phase over which the learning rate rises linearly to its value.
    """

    group: str
    loss: Loss
    every: int = 1
    round: int = 1
    lazy: Mapping[str, int] = {}
    lr: float | None = None
    ramp: int = 0


class Until(NamedTuple):
    """How long a phase lasts: whichever of these comes first.

    Attributes:
        steps: training steps.
        share: of the whole run: as many of its steps and, where the run has a time limit, as much
            of its time, counted from the phase's own beginning.
    """

    steps: int | None = None
    share: float = 1.0


class Phase(NamedTuple):
    """What is done in every training step for a while.

    Attributes:
        name: shown while it runs.
        updates: in their order within a step. Only the networks of the group that steps have
            gradients. Without any, a step makes what is shared and nothing else: passes forward,
            which move running statistics.
        shared: makes what the updates have in common.
        shared_by: the group whose loss needs the graph of ``shared``; in a step without its update
            no graph is made, and all other losses get ``shared`` without graph.
        until: how long it lasts; None: to the end of the run.
        evaluating: networks that are in evaluation mode while it lasts (running statistics of batch
            norm, no dropout); all others are in training mode.
    """

    name: str
    updates: tuple[Update, ...]
    shared: Callable[[Batch], Shared] | None = None
    shared_by: str = ""
    until: Until | None = None
    evaluating: tuple[str, ...] = ()
