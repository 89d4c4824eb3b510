"""`curate`, which kills itself at the n-th thing that it does to files of an index: `killed_index.py INDEX N ARGUMENTS...`.

N 0: not at all; then the number of things is written to `INDEX.events`. N -1: at the next file that is opened anywhere once
the second generation is there.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from curate.cli import run
from tests.engine import small  # noqa: F401 - small shards, so that a generation has several

EVENTS = ("open", "os.link", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")

if __name__ == "__main__":
    index, last = sys.argv[1], int(sys.argv[2])
    seen = 0

    def hook(event: str, given: tuple[Any, ...]) -> None:
        global seen
        # Folders are made with a lock in them before the work begins; that is not adding to it.
        if event in EVENTS and any(f"{index}/." in str(path) and ".lock" not in str(path) for path in given[:2]):
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)
        if last < 0 and event == "open" and os.path.isdir(f"{index}/generation-00002"):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    code = run(sys.argv[3:])
    Path(f"{index}.events").write_text(str(seen))
    sys.exit(code)
