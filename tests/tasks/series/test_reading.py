"""Series from CSV, Parquet and .tsf files, and what is said of files that cannot be used."""

import numpy as np
import pytest

from unrolled.errors import DataError, UsageError
from unrolled.tasks.registry import recognised
from unrolled.tasks.series import blocks
from unrolled.tasks.series.options import SeriesOptions
from unrolled.tasks.series.reading import looks_like_series, read_series
from unrolled.tasks.series.times import date_format

pl = pytest.importorskip("polars")


def read(path, text, **options):
    path.write_text(text)
    return read_series(str(path), SeriesOptions(**options))


def monthly(values):
    return [f"{2000 + k // 12}-{k % 12 + 1:02d}-01,{v}" for k, v in enumerate(values)]


def test_one_series_with_times_and_several_columns(tmp_path):
    text = "note,Date,a,b\n" + "\n".join(f"x{k},{line},{k * 2}" for k, line in enumerate(monthly(range(30)))) + "\n"
    source = read(tmp_path / "t.csv", text)
    assert source.columns.time == "Date" and source.columns.targets == ("a",) and source.columns.others == ("b",)
    assert source.clock.name == "monthly" and source.series[0].y[:, 0].tolist() == list(range(30))
    both = read(tmp_path / "t.csv", text, target="b,a")
    assert both.series[0].y[:3].tolist() == [[0, 0], [2, 1], [4, 2]]


def test_semicolons_decimal_commas_and_missing_values(tmp_path):
    source = read(tmp_path / "t.csv", "Datum;Wert\n13.01.2020;1,5\n14.01.2020;NA\n16.01.2020; 2\n17.01.2020;-3e1\n")
    y = source.series[0].y[:, 0]
    assert source.missing == 2 and np.array_equal(y, [1.5, np.nan, np.nan, 2, -30], equal_nan=True)
    assert source.clock.name == "daily"


@pytest.mark.parametrize("separator", [",", ";", "|"])
@pytest.mark.parametrize("lines", [2, 9, 30])
def test_cells_of_several_lines_do_not_hide_what_separates_them(tmp_path, separator, lines):
    note = '"' + "\n".join(["a, b; c"] * lines) + '"'
    rows = [["day", "y", '"a\nnote"'], *([f"2020-01-0{k}", f"{k}.5", note] for k in range(1, 10))]
    file = tmp_path / "notes.csv"
    file.write_text("".join(separator.join(row) + "\n" for row in rows))
    assert looks_like_series(file)
    source = read_series(str(file), SeriesOptions())
    assert source.clock.name == "daily" and source.series[0].y[:, 0].tolist() == [k + 0.5 for k in range(1, 10)]


@pytest.mark.parametrize("block", [16, 1 << 20])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("note", ['"a{}', '{}" pipe', '{} "quoted" word', '"a, b; c{}', '{}"'])
def test_between_tabs_a_quote_is_a_letter(tmp_path, monkeypatch, note, end, block):
    monkeypatch.setattr(blocks, "_BLOCK", block)
    lines = ["day\tnote\tv"]
    notes = [(note if k in (2, 5, 8) else "x{}").format(k) for k in range(1, 11)]
    lines += [f"2020-01-{k:02d}\t{some}\t{k}" for k, some in enumerate(notes, 1)]
    (tmp_path / "t.tsv").write_bytes((end.join(lines) + end).encode())
    assert looks_like_series(tmp_path / "t.tsv")
    source = read_series(str(tmp_path / "t.tsv"), SeriesOptions())
    assert source.series[0].y[:, 0].tolist() == list(range(1, 11))
    named = read_series(str(tmp_path / "t.tsv"), SeriesOptions(id="note"))
    assert [one.name for one in named.series] == notes


def test_between_tabs_quotes_around_a_cell_are_not_part_of_it(tmp_path):
    lines = ['"day"\t"the ""v"""\t"id"', *(f'"2020-01-0{k}"\t"{k}.5"\t"a ""b"""' for k in range(1, 9))]
    source = read(tmp_path / "t.tsv", "\n".join(lines) + "\n")
    (one,) = source.series
    assert source.columns.targets == ('the "v"',) and one.name == 'a "b"'
    assert one.y[:, 0].tolist() == [k + 0.5 for k in range(1, 9)]


def test_between_tabs_a_row_is_a_line(tmp_path):
    rows = "".join(f'2020-01-0{k}\t{k}\t"two\nlines"\n' for k in range(1, 9))
    with pytest.raises(DataError, match="row 2 has 1 cell, expected 3"):
        read(tmp_path / "t.tsv", "day\tv\tnote\n" + rows)


def column(path, separator, cells):
    lines = [f"2020-01-{k:02d}{separator}{cell}" for k, cell in enumerate(cells, 1)]
    return read(path, f"day{separator}v\n" + "\n".join(lines) + "\n").series[0].y[:, 0].tolist()


@pytest.mark.parametrize("block", [16, 1 << 20])
@pytest.mark.parametrize(
    ("separator", "cells", "message"),
    [
        (",", ["950", '"1,020"', "7"], "row 2, column 'v' is '1,020', which may be 1.02 or 1020: write numbers"),
        (",", ['"2,500"', '"1,020"'], "row 1, column 'v' is '2,500', which may be 2.5 or 2500"),
        (";", ["950", "1.020", "980,5"], "row 3, column 'v' is '980,5', and another row has '1.020': write all"),
        (";", ["980,5", "7", "7.25"], "row 3, column 'v' is '7.25', and another row has '980,5'"),
        (";", ["950", "NA", "1.020"], "row 3, column 'v' is '1.020', which may be 1.02 or 1020"),
        ("\t", ["1,020", "-950", "-"], "row 1, column 'v' is '1,020', which may be 1.02 or 1020"),
        (",", ["1.5", '"2,5"'], "row 2, column 'v' is '2,5', and another row has '1.5'"),
    ],
)
def test_numbers_that_may_have_separators_of_thousands(tmp_path, monkeypatch, separator, cells, message, block):
    monkeypatch.setattr(blocks, "_BLOCK", block)
    with pytest.raises(DataError, match=message):
        column(tmp_path / "t.csv", separator, cells)


@pytest.mark.parametrize(
    ("separator", "cells", "values"),
    [
        (",", ["950", "1.020", "7"], [950, 1.02, 7]),
        (",", ["950", '"1,5"', "7"], [950, 1.5, 7]),
        (";", ["1.020", "2.500", "3.125"], [1.02, 2.5, 3.125]),
        (";", ["1,020", "2,500", "3,125"], [1.02, 2.5, 3.125]),
        (";", ["1,020", "0,500", "3"], [1.02, 0.5, 3]),
        ("\t", ["1.020", "3", "1024"], [1.02, 3, 1024]),
        ("\t", ["1.020", "3", "2.5e3"], [1.02, 3, 2500]),
        ("|", ["1", "3", "1024"], [1, 3, 1024]),
    ],
)
def test_decimal_marks(tmp_path, separator, cells, values):
    assert column(tmp_path / "t.csv", separator, cells) == values


def test_numbers_alone(tmp_path):
    source = read(tmp_path / "t.csv", "3\n1.5\n4\n")
    assert source.series[0].y[:, 0].tolist() == [3, 1.5, 4] and source.columns.time is None


def test_years_are_times(tmp_path):
    source = read(tmp_path / "t.csv", '"YEAR","SUN"\n1700,5\n1701,11\n1702,16\n')
    assert source.columns.time == "YEAR" and source.series[0].times.tolist() == [1700, 1701, 1702]


def test_many_series_by_id(tmp_path):
    lines = [f"{name},{line}" for line in monthly(range(6)) for name in ("one", "two")]
    source = read(tmp_path / "t.csv", "shop,day,sold\n" + "\n".join(lines) + "\n")
    assert [one.name for one in source.series] == ["one", "two"] and source.columns.id == "shop"
    assert all(one.y[:, 0].tolist() == list(range(6)) for one in source.series)


def test_parquet(tmp_path):
    from datetime import date

    days = [date(2024, 1, k) for k in (1, 2, 3, 5)]
    for column in (pl.Series(days), pl.Series(days).cast(pl.Datetime("ms"))):
        pl.DataFrame({"day": column, "v": [1, 2, None, 4]}).write_parquet(tmp_path / "t.parquet")
        source = read_series(str(tmp_path / "t.parquet"), SeriesOptions())
        assert np.array_equal(source.series[0].y[:, 0], [1, 2, np.nan, np.nan, 4], equal_nan=True)


@pytest.mark.parametrize("missing", [(), (5,)])
@pytest.mark.parametrize(
    ("days", "following"),
    [
        ([28, 28, 28, 28, 28, 28, 28, 28], ["2022-09-28", "2022-10-28"]),
        ([29, 28, 29, 29, 29, 29, 29, 29], ["2022-09-29", "2022-10-29"]),
        ([30, 28, 30, 30, 30, 30, 30, 30], ["2022-09-30", "2022-10-30"]),
        ([31, 28, 31, 30, 31, 30, 31, 31], ["2022-09-30", "2022-10-31"]),
    ],
)
def test_the_day_of_the_month_stays(tmp_path, days, following, missing):
    """Also of a series that ends in February: its last date alone does not say which day it is."""
    for last in (8, 2 + 5 * bool(missing)):
        lines = [f"2022-{k + 1:02d}-{day},{k}\n" for k, day in enumerate(days) if k not in missing and k < last]
        source = read(tmp_path / "t.csv", "day,v\n" + f"2021-12-{max(days)},9\n" + "".join(lines))
        (one,) = source.series
        assert source.clock.name == "monthly" and len(one.y) == last + 1
        assert [str(t)[:10] for t in one.times[1:]] == [
            f"2022-{k + 1:02d}-{day}" for k, day in enumerate(days[:last])
        ]
        if last == 8:
            assert [str(t)[:10] for t in one.after(source.clock, 2)] == following
        elif last == 2:
            assert str(one.after(source.clock, 1)[0])[:10] == f"2022-03-{days[2]}"


TSF = """# a comment
@relation x
@attribute series_name string
@attribute start_timestamp date
@frequency monthly
@horizon 3
@missing true
@data
T1:1979-11-01 00-00-00:1,?,3
T2:1980-01-01 00-00-00:4,5,6
"""


def test_tsf(tmp_path):
    source = read(tmp_path / "t.tsf", TSF)
    one, two = source.series
    assert (one.name, two.name, source.horizon) == ("T1", "T2", 3)
    assert np.array_equal(one.y[:, 0], [1, np.nan, 3], equal_nan=True)
    assert one.times[2] == np.datetime64("1980-01-01") and two.y[:, 0].tolist() == [4, 5, 6]


GOOD = "day,v\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\nx,y\nz,w\n", "has no column of numbers to forecast; it has a, b"),
        ("", "is empty"),
        ("day,v\n", "has no column of numbers"),
        (GOOD + "2020-01-04,four\n", "row 4, column 'v' is 'four', expected a number"),
        (GOOD + "2020-01-04,inf\n", "row 4, column 'v' is 'inf', expected a number"),
        (GOOD + "2020-01-04,1e308\n", "row 4, column 'v' is '1e308', expected a number from -1e.100 to 1e.100"),
        (GOOD + "2020-01-04,4,5\n2020-01-05,5\n", "row 4 has 3 cells, expected 2"),
        (GOOD + "2020-01-03,4\n", "row 4 has the time 2020-01-03 a second time"),
        (GOOD + "2019-01-03,4\n", "row 4 has the time 2019-01-03, before 2020-01-03 in the row above"),
        (GOOD + "soon,4\n" * 400 + "\n", "row 4, column 'day' is 'soon', expected a date like 2020-01-01"),
        (GOOD + "2020-01-04,4,5,6\n", "row 4 has 4 cells, expected 2"),
        ("t,v\n1,1\n2,3\n3,3\ninf,4\n", "row 4, column 't' is 'inf', expected a date such as .*, or a number"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path / "t.csv", text)
    assert "\n" not in str(error.value)


def test_a_word_far_down_is_found(tmp_path):
    rows = [str(k % 7) for k in range(900_002)]
    rows[900_000] = "oops"
    (tmp_path / "t.csv").write_text("v\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError, match="row 900,001, column 'v' is 'oops'"):
        read_series(str(tmp_path / "t.csv"), SeriesOptions())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("@frequency monthly", "@frequency often"), "the frequency is 'often'"),
        (("@data\n", ""), "line 8 stands before @data"),
        (("4,5,6", "4,five,6"), "line 10, value 2 is 'five'"),
        (("4,5,6", "4,inf,6"), "line 10, value 2 is 'inf', expected a number$"),
        (("4,5,6", "4,5,1e200"), "line 10, value 3 is '1e200', expected a number from"),
        (("T2:", "T1:"), "line 10 has the name 'T1' a second time"),
        (("T2:", ""), "line 10 has 2 parts"),
        (("1980-01-01 00-00-00", "January"), "line 10: start_timestamp is 'January'"),
    ],
)
def test_tsf_files_that_are_wrong(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path / "t.tsf", TSF.replace(*change))


def test_columns_that_are_not_there(tmp_path):
    for name in ("time", "id", "target"):
        with pytest.raises(UsageError, match=f"--{name}: .* has no column 'x'; it has day, v"):
            read(tmp_path / "t.csv", GOOD, **{name: "x"})
    with pytest.raises(UsageError, match="there is no file"):
        read_series(str(tmp_path / "none.csv"), SeriesOptions())
    with pytest.raises(UsageError, match="is a folder"):
        read_series(str(tmp_path), SeriesOptions())


def test_files_of_series_are_recognised(tmp_path):
    (tmp_path / "t.csv").write_text(GOOD)
    (tmp_path / "t.txt").write_text(GOOD)
    (tmp_path / "words.csv").write_text("a,b\nto be,or not\nto be,that\nis,the question\n")
    assert recognised(tmp_path / "t.csv") == "series"
    assert recognised(tmp_path / "t.txt") == recognised(tmp_path / "words.csv") == "text"


def test_the_day_or_the_month_may_come_first():
    months = [f"01/{month:02d}/{year}" for year in (2019, 2020) for month in range(1, 13)]
    assert date_format(months) == date_format(months * 2) == "%d/%m/%Y"
    days = [f"{month:02d}/{day:02d}/2020" for month in (1, 2) for day in range(1, 29)]
    assert date_format(days) == "%m/%d/%Y"
    assert date_format(["01/02/2020"]) == "%m/%d/%Y"


@pytest.mark.parametrize("offset", ["Z", "+00:00", "+0000", "+02:00", " -0330"])
def test_times_with_the_offset_of_one_clock(tmp_path, offset):
    hours = [0, 1, 2, 4, 5, 6, 7, 8]
    lines = [f"2020-03-01T{hour:02d}:00:00{offset},{hour}" for hour in hours]
    source = read(tmp_path / "t.csv", "time,y\n" + "\n".join(lines) + "\n")
    assert source.clock.name == "hourly" and source.missing == 1 and len(source.series[0].y) == 9
    assert str(source.series[0].times[:][0]) == "2020-03-01T00:00:00"


def test_times_of_clocks_that_change_are_named(tmp_path):
    lines = [f"2020-03-29T{hour:02d}:00:00+0{1 + (hour > 2)}:00,{hour}" for hour in range(8)]
    with pytest.raises(DataError, match=r"row 4, column 'time' is '2020-03-29T03:00:00\+02:00', whose clock"):
        read(tmp_path / "t.csv", "time,y\n" + "\n".join(lines) + "\n")
    lines = [f"2020-03-29T{hour:02d}:00:00{'' if hour else 'Z'},{hour}" for hour in range(8)]
    with pytest.raises(DataError, match="row 2, .* write all times in UTC"):
        read(tmp_path / "t.csv", "time,y\n" + "\n".join(lines) + "\n")
    lines = [f"2020-03-29T{hour:02d}:00:00{'Z' if hour == 5 else ''},{hour}" for hour in range(8)]
    with pytest.raises(DataError, match="row 6, .* write all times in UTC"):
        read(tmp_path / "t.csv", "time,y\n" + "\n".join(lines) + "\n")


def test_times_of_a_zone_in_parquet_are_those_of_utc(tmp_path):
    from datetime import datetime, timedelta

    times = [datetime(2020, 3, 28, 20) + timedelta(hours=k) for k in range(12)]
    column = pl.Series("time", times, dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone("Europe/Berlin")
    pl.DataFrame({"time": column, "y": list(range(12))}).write_parquet(tmp_path / "t.parquet")
    source = read_series(str(tmp_path / "t.parquet"), SeriesOptions())
    assert source.clock.name == "hourly" and not source.missing  # though an hour is left out in Berlin
    assert str(source.series[0].times[:][0]) == "2020-03-28T20:00:00"


def test_fractions_of_seconds_are_refused_where_they_matter(tmp_path):
    near = "".join(f"2020-01-01 00:00:{k * 1.25:06.3f},{k}\n" for k in range(12))
    with pytest.raises(
        DataError, match=r"row 2, column 'time' is '2020-01-01 00:00:01.250', and seconds are not div"
    ):
        read(tmp_path / "t.csv", "time,y\n" + near)
    far = "".join(f"2020-01-01 {k:02d}:00:00.125,{k}\n" for k in range(12))
    assert read(tmp_path / "u.csv", "time,y\n" + far).clock.name == "hourly"
