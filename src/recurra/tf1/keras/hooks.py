"""tf.keras.callbacks: what happens before and after epochs and batches."""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1.keras import state
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

tf = space("")
_TWINS = {"acc": "accuracy", "accuracy": "acc", "val_acc": "val_accuracy", "val_accuracy": "val_acc"}


class Logs(dict[str, Any]):
    """Values by name; "acc" and "accuracy" (which releases name differently) mean the same."""

    def __missing__(self, key: str) -> Any:
        twin = _TWINS.get(key)
        if twin is not None and twin in self.keys():
            return self[twin]
        raise KeyError(key)

    def get(self, key: Any, default: Any = None) -> Any:
        return self[key] if key in self or _TWINS.get(key) in self.keys() else default


@tf_export("keras.callbacks.Callback")
class Callback:
    """Override what is needed; `self.model` and `self.params` are there."""

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}
        self.validation_data: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self.model = model

    def on_train_begin(self, logs: Any = None) -> None:
        pass

    def on_train_end(self, logs: Any = None) -> None:
        pass

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        pass

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        pass

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        pass

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        pass

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.on_batch_end(batch, logs)


@tf_export("keras.callbacks.History")
class History(Callback):
    """What `fit` gives: `history` holds the values of every epoch."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = Logs()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch.append(epoch)
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)


class ProgbarLogger(Callback):
    """Prints a line an epoch."""

    def __init__(self, count_mode: str = "samples", stateful_metrics: Any = None) -> None:
        super().__init__()

    def on_train_begin(self, logs: Any = None) -> None:
        train, checked = self.params.get("samples"), self.params.get("validation_samples")
        if train is not None:
            more = f", validate on {checked} samples" if checked is not None else " samples"
            print(f"Train on {train}{' samples' if checked is not None else ''}{more}")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begun = time.time()
        print(f"Epoch {epoch + 1}/{self.params['epochs']}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        passed = time.time() - self.begun
        values = " - ".join(f"{k}: {v:.4f}" for k, v in (logs or {}).items() if np.isscalar(v))
        count = self.params.get("samples") or self.params.get("steps")
        bar = (
            f"{count}/{count} [==============================] - "
            if self.params.get("verbose") == 1
            else f"{count}/{count} - "
        )
        print(f"{bar}{passed:.0f}s - {values}")
        sys.stdout.flush()


export(ProgbarLogger, "keras.callbacks.ProgbarLogger", "keras.callbacks.BaseLogger")


class CallbackList:
    """All callbacks of a run, with the history and the printed lines."""

    def __init__(self, given: Any, model: Any, verbose: int, epochs: int, batches: Any, validated: bool):
        model.history = History()
        self.callbacks = [*(given if isinstance(given, list | tuple) else [given] if given else []), model.history]
        if verbose:
            self.callbacks.append(ProgbarLogger())
        params = {"epochs": epochs, "nb_epoch": epochs, "verbose": verbose, "batch_size": batches.size,
                  "samples": batches.samples, "steps": batches.steps, "do_validation": validated,
                  "metrics": ["loss"]}  # fmt: skip
        for callback in self.callbacks:
            callback.set_params(params)
            callback.set_model(model)

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith("on_"):
            raise AttributeError(name)
        batch = name.replace("on_batch", "on_train_batch")

        def call(*args: Any) -> None:
            for callback in self.callbacks:
                found = getattr(callback, batch, None) or getattr(callback, name, None)
                if found is not None:
                    found(*args)

        return call


class _Monitor(Callback):
    """Watches one value, which is to fall ("min") or to grow ("max")."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        super().__init__()
        self.monitor = monitor
        grows = mode == "max" or (mode != "min" and ("acc" in monitor or monitor.startswith("fmeasure")))
        self.sign = 1.0 if grows else -1.0
        self.min_delta = abs(min_delta)
        self.best = -np.inf * self.sign

    def better(self, value: float) -> bool:
        return self.sign * (value - self.best) > self.min_delta

    def value(self, logs: Any) -> Any:
        found = Logs(logs or {}).get(self.monitor)
        if found is None:
            shown = ",".join(logs or {})
            tf.logging.warning("%s is conditioned on `%s`, which is not available. Available metrics are: %s",
                               type(self).__name__, self.monitor, shown)  # fmt: skip
        return found


@tf_export("keras.callbacks.EarlyStopping")
class EarlyStopping(_Monitor):
    """Ends the run when a value has not improved for more than `patience` epochs."""

    def __init__(self, monitor: str = "val_loss", min_delta: float = 0, patience: int = 0, verbose: int = 0,
                 mode: str = "auto", baseline: Any = None, restore_best_weights: bool = False) -> None:  # fmt: skip
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.stopped_epoch = restore_best_weights, 0

    def on_train_begin(self, logs: Any = None) -> None:
        self.wait, self.best_weights = 0, None
        self.best = self.baseline if self.baseline is not None else -np.inf * self.sign

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        current = self.value(logs)
        if current is None:
            return
        if self.better(current):
            self.best, self.wait = current, 0
            self.best_weights = self.model.get_weights() if self.restore_best_weights else None
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.stopped_epoch, self.model.stop_training = epoch, True
            if self.best_weights is not None:
                self.model.set_weights(self.best_weights)

    def on_train_end(self, logs: Any = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1:05d}: early stopping")


@tf_export("keras.callbacks.ModelCheckpoint")
class ModelCheckpoint(_Monitor):
    """Saves the model after epochs; the path may name {epoch} and values."""

    def __init__(self, filepath: Any, monitor: str = "val_loss", verbose: int = 0, save_best_only: bool = False,
                 save_weights_only: bool = False, mode: str = "auto", period: int = 1, save_freq: Any = "epoch",
                 **kwargs: Any) -> None:  # fmt: skip
        super().__init__(monitor, mode)
        if save_freq != "epoch" or kwargs:
            raise NotImplementedError(f"keras.callbacks.ModelCheckpoint with {['save_freq', *kwargs][-1]}")
        self.filepath, self.verbose, self.period = str(filepath), verbose, period
        self.save_best_only, self.save_weights_only, self.waited = save_best_only, save_weights_only, 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.waited += 1
        if self.waited < self.period:
            return
        self.waited = 0
        path = self.filepath.format_map(_Filled(Logs({"epoch": epoch + 1, **(logs or {})})))
        if self.save_best_only:
            current = self.value(logs)
            if current is None or not self.better(current):
                return
            if self.verbose:
                print(f"\nEpoch {epoch + 1:05d}: {self.monitor} improved from {self.best:0.5f} to {current:0.5f}, "
                      f"saving model to {path}")  # fmt: skip
            self.best = current
        elif self.verbose:
            print(f"\nEpoch {epoch + 1:05d}: saving model to {path}")
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)


class _Filled(dict[str, Any]):
    """format_map's view of logs, the twin names included."""

    def __missing__(self, key: str) -> Any:
        return self.logs[key]

    def __init__(self, logs: Logs) -> None:
        super().__init__(logs)
        self.logs = logs


@tf_export("keras.callbacks.LambdaCallback")
class LambdaCallback(Callback):
    """Functions as a callback."""

    def __init__(self, on_epoch_begin: Any = None, on_epoch_end: Any = None, on_batch_begin: Any = None,
                 on_batch_end: Any = None, on_train_begin: Any = None, on_train_end: Any = None,
                 **kwargs: Any) -> None:  # fmt: skip
        super().__init__()
        given = {"on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end, "on_batch_begin": on_batch_begin,
                 "on_batch_end": on_batch_end, "on_train_begin": on_train_begin,
                 "on_train_end": on_train_end}  # fmt: skip
        vars(self).update({k: v for k, v in given.items() if v is not None}, **kwargs)


@tf_export("keras.callbacks.LearningRateScheduler")
class LearningRateScheduler(Callback):
    """Sets the learning rate at the begin of an epoch: schedule(epoch) or schedule(epoch, rate)."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        before = float(tf.keras.backend.get_value(self.model.optimizer.lr))
        try:
            rate = self.schedule(epoch, before)
        except TypeError:
            rate = self.schedule(epoch)
        tf.keras.backend.set_value(self.model.optimizer.lr, float(rate))
        if self.verbose:
            print(f"\nEpoch {epoch + 1:05d}: LearningRateScheduler reducing learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs["lr"] = float(tf.keras.backend.get_value(self.model.optimizer.lr))


@tf_export("keras.callbacks.ReduceLROnPlateau")
class ReduceLROnPlateau(_Monitor):
    """Multiplies the learning rate by `factor` when a value has not improved for `patience` epochs."""

    def __init__(self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10, verbose: int = 0,
                 mode: str = "auto", min_delta: float = 1e-4, cooldown: int = 0, min_lr: float = 0,
                 **kwargs: Any) -> None:  # fmt: skip
        super().__init__(monitor, mode, kwargs.get("epsilon", min_delta))
        if factor >= 1.0:
            raise ValueError("ReduceLROnPlateau does not support a factor >= 1.0.")
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr

    def on_train_begin(self, logs: Any = None) -> None:
        self.wait = self.cooling = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        rate = float(tf.keras.backend.get_value(self.model.optimizer.lr))
        if logs is not None:
            logs["lr"] = rate
        current = self.value(logs)
        if current is None:
            return
        if self.cooling:
            self.cooling, self.wait = self.cooling - 1, 0
        if self.better(current):
            self.best, self.wait = current, 0
        elif not self.cooling:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                tf.keras.backend.set_value(self.model.optimizer.lr, max(rate * self.factor, self.min_lr))
                self.cooling, self.wait = self.cooldown, 0
                if self.verbose:
                    print(f"\nEpoch {epoch + 1:05d}: ReduceLROnPlateau reducing learning rate to "
                          f"{max(rate * self.factor, self.min_lr)}.")  # fmt: skip


@tf_export("keras.callbacks.CSVLogger")
class CSVLogger(Callback):
    """A line of values an epoch."""

    def __init__(self, filename: str, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.separator, self.append = filename, separator, append

    def on_train_begin(self, logs: Any = None) -> None:
        self.begun = self.append and os.path.exists(self.filename)
        if not self.append:
            open(self.filename, "w").close()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        row = {"epoch": epoch, **{k: (logs or {})[k] for k in sorted(logs or {})}}
        with open(self.filename, "a", newline="") as file:
            writer = csv.DictWriter(file, row, delimiter=self.separator)
            if not self.begun:
                writer.writeheader()
            writer.writerow(row)
        self.begun = True


@tf_export("keras.callbacks.TerminateOnNaN")
class TerminateOnNaN(Callback):
    """Ends the run at a loss that is no number."""

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        if not np.isfinite((logs or {}).get("loss", 0.0)):
            print(f"Batch {batch}: Invalid loss, terminating training")
            self.model.stop_training = True


@tf_export("keras.callbacks.TensorBoard")
class TensorBoard(Callback):
    """Writes the epochs' values (and, once, the graph) as event files; histograms and images are not written."""

    def __init__(self, log_dir: Any = "logs", histogram_freq: int = 0, batch_size: int = 32, write_graph: bool = True,
                 **kwargs: Any) -> None:  # fmt: skip
        super().__init__()
        if histogram_freq:
            raise NotImplementedError("keras.callbacks.TensorBoard with histogram_freq is not implemented in recurra")
        self.log_dir, self.write_graph = str(log_dir), write_graph

    def on_train_begin(self, logs: Any = None) -> None:
        graph = state.get_session().graph if self.write_graph else None
        self.writer = tf.summary.FileWriter(self.log_dir, graph)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for key, value in (logs or {}).items():
            summary = tf.Summary(value=[tf.Summary.Value(tag=key, simple_value=float(value))])
            self.writer.add_summary(summary, epoch)
        self.writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        self.writer.close()
