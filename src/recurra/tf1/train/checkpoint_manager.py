"""tf.train.CheckpointManager: keeps the newest checkpoints of a folder, across runs of a program."""

from __future__ import annotations

import os
import time
from numbers import Integral
from typing import Any

from recurra.tf1 import checkpoint
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")


@tf_export("train.CheckpointManager", "contrib.checkpoint.CheckpointManager")
class CheckpointManager:
    """Saves a Checkpoint and deletes its oldest files, but for one in every `keep_checkpoint_every_n_hours`.

    What an earlier manager of the same folder kept is taken over. ValueError unless `max_to_keep` is positive or None.
    """

    def __init__(
        self,
        checkpoint: Any,
        directory: str,
        max_to_keep: int | None,
        keep_checkpoint_every_n_hours: float | None = None,
        checkpoint_name: str = "ckpt",
    ) -> None:
        if max_to_keep is not None and max_to_keep <= 0:
            raise ValueError(f"Expected a positive integer or `None` for `max_to_max_to_keep`, got {max_to_keep}.")
        self._checkpoint, self._directory = checkpoint, os.fspath(directory)
        self._max_to_keep, self._keep_every = max_to_keep, keep_checkpoint_every_n_hours
        self._prefix = os.path.join(self._directory, checkpoint_name)
        self._latest: str | None = None
        self._kept: dict[str, float] = {}  # by path, when it was written; oldest first
        self._last_preserved = time.time() - 1.0
        self._recover()

    def _recover(self) -> None:
        state = checkpoint.read_state(self._directory)
        if state is None:
            return
        now = time.time()
        self._latest = state.model_checkpoint_path
        self._last_preserved = min(state.last_preserved_timestamp or 0.0, now)
        paths = state.all_model_checkpoint_paths
        stamps = state.all_model_checkpoint_timestamps or (self._last_preserved,) * len(paths)
        pairs = [(path, min(stamp, now)) for path, stamp in zip(paths, stamps, strict=False)]
        self._kept = {path: stamp for path, stamp in pairs if stamp > self._last_preserved}

    @property
    def latest_checkpoint(self) -> str | None:
        """The newest checkpoint's prefix, None where there is none."""
        return self._latest

    @property
    def checkpoints(self) -> list[str]:
        """The prefixes that are kept, oldest first."""
        return list(self._kept)

    def save(self, checkpoint_number: Any = None) -> str:
        """Write the next checkpoint, numbered by the save counter or as given, and delete what is too old."""
        session = None if tf.executing_eagerly() else tf.get_default_session()
        counted = self._checkpoint._counted(session)
        if checkpoint_number is None:
            checkpoint_number = counted
        elif not isinstance(checkpoint_number, Integral):  # NumPy's, too: what a run gives back
            checkpoint_number = tf.train.global_step(session, checkpoint_number)
        path = self._checkpoint.write(f"{self._prefix}-{int(checkpoint_number)}", session)
        self._kept.pop(path, None)
        self._kept[path] = time.time()
        self._latest = path
        self._record()  # before anything is deleted: an interruption then finds the new one
        self._sweep()
        self._record()
        return path

    def _sweep(self) -> None:
        while self._max_to_keep and len(self._kept) > self._max_to_keep:
            path, stamp = next(iter(self._kept.items()))
            del self._kept[path]
            if self._keep_every and stamp - self._keep_every * 3600.0 >= self._last_preserved:
                self._last_preserved = stamp
                continue
            for file in checkpoint.checkpoint_files(path) if checkpoint.checkpoint_exists(path) else []:
                os.remove(file)

    def _record(self) -> None:
        assert self._latest is not None
        checkpoint.write_state(
            self._directory,
            self._latest,
            list(self._kept),
            save_relative_paths=True,
            all_model_checkpoint_timestamps=list(self._kept.values()),
            last_preserved_timestamp=self._last_preserved,
        )
