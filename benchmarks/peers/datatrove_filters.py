"""datatrove's four quality filters over one JSONL file, in one process: IN OUT_FOLDER."""

import shutil
import sys

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

if __name__ == "__main__":
    source, out = sys.argv[1:]
    shutil.rmtree(out, ignore_errors=True)
    folder, _, name = source.rpartition("/")
    LocalPipelineExecutor(
        [
            JsonlReader(folder, glob_pattern=name),
            GopherRepetitionFilter(),
            GopherQualityFilter(),
            C4QualityFilter(),
            FineWebQualityFilter(),
            JsonlWriter(f"{out}/kept", compression=None),
        ],
        tasks=1,
        workers=1,
        logging_dir=f"{out}/log",
    ).run()
