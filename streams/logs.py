"""Logs: structlog to standard output, for people or for machines; the libraries below us only when they warn."""

import logging
from typing import Any

import structlog

from streams.settings import Settings

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


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
    for name in ("faust", "mode", "aiokafka", "kafka", "httpx2", "openai"):
        logging.getLogger(name).setLevel(logging.WARNING)
