"""The table of names: the parts that must be whole are, and what is counted as served resolves."""

from recurra.tf1.coverage import coverage, render

WHOLE = (
    "tf.math",
    "tf.random",
    "tf.bitwise",
    "tf.sets",
    "tf.losses",
    "tf.layers",
    "tf.contrib.losses",
    "tf.contrib.legacy_seq2seq",
    "tf.contrib.seq2seq",
)


def test_modules_of_this_field_are_whole() -> None:
    rows = {row.module: row for row in coverage()}
    assert {module: rows[module].missing for module in WHOLE} == {module: () for module in WHOLE}
    assert sum(row.served for row in rows.values()) >= 1700


def test_the_table_ends_with_the_sum() -> None:
    rows = coverage()
    text = render(rows, show_missing=True)
    assert text.splitlines()[-1].startswith("all ")
    assert "tf.contrib.seq2seq" in text
