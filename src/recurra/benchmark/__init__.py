"""The benchmark: this library beside torch, TensorFlow, JAX and ONNX Runtime, each in a process of its own.

Read `workloads.py` (what is measured), `run.py` (how: round-robin, so that what else the machine does hits all alike),
`peers/` (one worker per peer, run by that peer's own Python; they import nothing of recurra but its own worker).
"""
