"""tf.contrib.seq2seq: attention, decoders and their helpers, beam search, the sequence loss, and the decoder functions of 1.0."""  # noqa: E501

from recurra.tf1.contrib.seq2seq import attention as attention
from recurra.tf1.contrib.seq2seq import beam_search as beam_search
from recurra.tf1.contrib.seq2seq import decoder as decoder
from recurra.tf1.contrib.seq2seq import decoder_functions as decoder_functions
from recurra.tf1.contrib.seq2seq import helpers as helpers
from recurra.tf1.contrib.seq2seq import loss as loss
from recurra.tf1.contrib.seq2seq import wrapper as wrapper
