"""Ways out: cells and runs as ONNX, weights as safetensors, torch.nn's and Keras' layouts.

May import everything but the command line and the wing. Read `onnx.py` first.
"""
