"""Tables out of R, pandas, Excel, SQL and hands: what is in them is read, what is not is said.

Sources: pandas-dev/pandas#16078 and #5601, viralemergence/virion#46, OasisLMF/OasisLMF#308 (words for missing),
MIT-LCP/mimic-code#1018 (ids as floats); the rest are variants of the kind.
"""

import gzip
import logging
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from xray2xray.core.errors import InputError
from xray2xray.data.cohorts import Cohort, read_cohort
from xray2xray.data.cohorts.labels import as_label, as_number
from xray2xray.data.cohorts.rows import as_id, read_rows

ROWS = [("a.png", "p1", "1", "Müller, Jörg"), ("b.png", "p2", "0", ""), ("c.png", "p2", "NA", "O'Brien; 5\"")]


@pytest.fixture
def own(tmp_path: Path) -> Callable[[str], Cohort]:
    """Reads a table of one's own beside pictures a.png to f.png."""
    for name in "abcdef":
        (tmp_path / f"{name}.png").touch()

    def read(text: str, encoding: str = "utf-8") -> Cohort:
        (tmp_path / "own.csv").write_bytes(text.encode(encoding))
        return read_cohort(tmp_path / "own.csv", "csv")

    return read


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("before", ["", "\ufeff", "SEP\n"])
def test_delimiters(delimiter: str, end: str, before: str, tmp_path: Path) -> None:
    cells = [("path", "patient", "edema", "who")] + [[cell.replace('"', '""') for cell in row] for row in ROWS]
    text = end.join(delimiter.join(f'"{cell}"' for cell in row) for row in cells) + end
    before = f"sep={delimiter}{end}" if before.startswith("SEP") else before
    (tmp_path / "t.csv").write_bytes((before + text).encode())
    rows = read_rows(tmp_path / "t.csv")
    assert [tuple(row.values()) for row in rows] == [(a, b, "" if c == "NA" else c, d) for a, b, c, d in ROWS]
    first = 3 if before.startswith("sep") else 2
    assert [row.line for row in rows] == [first, first + 1, first + 2]


@pytest.mark.parametrize(
    "header_and_row",
    [
        "Image Index;Finding Labels;Patient ID\n0_000.png;Edema|Mass|Hernia;1\n",  # bars within cells
        "path,patient,notes\na.png,p1,effusion; edema; no change\n",  # semicolons within cells
        'path,patient,report\na.png,p1,"two lines,\nand a ""quote"""\n',
        "path;patient;time_years\na.png;p1;1,5\n",  # decimal comma
        "path\na b c.png\n",  # one column
    ],
)
def test_delimiters_that_are_easily_mistaken(header_and_row: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(header_and_row)
    (row,) = read_rows(tmp_path / "t.csv")
    assert list(row) == header_and_row.split("\n")[0].replace(";", ",").split(",")


@pytest.mark.parametrize(
    ("encoding", "who"),
    [
        ("utf-8-sig", "Müller"),
        ("utf-16", "Müller"),  # Excel's "Unicode text"
        ("utf-16-le", "Müller"),
        ("utf-16-be", "Müller"),
        ("cp1252", "Müller Größe"),
        ("cp1252", "Muñoz Peña"),  # taken for Polish by detectors
        ("cp1251", "Иванов Иван отёк"),
        ("gb18030", "王小明肺水肿北京"),
        ("shift_jis", "山田太郎 カテーテル"),
    ],
)
@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_encodings(encoding: str, who: str, delimiter: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = ["path patient who", *(f"{i}.png p{i} NAME" for i in range(6))]
    text = "\n".join(lines).replace(" ", delimiter).replace("NAME", who)
    (tmp_path / "t.txt").write_bytes(text.encode(encoding))
    assert {row["who"] for row in read_rows(tmp_path / "t.txt")} == {who}
    assert ("not UTF-8, read as" in caplog.text) == (not encoding.startswith("utf"))


def test_gzip_by_content(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(gzip.compress(b"path,patient\na.png,1\n"))
    assert read_rows(tmp_path / "t.csv") == [{"path": "a.png", "patient": "1"}]


@pytest.mark.parametrize(
    "word",
    [
        "NA",
        "N/A",
        "n.a.",
        "NULL",
        "None",
        "#N/A",
        "#NV",
        ".",
        ".M",
        "nan",
        "NaN",
        "<NA>",
        "\\N",
        "-",
        "?",
        "Unknown",
        " ",
    ],
)
def test_words_for_missing(word: str, own: Callable[[str], Cohort]) -> None:
    """The column stays a label, the outcome is unknown and the picture is kept for the other tasks."""
    cohort = own(f"path,patient,view,edema,event,time_years\na.png,1,PA,1,1,2.5\nb.png,2,{word},{word},{word},{word}\n")
    assert cohort.label_names == ("edema",)
    assert [sample.view for sample in cohort.samples] == ["PA", ""]
    unknown = cohort.samples[1]
    assert all(map(math.isnan, (unknown.labels["edema"], unknown.event, unknown.time_years)))
    assert cohort.failed == {}


def test_a_patient_called_na_is_no_patient(own: Callable[[str], Cohort]) -> None:
    cohort = own("path,patient\na.png,1\nb.png,NA\nNULL,3\n")
    assert len(cohort.samples) == 1
    assert cohort.failed == {
        "line 3": "no patient; fill the cell in, or take the row out",
        "line 4": "no path; fill the cell in, or take the row out",
    }


def test_labels_in_words(own: Callable[[str], Cohort], caplog: pytest.LogCaptureFixture) -> None:
    text = "path,patient,a,b,sex,c,age,e,grade,f\n"
    text += "a.png,1,TRUE,yes,M,1.0,61,,0,1\nb.png,2,False,No,F,0.0,1,,1,2\nc.png,3,,,F,,58,NA,3,1\n"
    with caplog.at_level(logging.WARNING):
        cohort = own(text)
    assert cohort.label_names == ("a", "b", "c")
    assert [s.labels["a"] for s in cohort.samples][:2] == [1, 0]
    assert [s.labels["b"] for s in cohort.samples][:2] == [1, 0]
    assert "column grade is left out: 1 of its 3 cells are no label, first '3' in line 4" in caplog.text
    assert "column f is left out: 1 of its 3 cells are no label, first '2' in line 3" in caplog.text
    assert "columns that are no labels are left out: e (empty)" in caplog.text


def test_numbers() -> None:
    assert [as_number(cell) for cell in ("1,5", "-0,25", "1.5", "2e3", "0,000")] == [1.5, -0.25, 1.5, 2000, 0]
    assert all(math.isnan(as_number(cell)) for cell in ("1,500", "12,345", "1_000", "inf", "1 2", "", "dead"))
    assert [as_label(cell) for cell in ("TRUE", "no", "-1", "1.0")] == [1, 0, -1, 1]


def test_decimal_commas(own: Callable[[str], Cohort]) -> None:
    """Three decimals are years, not thousands, where the comma does not part cells; where it does nobody knows."""
    cohort = own("path;patient;event;time_years\na.png;1;0;1,125\nb.png;2;1,0;12,5\n")
    assert [(s.event, s.time_years) for s in cohort.samples] == [(0, 1.125), (1, 12.5)]
    cohort = own('path,patient,event,time_years\na.png,1,0,"1,125"\nb.png,2,1,"12,5"\n')
    assert [s.time_years for s in cohort.samples] == [12.5]
    assert cohort.failed["line 2"].startswith("time_years '1,125' is no number")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,patient,edema,edema\na.png,1,1,0\n", "columns 3 and 4 are both called edema; take one out"),
        ("path,patient,edema,Edema\na.png,1,1,0\n", "columns 3 and 4 are both called Edema"),
        (",path,patient\n0,a.png,1\n", "column 1 has no name, but line 2 holds '0' in it; .*index=False"),
        ("path,patient,\na.png,1,\nb.png,2,x\n", "column 3 has no name, but line 3 holds 'x'"),
        ("path,image,patient\na.png,b.png,1\n", "columns image and path both name files"),
        ("file,patient\na.png,1\n", r"no column image, path, volume in the first line .there are: file, patient"),
        (
            'path,patient,who\na.png,1,"Smith\nb.png,2,x\nc.png,3,y\n',
            "own.csv, line 4: .*look for a quote out of place",
        ),
        ("path,patient,study\na.png,1,s\nb.png,2,s\n", "lines 2 and 3 have the same name 's' in column study"),
        ("path,patient,study\na.png,1,7.0\nb.png,2,7\n", "lines 2 and 3 have the same name '7' in column study"),
        ("path,patient,view\na.png,1,PA\nb.png,2,upside\n", "line 3: view 'upside'; write PA, AP"),
    ],
)
def test_tables_that_are_refused(text: str, said: str, own: Callable[[str], Cohort]) -> None:
    with pytest.raises(InputError, match=said):
        own(text)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b"PK\x03\x04\x14\x00\x06\x00xl/workbook.xml",
            "an Excel workbook or an archive, not a CSV table; save the sheet",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook"),
        (gzip.compress(b"path,patient\na.png,1\n", mtime=0)[:20], "cannot be read as a CSV table"),
        (b"\0\0\0\0", "cannot be read as a CSV table|no column|is empty"),
    ],
)
def test_files_that_are_no_tables(data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_rows(tmp_path / "t.csv", ["path"])


def test_an_empty_last_column_has_no_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As in ChestX-ray14's table; but short rows are said."""
    (tmp_path / "t.csv").write_text("path,patient,\na.png,1,\nb.png,2\n")
    assert len(read_rows(tmp_path / "t.csv")) == 2
    assert caplog.text == ""
    (tmp_path / "t.csv").write_text("path,patient,view\na.png,1,PA\nb.png,2\n")
    assert read_rows(tmp_path / "t.csv")[1]["view"] == ""
    assert "1 rows have fewer cells than there are columns, first line 3" in caplog.text


def test_ids(own: Callable[[str], Cohort]) -> None:
    assert [as_id(cell) for cell in ("17.0", "17", "017", "1.2.840.0", "p1.0", "17.50")] == [
        *("17", "17", "017", "1.2.840.0", "p1.0", "17.50"),
    ]
    cohort = own("path,patient\na.png,17.0\nb.png,17\nc.png,1.00E+07\n")
    assert [sample.patient for sample in cohort.samples] == ["patient-000001", "patient-000001"]
    assert cohort.failed == {"line 4": "'1.00E+07' is a number that a spreadsheet rounded; export the column as text"}


def test_paths_of_windows(own: Callable[[str], Cohort], tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "g.png").touch()
    (tmp_path / "odd\\name.png").touch()
    cohort = own("path,patient\nsub\\g.png,1\n.\\a.png,2\nodd\\name.png,3\nC:\\data\\h.png,4\n/data/h.png,5\n")
    assert [sample.path.name for sample in cohort.samples] == ["g.png", "a.png", "odd\\name.png"]
    assert cohort.failed == {
        "line 5": "no such file 'C:\\\\data\\\\h.png'; a drive of Windows: write paths relative to the table",
        "line 6": "no such file '/data/h.png'; is it of another machine?",
    }
