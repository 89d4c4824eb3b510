"""`python -P -m train RECIPE`: run a training recipe, or check it, or print the JSON Schema of one."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import tempfile
import warnings
from pathlib import Path

from train.config import schema_text
from train.distributed import own_device, rank
from train.errors import Interrupted, TrainError
from train.recipe import load_recipe
from train.sizes import table


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns its exit code: 0, 1 (input), 2 (usage), 130 (interrupted)."""
    parser = argparse.ArgumentParser(prog="python -P -m train", description="Train a language model from a recipe.")
    parser.add_argument("recipe", nargs="?", help="recipe file, YAML or JSON (schemas/train.json describes it)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        help="set one field of the recipe, e.g. stages.0.steps=10",
    )
    parser.add_argument(
        "--check", action="store_true", help="read all data, show examples, try two steps a stage; keep nothing"
    )
    parser.add_argument("--events", action="store_true", help="print progress as one JSON object a line")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of a recipe")
    parser.add_argument("--sizes", action="store_true", help="print shapes from 1M to 8B parameters and what each takes")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    if options.schema:
        sys.stdout.write(schema_text())
        return 0
    if options.sizes:
        sys.stdout.write(table())
        return 0
    if not options.recipe:
        parser.error("name a recipe file")
    try:
        recipe = load_recipe(options.recipe, options.set)
        _quiet()
        from train.chain import checked, run_chain
        from train.report import Reporter
        from train.stage import Interrupts

        together = int(os.environ.get("WORLD_SIZE", "1")) > 1
        report = Reporter(options.events, None if rank() == 0 else open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        interrupts = Interrupts(patient=together)
        interrupts.install()
        if options.check:
            if together:
                raise TrainError("--check runs in one process; leave torchrun out")
            with tempfile.TemporaryDirectory(prefix="train-check-") as folder:
                run_chain(checked(recipe, Path(folder) / "out"), report, interrupts, check=True)
        else:
            run_chain(recipe, report, interrupts)
    except TrainError as error:
        if options.debug:
            raise
        if rank() == 0 or not isinstance(error, Interrupted):
            sys.stderr.write(f"{'' if isinstance(error, Interrupted) else 'error: '}{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("stopped; finished stages and the last checkpoint are kept, the same command goes on from there\n")
        return Interrupted.exit_code
    except RuntimeError as error:
        if options.debug or not (said := _explain(str(error))):
            raise
        sys.stderr.write(f"error: {said}\n")
        return 1
    except OSError as error:
        if options.debug:
            raise
        sys.stderr.write(f"error: {error.filename or recipe.out}: {error.strerror or error}\n")
        return 1
    return 0


def _explain(message: str) -> str:
    """What to do about an error of torch that is no bug of ours, or nothing."""
    if re.search("out of memory|can't allocate memory|not enough memory", message):
        return "out of memory; lower batch.micro (the result stays the same), or sequence or max_length"
    if re.search(r"C\+\+ compiler", message):
        return "compile: torch finds no C++ compiler; install one, or set compile to false"
    return ""


def _quiet() -> None:
    """Before torch and the libraries around it are imported: no network, no telemetry, no bars, no chatter."""
    for name in (
        "HF_HUB_OFFLINE",
        "HF_DATASETS_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_HUB_DISABLE_TELEMETRY",
        "HF_HUB_DISABLE_PROGRESS_BARS",
    ):
        os.environ[name] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # One device a process. With several in sight Trainer would spread each batch over them with DataParallel, which TRL
    # refuses.
    os.environ["CUDA_VISIBLE_DEVICES"] = own_device()
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|accelerate|datasets)\b")
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for library in ("accelerate", "datasets", "trl"):
        logging.getLogger(library).setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
