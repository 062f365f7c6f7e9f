"""How a build tells where it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Told what happens next, the steps done and the steps in all."""
