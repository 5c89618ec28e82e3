"""Several processes: one reduction per update, the first process decides, no process waits in NCCL.

Gradients are averaged by one flat all-reduce of the networks that step (as stylegan3 does), not by
torch's ``DistributedDataParallel`` around the whole method: that looks for unused parameters at
every backward and sends the gradients of all networks, zeros too; around each network it does not
know the passes that are no ``forward`` (gradient penalties).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from stargan.errors import Plain, UserError

PATIENCE = timedelta(days=7)
"""How long processes wait for the first one while it evaluates or writes."""


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class OneReduction(DDPStrategy):
    """Lightning's DDP without the wrapper around the module: the engine reduces by itself."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.patient: Any = None

    def setup_distributed(self) -> None:
        """Also a group over sockets whose members may wait for days."""
        super().setup_distributed()
        if self.patient is None:
            self.patient = dist.new_group(backend="gloo", timeout=PATIENCE)

    def configure_ddp(self) -> None:
        """All processes begin with the weights of the first."""
        assert isinstance(self.model, nn.Module)
        with torch.no_grad():
            for tensor in (*self.model.parameters(), *self.model.buffers()):
                dist.broadcast(tensor, src=0)

    def _register_ddp_hooks(self) -> None:
        pass

    def wait(self) -> None:
        """Until all processes are here. Unlike a barrier of NCCL it knows no timeout of minutes."""
        dist.barrier(group=self.patient)


def wait_for_all(trainer: Any) -> None:
    """Until all processes are here, however long the first one takes."""
    strategy = trainer.strategy
    if isinstance(strategy, OneReduction):
        strategy.wait()


def average_gradients(parameters: Iterable[Tensor], statistics: Sequence[Tensor]) -> None:
    """The mean over all processes of the gradients, and of running statistics, in one message.

    Args:
        parameters: of the networks that step. Those without gradient have none in any process.
        statistics: see ``running_statistics``.
    """
    tensors = [p.grad for p in parameters if p.grad is not None] + list(statistics)
    if not tensors:
        return
    flat = torch.cat([t.detach().flatten().float() for t in tensors])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    parts = flat.split([t.numel() for t in tensors])
    with torch.no_grad():
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


def running_statistics(module: nn.Module) -> list[Tensor]:
    """Running means and variances of batch norm: each process sees other images."""
    return [
        tensor
        for layer in module.modules()
        if isinstance(layer, _BatchNorm)
        for tensor in (layer.running_mean, layer.running_var)
        if tensor is not None
    ]


def of_all_processes(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Tensors that each process has of its own, by process; copies on the CPU. All call it."""
    found: list[dict[str, Tensor]] = [{} for _ in range(world_size())]
    for name, tensor in tensors.items():
        all_of_it = [tensor.detach()]
        if len(found) > 1:
            all_of_it = [torch.empty_like(tensor) for _ in found]
            dist.all_gather(all_of_it, tensor.detach().contiguous())
        for process, one in zip(found, all_of_it, strict=True):
            process[name] = one.to("cpu", copy=True)
    return found


def hear(stop: bool, seconds: float, rank: int, device: torch.device) -> tuple[bool, float]:
    """What all processes agree on: whether any of them wants to stop, and the first one's clock."""
    if world_size() == 1:
        return stop, seconds
    said = torch.tensor(
        [float(stop), seconds if rank == 0 else -1.0], dtype=torch.float64, device=device
    )
    dist.all_reduce(said, dist.ReduceOp.MAX)
    wanted, clock = said.tolist()
    return wanted > 0, clock


def cluster() -> tuple[int, int] | None:
    """(processes on this node, nodes) where torchrun or SLURM has started the processes already.

    Raises:
        UserError: the processes are spread unevenly over the nodes.
    """
    if TorchElasticEnvironment.detect():
        here, total = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    elif SLURMEnvironment.detect():
        total = int(os.environ["SLURM_NTASKS"])
        nodes = int(os.environ.get("SLURM_JOB_NUM_NODES", os.environ.get("SLURM_NNODES", "1")))
        here = -(-total // nodes)
    else:
        return None
    if total % here:
        raise UserError(
            f"{total} processes do not spread evenly over the nodes with {here} on this one: "
            "start as many on each."
        )
    return here, total // here


def count_processes(trainer: Plain) -> int:
    """How many processes a trainer's settings ask for, on all nodes together."""
    devices = trainer["devices"]
    if isinstance(devices, list):
        count = len(devices)
    elif str(devices).isdecimal():
        count = int(devices)
    else:  # auto, -1
        count = torch.cuda.device_count() if trainer["accelerator"] != "cpu" else 1
    return max(count, 1) * int(trainer["num_nodes"])


def place(trainer: Plain) -> Plain:
    """The trainer's settings with devices, nodes and strategy as the processes really are.

    Raises:
        UserError: a strategy that cannot train several networks in turn, or devices that
            contradict torchrun or SLURM.
    """
    settings = dict(trainer)
    started = cluster()
    if started is not None:
        here, nodes = started
        asked = count_processes(settings)
        if asked not in (1, here * nodes):
            raise UserError(
                f"trainer.devices={settings['devices']} on {settings['num_nodes']} nodes asks for "
                f"{asked} processes, but {here * nodes} were started: leave both out."
            )
        if asked == 1:
            settings |= {"devices": here, "num_nodes": nodes}
    if settings["strategy"] not in ("auto", "ddp"):
        raise UserError(
            f"trainer.strategy={settings['strategy']} cannot train several networks in turn: "
            "auto and ddp can."
        )
    if count_processes(settings) > 1:
        settings["strategy"] = OneReduction()
    else:
        settings["strategy"] = "auto"
    return settings
