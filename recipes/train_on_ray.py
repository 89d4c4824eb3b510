"""Pretraining on the workers of a Ray cluster: each runs `python -m train` as torchrun would start it.

    python train_on_ray.py recipe.yaml --workers 8 --gpus

Needs `ray[train]` beside the extra [train] on every machine. The recipe, its `out` and its shards must be on a file system that
all workers share. Run it again to go on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any


def work(options: dict[str, Any]) -> None:
    """One worker: the same command with the place that it has among the others."""
    import ray.train.collective

    context = ray.train.get_context()
    rank, size = context.get_world_rank(), context.get_world_size()
    places = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": context.get_local_rank()}
    meeting = ray.train.collective.broadcast_from_rank_zero(_meeting_place() if rank == 0 else None)
    environment = {**os.environ, **{name: str(value) for name, value in {**places, **meeting}.items()}}
    done = subprocess.run([sys.executable, "-P", "-m", "train", options["recipe"]], env=environment, cwd=options["folder"])
    if done.returncode:
        raise RuntimeError(f"worker {rank}: training ended with exit code {done.returncode}; its output says why")


def _meeting_place() -> dict[str, Any]:
    """Where the workers find one another: this machine, at a port that is free."""
    import ray.util

    with socket.socket() as free:
        free.bind(("", 0))
        return {"MASTER_ADDR": ray.util.get_node_ip_address(), "MASTER_PORT": free.getsockname()[1]}


def main() -> None:
    """Run the recipe on as many workers as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpus", action="store_true", help="one GPU a worker")
    options = parser.parse_args()
    from ray.train import ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    given = {"recipe": str(Path(options.recipe).absolute()), "folder": str(Path.cwd())}
    scaling = ScalingConfig(num_workers=options.workers, use_gpu=options.gpus)
    DataParallelTrainer(work, train_loop_config=given, scaling_config=scaling).fit()


if __name__ == "__main__":
    main()
