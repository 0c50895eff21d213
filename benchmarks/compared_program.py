"""One program under one engine, with the loss of its first steps; started by losses_beside_tensorflow.py.

    compared_program.py tensorflow|recurra STEPS PROGRAM [its arguments]

TensorFlow goes first: its variables' initial values and what it was fed are left in trace.npz, which recurra's run
starts from and is fed. The losses are those of every Session.run that feeds, before it, left in losses-ENGINE.json.
Runs under any Python that the engine does (3.7 for TensorFlow 1.15).
"""

import json
import os
import runpy
import sys

import numpy as np
import timed_program


class _Steps:
    """Takes part in every Session.run."""

    def __init__(self, engine, steps):
        self.engine, self.steps, self.losses = engine, steps, []
        self.trace = {} if engine == "tensorflow" else dict(np.load("trace.npz", allow_pickle=True))
        self.started = False

    def watch(self, session_class, loss_of, variables_of, flat):
        """Hook the class; `loss_of(session)` finds what the program differentiates."""
        run = session_class.run

        def stepped(session, fetches, feed_dict=None, *args, **kwargs):
            if self.started and feed_dict:
                feed_dict = self.fed(flat(feed_dict))
                self.note(run, session, loss_of(session), feed_dict)
            result = run(session, fetches, feed_dict, *args, **kwargs)
            if not self.started:
                self.started = self.start(run, session, variables_of(session))
            return result

        session_class.run = stepped

    def fed(self, feeds):
        """The same feeds as TensorFlow's at this step."""
        step = len(self.losses)
        for n, key in enumerate(feeds):
            name = f"feed {step} {n}"
            if self.engine == "tensorflow":
                self.trace[name] = np.asarray(feeds[key])
            elif name in self.trace and np.shape(self.trace[name]) == np.shape(feeds[key]):
                feeds[key] = self.trace[name]
        return feeds

    def note(self, run, session, loss, feed_dict):
        """The loss before this step; the program ends when there are enough."""
        if loss is None:
            return
        try:
            self.losses.append(float(np.mean(run(session, loss, feed_dict))))
        except Exception:  # a run for something else, that does not feed what the loss needs
            return
        if len(self.losses) >= self.steps:
            raise SystemExit(0)

    def start(self, run, session, variables):
        """Take the initial values, or set them, as soon as there are any."""
        if not variables:
            return False
        if self.engine == "tensorflow":
            try:
                values = run(session, variables)
            except Exception:
                return False
            self.trace.update((f"variable {n}", value) for n, value in enumerate(values))
            return True
        import torch

        cells = [session.cell((v.handle if hasattr(v, "handle") else v).op) for v in variables]
        if any(cell.value is None for cell in cells):
            return False
        for n, cell in enumerate(cells):
            cell.write(torch.from_numpy(self.trace[f"variable {n}"].reshape(tuple(cell.value.shape))))
        return True

    def close(self):
        """Leave what was seen."""
        if self.engine == "tensorflow":
            np.savez("trace.npz", **self.trace)
        with open(f"losses-{self.engine}.json", "w") as file:
            json.dump(self.losses, file)


def _tensorflow(steps, program, arguments):
    session_class = timed_program._tensorflow()
    from tensorflow.python.ops import gradients_util

    helper, found = gradients_util._GradientsHelper, []

    def noting(ys, *args, **kwargs):
        found.append(ys[0] if isinstance(ys, (list, tuple)) else ys)
        return helper(ys, *args, **kwargs)

    gradients_util._GradientsHelper = noting

    def trainable(session):
        return session.graph.get_collection("trainable_variables")

    steps.watch(session_class, lambda session: found[0] if found else None, trainable, _flat)
    sys.argv[:] = [program, *arguments]
    sys.path.insert(0, os.path.dirname(program))
    runpy.run_path(program, run_name="__main__")


def _recurra(steps, program, arguments):
    from recurra.tf1 import names, runner, session

    names.load_all()

    def loss_of(running):
        ops = running.graph.get_operations()
        return next((op.inputs[0] for op in ops if op.type == "Gradients"), None)

    def trainable(running):
        return running.graph.get_collection("trainable_variables")

    steps.watch(session.BaseSession, loss_of, trainable, _flat)
    runner.run(program, arguments, runner.Options())


def _flat(feed_dict):
    """Feeds of state tuples as feeds of their tensors."""
    flat = {}
    for key, value in feed_dict.items():
        if isinstance(key, tuple):
            flat.update(_flat(dict(zip(key, value))))  # noqa: B905
        else:
            flat[key] = value
    return flat


def main():
    engine, count, program = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    steps = _Steps(engine, count)
    np.random.seed(0)
    try:
        (_tensorflow if engine == "tensorflow" else _recurra)(steps, program, sys.argv[4:])
    finally:
        steps.close()


if __name__ == "__main__":
    main()
