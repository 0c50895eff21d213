# mypy: ignore-errors
"""What every worker does: read a job per line from standard input, time it, answer a line on standard output.

Runs under Python 3.9 and later with nothing but the peer installed, as a plain script: a worker module calls `serve`.
A worker's `prepare(job)` returns a function of no arguments that runs the job once and waits for the result.
"""

import gc
import json
import sys
import time


class Unsupported(Exception):
    """The peer has no such cell or mode; the text says why."""


def measure(run, seconds):
    """Seconds of each repetition within a time slice; at least three."""
    times = []
    end = time.perf_counter() + seconds
    gc.disable()
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    gc.enable()
    return times


def serve(peer, version, prepare):
    """Answer jobs until standard input ends. The last job stays prepared, for its next round."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # what a peer prints must not meet the answers
    print(json.dumps({"peer": peer, "version": version}), file=answers, flush=True)
    last, run = None, None
    for line in sys.stdin:
        job = json.loads(line)
        key = (job["workload"]["name"], job["cell"], job["mode"])
        answer = {}
        try:
            if key != last:
                run, last = None, None
                gc.collect()
                start = time.perf_counter()
                run = prepare(job)
                run()
                answer["cold"] = time.perf_counter() - start
                last = key
                run()
            answer["times"] = measure(run, job["seconds"])
        except Unsupported as reason:
            answer = {"unsupported": str(reason)}
        except Exception as error:
            answer = {"failed": type(error).__name__ + ": " + str(error)[:200]}
        print(json.dumps(answer), file=answers, flush=True)
