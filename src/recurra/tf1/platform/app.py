"""tf.app.run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags as absl_flags

from recurra.tf1.names import tf_export
from recurra.tf1.platform.flags import FLAGS


@tf_export("app.run")
def run(main: Callable[..., Any] | None = None, argv: Sequence[str] | None = None) -> None:
    """Parse the flags and exit with what `main(argv)` returns; `main` is the program's own when not given."""
    rest = FLAGS(list(argv) if argv is not None else sys.argv, known_only=True)
    if not absl_flags.FLAGS.is_parsed():  # flags that the program defined with absl directly
        absl_flags.FLAGS([rest[0], *rest[1:]], known_only=True)
    main = main or sys.modules["__main__"].main
    sys.exit(main(rest))
