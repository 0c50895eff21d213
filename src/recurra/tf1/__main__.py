"""`python -m recurra.tf1 [options] PROGRAM [its arguments]`: what `recurra run` does."""

from __future__ import annotations

import argparse
import sys

from recurra._threads import let_waiting_threads_sleep


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, run the program, return its exit code."""
    let_waiting_threads_sleep()
    from recurra.tf1 import runner  # loads torch, which reads how threads wait

    parser = argparse.ArgumentParser(prog="python -m recurra.tf1", description="Run a TensorFlow 1 program on recurra.")
    parser.add_argument(
        "--tf-version", help="the release it was written for, such as 0.10; read from the source when absent"
    )
    parser.add_argument("--python2", action="store_true", default=None, help="rewrite it from Python 2 first")
    parser.add_argument("--data-dir", help="where read_data_sets, keras.datasets and the ptb reader find their files")
    parser.add_argument("--report", action="store_true", help="print which tf.* names it used, and where")
    parser.add_argument("--keep-going", action="store_true", help="a notebook: go on after a cell that fails")
    parser.add_argument("--debug", action="store_true", help="show recurra's own frames in the traceback of an error")
    parser.add_argument("--quiet", action="store_true", help="do not say the era")
    parser.add_argument("program")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="arguments")
    given = parser.parse_args(arguments)
    options = runner.Options(
        tf_version=given.tf_version,
        python2=given.python2,
        data_dir=given.data_dir,
        report=given.report,
        quiet=given.quiet,
        keep_going=given.keep_going,
        debug=given.debug,
    )
    try:
        return runner.run(given.program, given.rest, options)
    except (OSError, ValueError, SyntaxError) as error:
        print(f"recurra: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
