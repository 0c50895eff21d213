"""Training: typed configs, a short loop that can be killed anywhere, run folders, reports. May import models and
everything below.

`task.Task` is what a recipe defines; `loop.fit` trains it; `runs` reads what a run left behind. Read `task` first,
then `loop`. Nothing is imported here, so that `recurra.training.config` stays free of torch.
"""
