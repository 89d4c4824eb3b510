"""Kernels: numba only, pure functions over offsets and bytes.

Compiled code is cached where the user can write (`curate.compiled.cache_folder`), so that only the first run on a machine pays
for compiling. What else a process pays before its first kernel runs is cut here.
"""

from __future__ import annotations

import os
from typing import Any

from curate.compiled import cache_folder

__all__: list[str] = []


def _start() -> None:
    """Import numba, and make kernels in the cache load without what only a compiler needs."""
    # numba reads it when it is first imported.
    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder()))
    from numba.core.caching import FunctionCache
    from numba.core.runtime import rtsys

    load = FunctionCache.load_overload

    def load_compiled(cache: Any, signature: Any, context: Any) -> Any:
        # Before it looks into its cache numba learns all that Python code may call, and imports SciPy to see whether there is a
        # BLAS: 0.4 s. Machine code needs nothing of it but memory; a kernel that is not there has the compiler ask for it.
        if not cache._py_func.__module__.startswith("curate."):
            return load(cache, signature, context)
        rtsys.initialize(context)
        with cache._guard_against_spurious_io_errors():
            return cache._load_overload(signature, context)

    if hasattr(FunctionCache, "_load_overload") and hasattr(FunctionCache, "_guard_against_spurious_io_errors"):
        FunctionCache.load_overload = load_compiled


_start()
