"""One task per kind of problem; a recipe is a task with a config (see `recurra.training.registry`)."""
