"""Logs as JSON lines: one line is one fact, with the call's id and epoch bound by context.

What people said is never logged, and nothing per audio chunk above DEBUG.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TextIO

import msgspec

Fact = object  # anything that JSON takes; the rest is written as its repr
LEVELS = ("debug", "info", "warning", "error")

_bound: ContextVar[Mapping[str, Fact]] = ContextVar("trunkline_log_facts", default=MappingProxyType({}))
_json = msgspec.json.Encoder(enc_hook=repr)


class Log:
    """A logger whose facts are keywords: `log.info("call placed", call_id=call, worker=worker)`."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, message: str, /, **facts: Fact) -> None:
        self._write(logging.DEBUG, message, facts)

    def info(self, message: str, /, **facts: Fact) -> None:
        self._write(logging.INFO, message, facts)

    def warning(self, message: str, /, *, exc_info: bool | BaseException = False, **facts: Fact) -> None:
        self._write(logging.WARNING, message, facts, exc_info)

    def error(self, message: str, /, *, exc_info: bool | BaseException = False, **facts: Fact) -> None:
        """exc_info: with the traceback of the exception that is being handled."""
        self._write(logging.ERROR, message, facts, exc_info)

    def critical(self, message: str, /, **facts: Fact) -> None:
        self._write(logging.CRITICAL, message, facts)

    def exception(self, message: str, /, **facts: Fact) -> None:
        self._write(logging.ERROR, message, facts, True)

    def _write(
        self, level: int, message: str, facts: Mapping[str, Fact], exc_info: bool | BaseException = False
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", message, exc_info=exc_info, extra={"facts": {**_bound.get(), **facts}})


def get(name: str) -> Log:
    return Log(logging.getLogger(name))


@contextmanager
def bound(**facts: Fact) -> Iterator[None]:
    """Every line logged inside, in this task and those it starts, carries these facts."""
    token = _bound.set({**_bound.get(), **facts})
    try:
        yield
    finally:
        _bound.reset(token)


class JsonLines(logging.Formatter):
    """at, level, service, worker, logger, message, then the facts; a fact that clashes gets a trailing underscore."""

    def __init__(self, service: str, worker: str) -> None:
        super().__init__()
        self._service = service
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Fact] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "worker": self._worker,
            "logger": record.name,
            "message": record.getMessage(),
        }
        facts: Mapping[str, Fact] = getattr(record, "facts", None) or _bound.get()
        for key, value in facts.items():
            line[key if key not in line else f"{key}_"] = value
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _json.encode(line).decode()


def configure(level: str, service: str, worker: str, stream: TextIO | None = None) -> None:
    """Sends every logger of this process to stream (standard error) as JSON lines.

    level: one of LEVELS; other libraries' loggers are heard from WARNING on. Raises ValueError.
    """
    if level not in LEVELS:
        raise ValueError(f"log level must be one of {', '.join(LEVELS)}, not {level!r}")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(service, worker))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("trunkline").setLevel(level.upper())
