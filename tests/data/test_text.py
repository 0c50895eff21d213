"""Plain text, vocabularies, Penn Treebank's format, and the stream that ptb_word_lm reads."""

import numpy as np
import pytest
import torch

from recurra.data import ptb
from recurra.data.batching import Stream, batches_by_length, pad_tokens, shuffled_batches, stream_rows
from recurra.data.text import join, read_text, tokenize
from recurra.data.vocab import Vocabulary
from recurra.errors import DataError


def test_byte_order_mark_and_line_ends(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes("\ufeffé\r\nzwei\rdrei 😀\n".encode())
    assert read_text(path) == "é\nzwei\ndrei 😀\n"


def test_a_file_that_is_not_utf8_names_the_line(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"one\ntwo\nfa\xe7ade\n")
    with pytest.raises(DataError, match=r"latin.txt, line 3: not UTF-8 \(byte 10: 0xe7\)"):
        read_text(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read_text(tmp_path / "no.txt")
    with pytest.raises(DataError, match="directory"):
        read_text(tmp_path)


def test_words_and_characters():
    assert tokenize("It's a dog.\nYes!", "word") == ["It's", "a", "dog", ".", "<eos>", "Yes", "!"]
    assert join(["It's", "a", "dog", ".", "<eos>", "Yes", "!"], "word") == "It's a dog.\nYes!"
    assert join(tokenize("a b\n", "char"), "char") == "a b\n"


def test_vocabulary_order_and_unknowns():
    vocabulary = Vocabulary.of("bbbaac", min_count=2)
    assert vocabulary.tokens == ["<pad>", "<unk>", "b", "a"]
    assert vocabulary.encode("abz") == [3, 2, 1]
    with pytest.raises(KeyError):
        Vocabulary(["a"], unknown=None).encode("b")


def test_penn_treebank_words_by_frequency_then_alphabet(tmp_path):
    folder = tmp_path / "ptb"
    folder.mkdir()
    (folder / "ptb.train.txt").write_text(" b a <unk> \n b c \n")
    (folder / "ptb.valid.txt").write_text(" a zzz \n")
    (folder / "ptb.test.txt").write_text(" c \n")
    splits = ptb.load(tmp_path)
    assert splits.vocabulary.tokens == ["<eos>", "b", "<unk>", "a", "c"]
    assert splits.train.tolist() == [1, 3, 2, 0, 1, 4, 0]
    assert splits.valid.tolist() == [3, 0], "a word that training never saw is left out, as ptb_word_lm does"


def test_windows_are_ptb_iterators():
    """ptb_word_lm: x = data[:, i*n:(i+1)*n], y = the same one later, (width - 1) // n windows."""
    raw = np.arange(103)
    stream = Stream(raw, 4, 6)
    data = raw[:100].reshape(4, 25)
    assert len(stream) == (25 - 1) // 6
    for i in range(len(stream)):
        window = stream.window(i)
        np.testing.assert_array_equal(window.inputs, data[:, i * 6 : (i + 1) * 6])
        np.testing.assert_array_equal(window.targets, data[:, i * 6 + 1 : (i + 1) * 6 + 1])


def test_with_a_tail_every_token_is_predicted_once():
    stream = Stream(np.arange(50), 1, 7, tail=True)
    predicted = torch.cat([stream.window(i).targets for i in range(len(stream))], dim=1)
    assert predicted[0].tolist() == list(range(1, 50))


def test_too_short_a_text_is_refused():
    with pytest.raises(ValueError, match="5 tokens are too few for 4 rows"):
        Stream(np.arange(5), 4, 10)
    assert stream_rows(np.arange(7), 2).shape == (2, 3)


def test_order_depends_on_seed_and_epoch_alone():
    one, again = (shuffled_batches(10, 3, seed=1, epoch=2) for _ in range(2))
    other = shuffled_batches(10, 3, seed=1, epoch=3)
    assert [b.tolist() for b in one] == [b.tolist() for b in again] != [b.tolist() for b in other]
    assert sorted(np.concatenate(one)) == list(range(10))
    assert [len(b) for b in shuffled_batches(11, 4, 0, 0, drop_last=True)] == [6, 5], "document 001's shuffle_batch"


def test_batches_by_length_hold_every_row_once_and_pad_little():
    lengths = np.random.default_rng(0).integers(1, 100, 1000).tolist()
    batches = batches_by_length(lengths, 10, seed=0, epoch=0)
    assert sorted(np.concatenate(batches)) == list(range(1000))
    padding = sum(sum(max(lengths[i] for i in b) - lengths[j] for j in b) for b in batches)
    assert padding < 0.1 * sum(lengths)


def test_padding():
    padded, lengths = pad_tokens([[5, 6], [], [7]])
    assert padded.tolist() == [[5, 6], [0, 0], [7, 0]] and lengths.tolist() == [2, 0, 1]
