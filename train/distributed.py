"""Several processes training one model, as torchrun or accelerate start them: who this one is, and what they agree on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from train.errors import TrainError

if TYPE_CHECKING:
    import torch

__all__ = ["ALONE", "World", "open_world", "own_device", "rank", "replicate", "shard", "whole_states"]


def rank() -> int:
    """This process among those that were started together."""
    return int(os.environ.get("RANK", "0"))


def own_device() -> str:
    """The one CUDA device that this process may see: its own of those in sight, by its number on this machine."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if seen is None:
        return str(local)
    devices = seen.split(",")
    return devices[local] if local < len(devices) else seen


@dataclass(frozen=True)
class World:
    """The processes of a run. What they agree on travels over gloo, between CPUs: asking costs the device no wait."""

    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def sum(self, *values: float) -> list[float]:
        """Each value summed over all processes."""
        if self.size == 1:
            return list(values)
        import torch
        from torch import distributed

        tensor = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(tensor)
        summed: list[float] = tensor.tolist()
        return summed

    def sum_tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        """`tensor` summed over all processes, where it is."""
        if self.size > 1:
            from torch import distributed

            distributed.all_reduce(tensor)
        return tensor

    def agree(self, value: Any) -> Any:
        """What the main process says `value` is."""
        if self.size == 1:
            return value
        import torch
        from torch import distributed

        said = [value]
        distributed.broadcast_object_list(said, src=0, device=torch.device("cpu"))
        return said[0]

    def wait(self) -> None:
        """Go on when all are here."""
        self.sum(0.0)


ALONE = World()


def open_world(device: str) -> World:
    """The processes that this one was started with by torchrun or accelerate; alone without them.

    Raises TrainError when they cannot find one another.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    from torch import distributed

    if not distributed.is_initialized():
        try:
            distributed.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
        except (RuntimeError, ValueError) as error:
            said = str(error).splitlines()[0]
            raise TrainError(f"WORLD_SIZE is {size} and the processes do not find one another ({said})") from error
    return World(distributed.get_rank(), size)


def replicate(model: torch.nn.Module) -> torch.nn.Module:
    """`model` in DistributedDataParallel: gradients are averaged over the processes while they are computed."""
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(model)


def shard(model: torch.nn.Module, blocks: torch.nn.ModuleList, world: World, device: str, bfloat16: bool) -> None:
    """Spread the weights of `model`, its gradients and what the optimizer will keep over the processes (FSDP2), in place."""
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(device, (world.size,))
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bfloat16 else MixedPrecisionPolicy()
    for module in [*blocks, model]:
        fully_shard(module, mesh=mesh, mp_policy=policy)


def whole_states(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Any], dict[str, Any]]:
    """The states of a sharded model and its optimizer, whole, on the CPU of the main process; empty on the others."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

    return get_state_dict(model, optimizer, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
