"""Readers of sequence data and the batches made of them; feeds models and training, knows nothing of either.

`files` finds or downloads data sets; one module per format (`mnist`, `names`, `digits`, `ptb`, `text`, `conll`,
`tables`, `series`) reads it as it is; `batching` turns it into tensors. Read `batching` first.
"""
