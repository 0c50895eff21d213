"""pandas as old programs knew it; the values are those of pandas 1.3."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.tf1 import runner

pytest.importorskip("pandas")

HEAD = "import pandas as pd, numpy as np\nfrom io import StringIO\nfrom datetime import datetime\n"
CASES = {
    "a parser of one text": (
        "parse = lambda x: datetime.strptime('190' + x, '%Y-%m')\n"
        "s = pd.read_csv(StringIO('Month,Sales\\n1-01,266.0\\n1-02,145.9\\n'), header=0, parse_dates=[0], index_col=0,"
        " squeeze=True, date_parser=parse)\nprint(type(s).__name__, s.index[1], s.values)",
        "Series 1901-02-01 00:00:00 [266.  145.9]",
    ),
    "dates joined from columns": (
        "d = pd.read_csv(StringIO('Date;Time;P\\n16/12/2006;17:24:00;4.2\\n17/12/2006;17:25:00;?\\n'), sep=';',"
        " parse_dates={'dt': ['Date', 'Time']}, infer_datetime_format=True, na_values=['?'], index_col='dt',"
        " dayfirst=True)\nprint(d.index[0], d.P.tolist())",
        "2006-12-16 17:24:00 [4.2, nan]",
    ),
    "dates joined and parsed": (
        "p = pd.read_csv(StringIO('No,year,month,day,hour,pm\\n1,2010,1,1,0,5\\n2,2010,1,1,1,7\\n'), index_col=0,"
        " parse_dates=[['year', 'month', 'day', 'hour']], date_parser=lambda x: datetime.strptime(x, '%Y %m %d %H'))\n"
        "print(p.index[1], list(p.columns))",
        "2010-01-01 01:00:00 ['No', 'pm']",
    ),
    "white space and places": (
        "print(pd.read_csv(StringIO('1 2  3\\n4 5 6\\n'), delim_whitespace=True, header=None).values.sum(),"
        " pd.read_csv(StringIO('a\\tb\\n1\\t2\\n'), '\\t').shape)",
        "21 (1, 2)",
    ),
    "writes that reach the frame": (
        "df = pd.DataFrame({'a': [1., None, 3.], 'b': [4., 5., 6.], 'c': list('xyx')})\n"
        "df['a'].fillna(0, inplace=True); df['b'][0] = 9; df.b.loc[df.b > 8] = 7; df['a'].iloc[1] = 2\n"
        "t = df['a'].copy(); t[0] = 100; e = df[df.a > 1]; e['a'][2] = 50\n"
        "print(df.a.tolist(), df.b.tolist(), e.a.tolist(), df.c.dtype)",
        "[1.0, 2.0, 3.0] [7.0, 5.0, 6.0] [2.0, 50.0] object",
    ),
    "arrays may be written, dummies are numbers": (
        "df = pd.DataFrame({'a': [1., 3.], 'b': [4., 5.], 'c': list('xy')})\n"
        "v = df[['a', 'b']].values; v[:, 0] /= 2\n"
        "print(v.sum(), pd.concat([df, pd.get_dummies(df.c)], 1).drop('c', 1).values.dtype, df.mean().tolist())",
        "11.0 float64 [2.0, 4.5]",
    ),
    "methods": (
        "df = pd.DataFrame({'a': [1., None, 3.], 'b': [4., 6., 5.]})\n"
        "print(df.fillna(method='ffill').a.tolist(), df.sort_values('b', 0, False).b.tolist(), df.dropna(0).shape,"
        " df.ix[0, 'a'], df.ix[0:1, 0].tolist(), df.applymap(str).shape, pd.rolling_mean(df.b, 2).tolist(),"
        " pd.to_datetime(['2015-01-02', '01/03/2015'], infer_datetime_format=True)[1].day)",
        "[1.0, 1.0, 3.0] [6.0, 5.0, 4.0] (2, 2) 1.0 [1.0] (3, 2) [nan, 5.0, 5.5] 3",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_old_calls(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source, expected = CASES[name]
    path = tmp_path / "p.py"
    path.write_text(HEAD + source)
    assert runner.run(str(path), options=runner.Options(quiet=True)) == 0
    assert capsys.readouterr().out.strip() == expected


def test_pandas_is_itself_again_afterwards(tmp_path: Path) -> None:
    import pandas

    path = tmp_path / "p.py"
    path.write_text("import pandas\nassert pandas.datetime\n")
    before = (pandas.read_csv, pandas.DataFrame.__getitem__, pandas.DataFrame.values, pandas.Series.fillna)
    assert runner.run(str(path), options=runner.Options(quiet=True)) == 0
    assert before == (pandas.read_csv, pandas.DataFrame.__getitem__, pandas.DataFrame.values, pandas.Series.fillna)
    assert not hasattr(pandas, "datetime")
