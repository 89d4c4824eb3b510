"""datatrove's MinHash deduplication with its defaults, four stages in one process: JSONL file, output folder."""

import shutil
import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter


def main(source: Path, out: Path) -> None:
    config = MinhashConfig()

    def run(name: str, tasks: int, *steps: object) -> None:
        logs = str(out / "logs" / name)
        LocalPipelineExecutor(list(steps), tasks=tasks, workers=1, logging_dir=logs).run()

    def rows() -> JsonlReader:
        return JsonlReader(str(source.parent), glob_pattern=source.name)

    signatures, buckets, gone = (str(out / name) for name in ("signatures", "buckets", "gone"))
    run("sign", 1, rows(), MinhashDedupSignature(output_folder=signatures, config=config))
    run("match", config.num_buckets, MinhashDedupBuckets(input_folder=signatures, output_folder=buckets, config=config))
    run("cluster", 1, MinhashDedupCluster(input_folder=buckets, output_folder=gone, config=config))
    run("drop", 1, rows(), MinhashDedupFilter(input_folder=gone), JsonlWriter(str(out / "kept"), compression=None))


if __name__ == "__main__":
    target = Path(sys.argv[2])
    shutil.rmtree(target, ignore_errors=True)
    main(Path(sys.argv[1]), target)
