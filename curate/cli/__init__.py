"""The command line: one command a job, made from the job's own fields. Errors become one line and an exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cyclopts import CycloptsError

from curate.catalog import JOBS
from curate.cli.base import app
from curate.cli.commands import OF_VALIDATE, run_validate
from curate.cli.jobs import add_job, run_job
from curate.cli.prompts import prompts
from curate.errors import CurateError, UsageError
from curate.jobs.rank_export import ExportTasks
from curate.jobs.rank_preferences import RankPreferences
from curate.jobs.rank_vote import RankVote
from curate.jobs.train import Train
from curate.jobs.validate import Validate
from curate.rank.page.command import rank

__all__ = ["app", "main", "run"]

INTERRUPTED = 130


def main() -> None:
    """The `curate` command.

    What a run makes lives to its end, mostly: looking for garbage after every 700 new objects, and once more at the exit, took
    a fifth of a short run and found next to nothing.
    """
    gc.freeze()
    gc.set_threshold(100_000)
    code = run(sys.argv[1:])
    gc.freeze()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say; the exit code. 0 well, 1 bad input, 2 bad usage, 3 too many rejects, 130 interrupted."""
    debug = "--debug" in arguments
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = app(list(arguments), exit_on_error=False, print_error=False)
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        return _fail(_usage_line(error), UsageError.exit_code)
    except CurateError as error:
        if debug:
            raise
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        kept = (
            ""
            if arguments[:1] in (["inspect"], ["validate"])
            else "; finished parts are kept: run the same command again to go on"
        )
        return _fail(f"stopped{kept}", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit:
        raise
    except BaseException as error:  # also a panic of polars, which is no Exception
        if debug:
            raise
        from curate.io.files import output_error

        if isinstance(error, OSError):
            return _fail(str(output_error(Path(str(error.filename or "?")), error)), 1)
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return _fail(f"internal error, a bug in curate: {what} (--debug shows where)", 1)


def _terminated(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"curate: {message}\n")
    return code


def _usage_line(error: CycloptsError) -> str:
    """A usage error as one line."""
    text = " ".join(str(error).split())
    return f"{text} (see `curate {' '.join(error.command_chain or ())} --help`)".replace("curate  ", "curate ")


app.command(rank)
# A campaign and its answers are told by what they hold, and pairs are no chats: these flags would do nothing.
_WITHOUT: dict[type, tuple[str, ...]] = {
    ExportTasks: ("format", "text_column"),
    RankPreferences: ("format", "text_column", "wrap"),
}
# The model is what votes there.
_ALSO: dict[type, dict[str, str]] = {RankVote: {"endpoint": "--by"}}

for _kind in JOBS:
    if _kind is Validate:
        add_job(_kind, run_validate, OF_VALIDATE, without=("write", "max_errors"))
    elif _kind is not Train:
        add_job(_kind, run_job, without=_WITHOUT.get(_kind, ()), also=_ALSO.get(_kind, {}))
app["synth"].command(prompts)
