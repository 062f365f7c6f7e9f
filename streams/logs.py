"""Logs: structlog to standard output, for people or for machines; the libraries below us only when they warn."""

import logging
import time
from collections.abc import Callable
from typing import Any

import structlog

from streams.settings import Settings

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_MOST = 1_000
"""Different sayings remembered."""


def configure_logs(settings: Settings) -> None:
    """Set up once, when a process starts."""
    last: list[Any] = [structlog.dev.ConsoleRenderer(colors=False)]
    if settings.log_format == "json":
        last = [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.log_level]),
        logger_factory=structlog.PrintLoggerFactory(),
    )
    # A logger left at DEBUG under a quiet handler still costs 10 % of a Faust worker (its records are made).
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(OnceInAWhile())
    for name in ("faust", "mode", "aiokafka", "kafka", "httpx2", "openai"):
        logging.getLogger(name).setLevel(logging.WARNING)


class OnceInAWhile(logging.Filter):
    """Lets a library say the same thing once in `every_s` seconds, and says how often it was said in between.

    The Kafka client tells of a broker that is away some fifty times a second, in each of its connections.
    """

    def __init__(self, every_s: float = 5.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s, self._monotonic = every_s, monotonic
        self._said: dict[tuple[str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to let it pass; what passes is told by its template, whatever is in it."""
        key, now = (record.name, record.msg), self._monotonic()
        last, left_out = self._said.get(key, (-self._every_s, 0))
        if now - last < self._every_s:
            self._said[key] = last, left_out + 1
            return False
        if len(self._said) > _MOST:
            self._said.clear()
        self._said[key] = now, 0
        if left_out:
            record.msg = f"{record.msg} (and {left_out} times more)"
        return True
