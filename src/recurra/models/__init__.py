"""Small, readable models over the library's cells: classifier, language model, tagger, forecaster.

They may import everything below (cells, loops, crf, losses) and know nothing of files or training. Read `encoder`
first.
"""
