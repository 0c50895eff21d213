"""tf.logging: the logger "tensorflow", which writes INFO:tensorflow:… to standard error."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from typing import Any

from recurra.tf1.names import export, tf_export

DEBUG, INFO, WARN, ERROR, FATAL = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL
_counts: Counter[tuple[str, int]] = Counter()


class _Stderr(logging.StreamHandler):
    """Writes to the sys.stderr of the moment."""

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:
        """Ignored."""


def _logger() -> logging.Logger:
    logger = logging.getLogger("tensorflow")
    if not logger.handlers:
        handler = _Stderr()
        handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
        logger.addHandler(handler)
        logger.setLevel(WARN)
        logger.propagate = False
    return logger


for _name, _level in {"DEBUG": DEBUG, "INFO": INFO, "WARN": WARN, "ERROR": ERROR, "FATAL": FATAL}.items():
    export(_level, f"logging.{_name}")


@tf_export("logging.log")
def log(level: int, msg: Any, *args: Any, **kwargs: Any) -> None:
    _logger().log(level, msg, *args, **kwargs)


@tf_export("logging.debug")
def debug(msg: Any, *args: Any, **kwargs: Any) -> None:
    log(DEBUG, msg, *args, **kwargs)


@tf_export("logging.info")
def info(msg: Any, *args: Any, **kwargs: Any) -> None:
    log(INFO, msg, *args, **kwargs)


@tf_export("logging.warn", "logging.warning")
def warn(msg: Any, *args: Any, **kwargs: Any) -> None:
    log(WARN, msg, *args, **kwargs)


@tf_export("logging.error")
def error(msg: Any, *args: Any, **kwargs: Any) -> None:
    log(ERROR, msg, *args, **kwargs)


@tf_export("logging.fatal")
def fatal(msg: Any, *args: Any, **kwargs: Any) -> None:
    log(FATAL, msg, *args, **kwargs)


@tf_export("logging.vlog")
def vlog(level: int, msg: Any, *args: Any, **kwargs: Any) -> None:
    log(level, msg, *args, **kwargs)


@tf_export("logging.set_verbosity")
def set_verbosity(v: Any) -> None:
    _logger().setLevel(v)


@tf_export("logging.get_verbosity")
def get_verbosity() -> int:
    return _logger().getEffectiveLevel()


@tf_export("logging.flush")
def flush() -> None:
    sys.stderr.flush()


@tf_export("logging.log_every_n")
def log_every_n(level: int, msg: Any, n: int, *args: Any) -> None:
    log_if(level, msg, _count(msg) % n == 0, *args)


@tf_export("logging.log_first_n")
def log_first_n(level: int, msg: Any, n: int, *args: Any) -> None:
    log_if(level, msg, _count(msg) < n, *args)


@tf_export("logging.log_if")
def log_if(level: int, msg: Any, condition: bool, *args: Any) -> None:
    if condition:
        log(level, msg, *args)


def _count(msg: Any) -> int:
    caller = sys._getframe(2)
    key = (caller.f_code.co_filename, caller.f_lineno)
    _counts[key] += 1
    return _counts[key] - 1


@tf_export("logging.TaskLevelStatusMessage")
def task_level_status_message(msg: Any) -> None:
    error(msg)
