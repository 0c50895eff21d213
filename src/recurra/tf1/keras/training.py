"""compile, fit, evaluate and predict of Keras' models."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.tf1.keras import hooks as calls
from recurra.tf1.keras import loss_functions as known
from recurra.tf1.keras import metric_objects, state, update_rules
from recurra.tf1.keras.feeding import Batches, Data, class_weights
from recurra.tf1.keras.layer import mask_of
from recurra.tf1.namespace import space

tf = space("")


class _Step:
    """What one kind of batch runs: a loss, metrics, updates."""

    def __init__(self, fetches: dict[str, Any], updates: list[Any]):
        self.fetches, self.updates = fetches, updates


class Trainable:
    """The part of a model that learns."""

    name: str
    outputs: list[Any]
    output_names: list[str]
    _apart = frozenset({"metrics", "weighted_metrics"})

    def _start_training_state(self) -> None:
        self.optimizer: Any = None
        self.loss: Any = None
        self.history: Any = None
        self.stop_training = False
        self._steps: dict[str, _Step] = {}
        self._targets: list[Any] = []
        self._kept: dict[str, Any] = {}  # the metrics with variables

    # -- compile -------------------------------------------------------------------------------------------------------
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        sample_weight_mode: Any = None,
        weighted_metrics: Any = None,
        target_tensors: Any = None,
        distribute: Any = None,
        **kwargs: Any,
    ) -> None:
        """Choose how the model learns. How TensorFlow runs it (`run_eagerly`) makes no difference here."""
        for way in ("run_eagerly", "experimental_run_tf_function"):
            kwargs.pop(way, None)
        if target_tensors is not None or distribute is not None:
            raise NotImplementedError("Model.compile with target_tensors or distribute is not implemented in recurra")
        if kwargs.pop("options", None) or kwargs.pop("run_metadata", None) or kwargs:
            raise TypeError(f"Invalid keyword argument for Model.compile: {sorted(kwargs)}")
        self.optimizer = update_rules.get(optimizer)
        self.loss, self.metrics, self.loss_weights = loss, metrics or [], loss_weights
        self.weighted_metrics, self.sample_weight_mode = weighted_metrics or [], sample_weight_mode
        self._per_output(loss, "loss")  # a wrong name is told here
        self._steps, self._targets, self._kept = {}, [], {}

    def _per_output(self, given: Any, what: str) -> list[Any]:
        names = ["output_1"] if self.outputs == [None] else self.output_names
        if isinstance(given, dict):
            return [given.get(name) for name in names]
        if isinstance(given, list | tuple):
            if len(given) != len(names):
                raise ValueError(f"When passing a list as {what}, it should have one entry per model output: {names}")
            return list(given)
        return [given] * len(names)

    def _built_steps(self) -> None:
        """Targets, losses and metrics of the outputs."""
        if self._targets or self.loss is None:
            if self.loss is None:
                raise RuntimeError("You must compile your model before training/testing. Use `model.compile(optimizer, "
                                   "loss)`.")  # fmt: skip
            return
        losses = self._per_output(self.loss, "loss")
        weights = [1.0 if w is None else w for w in self._per_output(self.loss_weights, "weights")]
        self._sample_weights: list[Any] = []
        parts, fetches = [], {}
        with tf.name_scope("loss"):
            for output, loss, name in zip(self.outputs, losses, self.output_names, strict=True):
                sparse = known.is_sparse(loss)
                rank = output.shape.rank or 2
                kind = output.dtype if output.dtype.is_floating else tf.float32
                target = tf.placeholder(kind, [None] * rank if not sparse else None, name=f"{name}_target")
                weight = tf.placeholder_with_default(1.0, None, name=f"{name}_sample_weights")
                self._targets.append(target)
                self._sample_weights.append(weight)
                value = None if loss is None else self._weighted(loss, target, output, weight)
                parts.append(value)
                if value is not None and len(losses) > 1:
                    fetches[f"{name}_loss"] = value
            total = [w * p for w, p in zip(weights, parts, strict=True) if p is not None]
            total += list(self.losses)  # type: ignore[attr-defined]
            whole = tf.add_n([tf.cast(t, tf.float32) for t in total]) if len(total) > 1 else total[0]
        self.total_loss = whole
        fetches = {"loss": whole, **fetches, **self._metric_fetches(losses)}
        self.metrics_names = list(fetches)
        self._steps = {"test": _Step(fetches, [])}

    def _weighted(self, loss: Any, target: Any, output: Any, weight: Any) -> Any:
        """The mean over all elements of loss · mask · sample weight."""
        function = known.get_loss(loss)
        losses = function.call(target, output) if isinstance(function, known.Loss) else function(target, output)
        losses = losses * tf.cast(_spread(weight, losses), losses.dtype)
        mask = mask_of(output)
        if mask is not None:
            losses = losses * _spread(tf.cast(mask, losses.dtype), losses)
        return tf.reduce_sum(losses) if getattr(function, "reduction", "") == "sum" else tf.reduce_mean(losses)

    def _metric_fetches(self, losses: list[Any]) -> dict[str, Any]:
        fetches: dict[str, Any] = {}
        several = len(self.outputs) > 1
        chosen = [_metrics_of(listed, self.output_names) for listed in (self.metrics, self.weighted_metrics)]
        for i, output in enumerate(self.outputs):
            for weighted, metrics in enumerate(chosen):
                for metric in metrics[i]:
                    metric = known.get_metric(metric) if metric not in ("acc", "accuracy") else metric
                    if isinstance(metric, metric_objects.Metric) and metric in self._kept.values():
                        metric = type(metric).from_config(metric.get_config())  # each output has its own
                    label, value = self._metric(metric, losses[i], i, output, bool(weighted))
                    label = f"weighted_{label}" if weighted else label
                    key = f"{self.output_names[i]}_{label}" if several else label
                    fetches[key] = value
                    if isinstance(metric, metric_objects.Metric):
                        self._kept[key] = metric
        return fetches

    def _metric(self, metric: Any, loss: Any, i: int, output: Any, weighted: bool) -> tuple[str, Any]:
        is_accuracy = isinstance(metric, str) and metric in ("acc", "accuracy")
        named = metric if isinstance(metric, str) else getattr(metric, "name", None) or getattr(metric, "__name__", "")
        label = "acc" if is_accuracy else named
        function = known.accuracy_for(loss, output) if is_accuracy else known.get_metric(metric)
        mask = mask_of(output)
        if isinstance(function, metric_objects.Metric):
            return function.name, self._kept_metric(function, i, output, weighted, mask)
        values = function(self._targets[i], output)
        weights = None if mask is None else tf.cast(mask, values.dtype)
        if weighted:
            own = self._sample_weights[i]
            weights = _spread(own, values) if weights is None else weights * _spread(own, weights)
        weights = None if weights is None else tf.cast(weights, values.dtype)
        if weights is None or values.shape.rank == 0:
            return label, tf.reduce_mean(values)
        weights = _spread(weights, values) + tf.zeros_like(values)
        return label, tf.stack([tf.reduce_sum(values * weights), tf.reduce_sum(weights)])

    def _kept_metric(self, metric: Any, i: int, output: Any, weighted: bool, mask: Any) -> Any:
        """The value after this batch of a metric that adds up over batches."""
        weights = None if mask is None else tf.cast(mask, tf.float32)
        if weighted:
            own = _spread(self._sample_weights[i], output)
            own.set_shape([None] * (output.shape.rank or 1))
            weights = own if weights is None else _spread(weights, output) * own
        return metric(self._targets[i], output, **({} if weights is None else {"sample_weight": weights}))

    def reset_metrics(self) -> None:
        """Let metrics that add up begin anew."""
        for metric in self._kept.values():
            metric.reset_states()

    def _step(self, kind: str) -> _Step:
        self._built_steps()
        if kind == "train" and "train" not in self._steps:
            params = self.trainable_weights  # type: ignore[attr-defined]
            updates = self.optimizer.get_updates(self.total_loss, params)
            updates += [getattr(u, "op", u) for u in self.updates]  # type: ignore[attr-defined]
            self._steps["train"] = _Step(self._steps["test"].fetches, updates)
        return self._steps[kind]

    # -- batches -------------------------------------------------------------------------------------------------------
    def _prepare(self, x: Any) -> None:
        """A subclass is called on entries like its first data."""
        if getattr(self, "_outputs", None) is None:
            self._call_subclass(x)  # type: ignore[attr-defined]

    def _feeds(self, x: list[Any], y: list[Any], weights: list[Any], training: bool) -> dict[Any, Any]:
        feeds = dict(zip(self._entry_tensors, x, strict=True))  # type: ignore[attr-defined]
        feeds.update((t, v) for t, v in zip(self._targets, y, strict=False) if v is not None)
        feeds.update(
            (t, w) for t, w in zip(getattr(self, "_sample_weights", []), weights, strict=False) if w is not None
        )
        return {**feeds, **state.phase_feed(training)}

    def _run(self, kind: str, x: list[Any], y: list[Any], weights: list[Any]) -> dict[str, float]:
        with state.building():
            self._prepare(x)
            step = self._step(kind)
        y = [_as_target(t, v) for t, v in zip(self._targets, y, strict=True)]
        session = state.get_session()
        feeds = self._feeds(x, y, weights, kind == "train")
        found: dict[str, float] = session.run([step.fetches, step.updates], feeds)[0]
        return found

    def _predict(self, x: list[Any]) -> list[Any]:
        with state.building():
            self._prepare(x)
            updates = [getattr(u, "op", u) for u in self._state_updates()]
        fetched = state.get_session().run([self.outputs, updates], self._feeds(x, [], [], False))[0]
        return list(fetched)

    def _state_updates(self) -> list[Any]:
        return [u for sub in self.layers if getattr(sub, "stateful", False) for u in sub.updates]  # type: ignore[attr-defined]

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None,
                       reset_metrics: bool = True) -> Any:  # fmt: skip
        """One step of learning; gives the loss, and the metrics where there are any."""
        data = self._data(x, y, sample_weight, class_weight)
        return self._plain(self._once("train", data, reset_metrics))

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, reset_metrics: bool = True) -> Any:
        """The loss, and the metrics, of a batch."""
        return self._plain(self._once("test", self._data(x, y, sample_weight), reset_metrics))

    def _once(self, kind: str, data: Data, reset_metrics: bool) -> dict[str, float]:
        found = self._run(kind, *data.rows(None))
        if reset_metrics:
            self.reset_metrics()
        return found

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for a batch."""
        found = self._predict(self._data(x).rows(None)[0])
        return found[0] if len(found) == 1 else found

    def _plain(self, logs: dict[str, float]) -> Any:
        values = list(_ratios(logs).values())
        return values[0] if len(values) == 1 else values

    def _data(self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None) -> Data:
        names = self.input_names if getattr(self, "_inputs", None) is not None else []  # type: ignore[attr-defined]
        outputs = self.output_names if getattr(self, "_outputs", None) is not None else ["output_1"]
        return Data(x, y, sample_weight, names, outputs).weighted(class_weights(class_weight))

    # -- loops ---------------------------------------------------------------------------------------------------------
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int = 1,
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: Any = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_freq: int = 1,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Learn for `epochs` rounds; gives the History. Generators, Sequences and Datasets are read one batch after another."""  # noqa: E501
        epochs = kwargs.pop("nb_epoch", epochs)
        if kwargs:
            raise TypeError(f"Unrecognized keyword arguments: {sorted(kwargs)}")
        batches = Batches(self._data, x, y, sample_weight, batch_size, shuffle, steps_per_epoch, class_weight)
        checked = self._validation(batches, validation_split, validation_data, batch_size, validation_steps)
        called = calls.CallbackList(callbacks, self, verbose, epochs, batches, checked is not None)
        self.stop_training = False
        called.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            called.on_epoch_begin(epoch)
            logs = self._epoch(batches, "train", called)
            if checked is not None and (epoch + 1) % validation_freq == 0:
                logs.update({f"val_{k}": v for k, v in self._epoch(checked, "test", None).items()})
            called.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        called.on_train_end()
        return self.history

    def _validation(self, batches: Batches, split: float, data: Any, size: Any, steps: Any) -> Batches | None:
        if data is not None:
            if isinstance(data, list | tuple) and len(data) in (2, 3):
                return Batches(self._data, *data[:2], data[2] if len(data) == 3 else None, size, False, steps)
            return Batches(self._data, data, None, None, size, False, steps)
        return batches.split_off(split) if split else None

    def _epoch(self, batches: Batches, kind: str, called: Any) -> calls.Logs:
        """Means over the epoch's batches, by their sizes."""
        totals: dict[str, Any] = {}
        count = 0
        self.reset_metrics()
        for i, (x, y, weights) in enumerate(batches):
            size = len(x[0])
            if called is not None:
                called.on_batch_begin(i, {"batch": i, "size": size})
            found = self._run(kind, x, y, weights)
            for key, value in found.items():  # a weighted metric comes as its sum and the sum of its weights
                part = np.array([value * size, size]) if np.ndim(value) == 0 else value
                totals[key] = value if key in self._kept else totals.get(key, 0.0) + part
            count += size
            if called is not None:
                logs = calls.Logs({"batch": i, "size": size, **_ratios(found)})
                called.on_batch_end(i, logs)
                if self.stop_training:
                    break
        if not count:
            raise ValueError("The data has no batches.")
        return calls.Logs(_ratios(totals))

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, verbose: int = 1,
                 sample_weight: Any = None, steps: int | None = None, callbacks: Any = None, max_queue_size: int = 10,
                 workers: int = 1, use_multiprocessing: bool = False) -> Any:  # fmt: skip
        """The loss, and the metrics, over data."""
        return self._plain(
            self._epoch(Batches(self._data, x, y, sample_weight, batch_size, False, steps), "test", None)
        )

    def predict(self, x: Any, batch_size: int | None = None, verbose: int = 0, steps: int | None = None,
                callbacks: Any = None, max_queue_size: int = 10, workers: int = 1,
                use_multiprocessing: bool = False) -> Any:  # fmt: skip
        """The outputs for data."""
        parts = [self._predict(b[0]) for b in Batches(self._data, x, None, None, batch_size, False, steps)]
        joined = [np.concatenate(p) for p in zip(*parts, strict=True)]
        return joined[0] if len(joined) == 1 else joined

    def fit_generator(self, generator: Any, steps_per_epoch: Any = None, epochs: int = 1, verbose: int = 1,
                      callbacks: Any = None, validation_data: Any = None, validation_steps: Any = None,
                      validation_freq: int = 1, class_weight: Any = None, max_queue_size: int = 10, workers: int = 1,
                      use_multiprocessing: bool = False, shuffle: bool = True, initial_epoch: int = 0,
                      **kwargs: Any) -> Any:  # fmt: skip
        """`fit` on a generator or a Sequence."""
        epochs = kwargs.pop("nb_epoch", epochs)
        return self.fit(
            generator, None, None, epochs, verbose, callbacks, 0.0, validation_data, shuffle, class_weight, None,
            initial_epoch, steps_per_epoch, validation_steps, validation_freq,
        )  # fmt: skip

    def evaluate_generator(self, generator: Any, steps: Any = None, *args: Any, **kwargs: Any) -> Any:
        return self.evaluate(generator, steps=steps)

    def predict_generator(self, generator: Any, steps: Any = None, *args: Any, **kwargs: Any) -> Any:
        return self.predict(generator, steps=steps)

    # -- weights in files ----------------------------------------------------------------------------------------------
    def save_weights(self, filepath: Any, overwrite: bool = True, save_format: Any = None) -> None:
        """Write the weights: HDF5 for `.h5`, `.hdf5` and `.keras`, otherwise a checkpoint of TensorFlow."""
        from recurra.tf1.keras import saving

        if overwrite or saving.may_overwrite(str(filepath)):
            saving.save_weights(self, str(filepath), save_format)

    def load_weights(self, filepath: Any, by_name: bool = False, skip_mismatch: bool = False) -> Any:
        """Read weights that `save_weights` or `save` wrote."""
        from recurra.tf1.keras import saving

        return saving.load_weights(self, str(filepath), by_name)

    def save(
        self, filepath: Any, overwrite: bool = True, include_optimizer: bool = True, save_format: Any = None
    ) -> None:
        """Write architecture and weights as HDF5."""
        from recurra.tf1.keras import saving

        if overwrite or saving.may_overwrite(str(filepath)):
            saving.save_model(self, str(filepath), include_optimizer)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON."""
        from recurra.tf1.keras import saving

        return saving.to_json(self, **kwargs)


def _ratios(found: dict[str, Any]) -> dict[str, float]:
    """Values as numbers: sums divided by the sums of their weights."""
    return {k: float(v) if np.ndim(v) == 0 else float(v[0] / v[1]) if v[1] else 0.0 for k, v in found.items()}


def _spread(weight: Any, values: Any) -> Any:
    """A weight per row, or per row and step, with axes of length one for the rest."""
    have, want = weight.shape.rank, values.shape.rank
    if have is None and (want or 0) > 1:  # one number for all, unless sample weights are fed
        ones = tf.ones([tf.maximum(want - tf.rank(weight), 0)], tf.int32)
        return tf.reshape(weight, tf.concat([tf.shape(weight), ones], 0))
    if have is None or want is None or have >= want or have == 0:
        return weight
    for _ in range(want - have):
        weight = tf.expand_dims(weight, -1)
    return weight


def _metrics_of(listed: Any, names: list[str]) -> list[list[Any]]:
    """The metrics of every output."""
    if isinstance(listed, dict):
        found = [listed.get(name, []) for name in names]
        return [f if isinstance(f, list | tuple) else [f] for f in found]  # type: ignore[misc]
    listed = list(listed) if isinstance(listed, list | tuple) else [listed]
    if listed and all(isinstance(item, list | tuple) for item in listed):
        return [list(item) for item in listed]
    return [listed for _ in names]


def _as_target(placeholder: Any, value: Any) -> Any:
    """Labels [N] stand as [N, 1], as Keras feeds them."""
    if value is None:
        return None
    value = np.asarray(value)
    return value[:, None] if value.ndim == 1 else value
