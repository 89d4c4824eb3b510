"""Ask a server many things, and print the number of each answer as it comes: a process to be killed.

`python -m tests.asking.ask_many URL CACHE COUNT`
"""

from __future__ import annotations

import sys
from pathlib import Path

from curate.models.ask import Answer, Ask
from curate.models.asker import Asker
from curate.models.cache import Cache
from curate.models.http import HttpBackend


def main() -> None:
    url, cache, count = sys.argv[1:]
    asks = (Ask("small", messages=({"role": "user", "content": f"q{i}"},)) for i in range(int(count)))
    with Asker(HttpBackend(url), Cache(Path(cache)), concurrency=16) as asker:
        for number, result in asker.answers(asks):
            assert isinstance(result, Answer)
            assert result.text == f"answer to q{number}"
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
