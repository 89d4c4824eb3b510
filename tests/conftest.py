"""One profile of Hypothesis for all tests: the same cases every time, and no limit on how long one takes on a busy machine."""

from hypothesis import settings

settings.register_profile("curate", derandomize=True, deadline=None)
settings.load_profile("curate")
