"""tf.contrib.learn.preprocessing.VocabularyProcessor: documents as rows of word numbers."""

from __future__ import annotations

import pickle
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from recurra.tf1.names import export, tf_export

TOKENIZER = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z][a-z]+(?=[A-Z])|[\'\w\-]+", re.UNICODE)
_HOME = "contrib.learn.preprocessing"


@tf_export(f"{_HOME}.tokenizer", "contrib.learn.python.learn.preprocessing.text.tokenizer")
def tokenizer(iterator: Iterable[str]) -> Iterator[list[str]]:
    """The words of each text."""
    for value in iterator:
        yield TOKENIZER.findall(value)


@tf_export(f"{_HOME}.CategoricalVocabulary")
class CategoricalVocabulary:
    """Words and their numbers; 0 is the unknown word."""

    def __init__(self, unknown_token: str = "<UNK>", support_reverse: bool = True) -> None:
        self._unknown_token = unknown_token
        self._mapping: dict[Any, int] = {unknown_token: 0}
        self._support_reverse = support_reverse
        self._reverse_mapping: list[Any] = [unknown_token]
        self._freq: defaultdict[Any, int] = defaultdict(int)
        self._freeze = False

    def __len__(self) -> int:
        return len(self._mapping)

    def freeze(self, freeze: bool = True) -> None:
        """No new words from now on (or again)."""
        self._freeze = freeze

    def get(self, category: Any) -> int:
        """The number of a word; a new one gets the next number unless frozen."""
        if category not in self._mapping:
            if self._freeze:
                return 0
            self._mapping[category] = len(self._mapping)
            self._reverse_mapping.append(category)
        return self._mapping[category]

    def add(self, category: Any, count: int = 1) -> None:
        """Count a word."""
        if self.get(category) > 0:
            self._freq[category] += count

    def trim(self, min_frequency: float, max_frequency: float = -1) -> None:
        """Keep words of min_frequency < count (< max_frequency), most frequent first."""
        ranked = sorted(sorted(self._freq.items(), key=lambda p: str(p[0])), key=lambda p: p[1], reverse=True)
        kept = [(word, count) for word, count in ranked if count > min_frequency and not (0 < max_frequency <= count)]
        self._mapping = {self._unknown_token: 0}
        self._reverse_mapping = [self._unknown_token]
        for word, _ in kept:
            self._mapping[word] = len(self._mapping)
            self._reverse_mapping.append(word)
        self._freq = defaultdict(int, kept)

    def reverse(self, class_id: int) -> Any:
        """The word of a number."""
        if not self._support_reverse:
            raise ValueError("This vocabulary wasn't initialized with support_reverse to support reverse() function.")
        return self._reverse_mapping[class_id]


@tf_export(f"{_HOME}.VocabularyProcessor")
class VocabularyProcessor:
    """Maps documents to rows of `max_document_length` word numbers, filled with 0."""

    def __init__(
        self,
        max_document_length: int,
        min_frequency: int = 0,
        vocabulary: CategoricalVocabulary | None = None,
        tokenizer_fn: Callable[[Iterable[str]], Iterable[list[str]]] | None = None,
    ) -> None:
        self.max_document_length, self.min_frequency = max_document_length, min_frequency
        self.vocabulary_ = vocabulary or CategoricalVocabulary()
        self._tokenizer = tokenizer_fn or tokenizer

    def fit(self, raw_documents: Iterable[str], unused_y: Any = None) -> VocabularyProcessor:
        """Learn the words of the documents."""
        for tokens in self._tokenizer(raw_documents):
            for token in tokens:
                self.vocabulary_.add(token)
        if self.min_frequency > 0:
            self.vocabulary_.trim(self.min_frequency)
        self.vocabulary_.freeze()
        return self

    def fit_transform(self, raw_documents: Iterable[str], unused_y: Any = None) -> Iterator[np.ndarray]:
        """fit, then transform."""
        documents = list(raw_documents)
        self.fit(documents)
        return self.transform(documents)

    def transform(self, raw_documents: Iterable[str]) -> Iterator[np.ndarray]:
        """One int64 row per document."""
        for tokens in self._tokenizer(raw_documents):
            row = np.zeros(self.max_document_length, np.int64)
            for i, token in enumerate(list(tokens)[: self.max_document_length]):
                row[i] = self.vocabulary_.get(token)
            yield row

    def reverse(self, documents: Iterable[Iterable[int]]) -> Iterator[str]:
        """The words of each row."""
        for row in documents:
            yield " ".join(self.vocabulary_.reverse(number) for number in row)

    def save(self, filename: str) -> None:
        """Write the processor with pickle (readable by `restore` here)."""
        with open(filename, "wb") as file:
            pickle.dump(self, file)

    @classmethod
    def restore(cls, filename: str) -> VocabularyProcessor:
        """Read what `save` wrote."""
        with open(filename, "rb") as file:
            return pickle.load(file)


@tf_export(f"{_HOME}.ByteProcessor")
class ByteProcessor:
    """Maps documents to rows of their UTF-8 bytes, filled with 0."""

    def __init__(self, max_document_length: int) -> None:
        self.max_document_length = max_document_length

    def fit(self, x: Any) -> ByteProcessor:
        """Nothing to learn."""
        return self

    def fit_transform(self, x: Iterable[Any]) -> Iterator[np.ndarray]:
        """transform."""
        return self.transform(x)

    def transform(self, x: Iterable[Any]) -> Iterator[np.ndarray]:
        """One uint8 row per document."""
        for document in x:
            data = document.encode("utf-8") if isinstance(document, str) else bytes(document)
            row = np.zeros(self.max_document_length, np.uint8)
            cut = np.frombuffer(data[: self.max_document_length], np.uint8)
            row[: len(cut)] = cut
            yield row

    @staticmethod
    def reverse(x: Iterable[Any]) -> Iterator[str]:
        """The texts of rows."""
        for row in x:
            yield bytes(bytearray(int(v) for v in row)).rstrip(b"\0").decode("utf-8", "replace")


for _name, _value in {"VocabularyProcessor": VocabularyProcessor, "ByteProcessor": ByteProcessor}.items():
    export(_value, f"contrib.learn.python.learn.preprocessing.text.{_name}")
export(CategoricalVocabulary, "contrib.learn.python.learn.preprocessing.categorical_vocabulary.CategoricalVocabulary")
