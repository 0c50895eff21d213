"""Names that TensorFlow serves in several places: whole modules under another path, and single ones.

Imported last, when the table holds what they stand for.
"""

from __future__ import annotations

from recurra.tf1 import names

__all__: list[str] = []

# path → modules whose names are served below it, the first that has a name winning
_MODULES: dict[str, tuple[str, ...]] = {
    "contrib.slim": ("contrib.layers", "contrib.framework"),
    "contrib.slim.learning": ("contrib.training",),
    "contrib.slim.evaluation": ("contrib.training",),
    "contrib.slim.losses": ("contrib.losses",),
    "contrib.slim.metrics": ("contrib.metrics",),
    "contrib.slim.regularizers": ("contrib.layers",),
    "contrib.slim.initializers": ("contrib.layers",),
    "contrib.signal": ("signal",),
    "contrib.framework.nest": ("nest", "python.util.nest"),
    "data.experimental": ("contrib.data",),
    "contrib.optimizer_v2": ("train",),
    "contrib.learn.io": ("contrib.learn", "estimator.inputs"),
    "contrib.distributions.bijector": ("contrib.distributions.bijectors",),
}

_SINGLE = {
    "contrib.stateless.stateless_random_uniform": "random.stateless_uniform",
    "contrib.stateless.stateless_random_normal": "random.stateless_normal",
    "contrib.stateless.stateless_truncated_normal": "random.stateless_truncated_normal",
    "contrib.stateless.stateless_multinomial": "random.stateless_multinomial",
    "contrib.nn.conv1d_transpose": "nn.conv1d_transpose",
    "contrib.slim.optimizers.optimize_loss": "contrib.layers.optimize_loss",
    "contrib.slim.optimizers.adaptive_clipping_fn": "contrib.layers.adaptive_clipping_fn",
    "contrib.deprecated.scalar_summary": "scalar_summary",
    "contrib.deprecated.histogram_summary": "histogram_summary",
    "contrib.deprecated.image_summary": "image_summary",
    "contrib.deprecated.audio_summary": "audio_summary",
    "contrib.deprecated.merge_summary": "merge_summary",
    "contrib.deprecated.merge_all_summaries": "merge_all_summaries",
    "contrib.learn.datasets.base.load_iris": "contrib.learn.datasets.load_iris",
    "contrib.eager.GradientTape": "GradientTape",
    "contrib.eager.TensorSpec": "TensorSpec",
    "contrib.eager.custom_gradient": "custom_gradient",
    "contrib.eager.defun": "function",
    "contrib.eager.function": "function",
    "contrib.eager.make_template": "make_template",
    "contrib.eager.run": "app.run",
    "contrib.framework.get_graph_from_inputs": "get_graph_from_inputs",
}


def _register() -> None:
    known = names.known()
    for path, sources in _MODULES.items():
        for source in sources:
            head = f"{source}."
            for name in known:
                rest = name.removeprefix(head)
                if name.startswith(head) and "." not in rest and not names.served(f"{path}.{rest}"):
                    names.alias(f"{path}.{rest}", name)
    for new, old in _SINGLE.items():
        if names.served(old) and not names.served(new):
            names.alias(new, old)


_register()
