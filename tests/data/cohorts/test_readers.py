"""Every cohort as it is delivered becomes the same table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xray2xray.core.errors import InputError
from xray2xray.data.cohorts import Cohort, Policy, read_cohort, summary, write_table

from .conftest import save_dicom


def rows(cohort: Cohort) -> list[tuple[str, str, str, str]]:
    return [(s.study, s.patient, s.view, s.split) for s in cohort.samples]


def test_chexpert(chexpert: Path) -> None:
    cohort = read_cohort(chexpert, "chexpert")
    assert rows(cohort) == [
        ("patient00001-study1-view1_frontal", "patient00001", "AP", "train"),
        ("patient00001-study1-view2_lateral", "patient00001", "lateral", "train"),
        ("patient00002-study1-view1_frontal", "patient00002", "PA", "train"),
        ("patient64541-study1-view1_frontal", "patient64541", "AP", "validation"),
        ("patient64741-study1-view1_frontal", "patient64741", "frontal", "test"),
    ]
    assert all(s.path.is_file() for s in cohort.samples)
    assert list(cohort.failed.values()) == ["labels without an image"]
    assert "patient00003" in next(iter(cohort.failed))
    assert len(cohort.label_names) == 14
    assert [s.study[-7:] for s in cohort.frontals().samples] == ["frontal"] * 4


@pytest.mark.parametrize(
    ("policy", "cardiomegaly", "pneumonia"),
    [
        (Policy(), [np.nan, np.nan, 1, 0, 0], [0, 0, 0, 0, 0]),
        (Policy("zeros"), [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]),
        (Policy("ones"), [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]),
        (Policy("ones", "ignore"), [1, 1, 1, 0, 0], [np.nan, np.nan, np.nan, np.nan, 0]),
    ],
)
def test_uncertain_and_unmentioned(
    chexpert: Path, policy: Policy, cardiomegaly: list[float], pneumonia: list[float]
) -> None:
    cohort = read_cohort(chexpert, "chexpert", policy)
    np.testing.assert_array_equal(cohort.label("cardiomegaly"), cardiomegaly)
    np.testing.assert_array_equal(cohort.label("pneumonia"), pneumonia)


def test_mimic(mimic: Path) -> None:
    cohort = read_cohort(mimic, "mimic")
    assert rows(cohort) == [
        ("02aa804e-bde0afdd", "p10000032", "PA", "train"),
        ("174413ec-4ec4c1f7", "p10000032", "lateral", "train"),
        ("2a2277a9-b0ded155", "p11000764", "AP", "validation"),
    ]
    np.testing.assert_array_equal(cohort.label("edema"), [1, 1, np.nan])  # the last study has no row of labels
    np.testing.assert_array_equal(cohort.label("pneumonia"), [np.nan] * 3)
    np.testing.assert_array_equal(cohort.label("fracture"), [0, 0, np.nan])
    assert ["68b5c4b1" in one for one in cohort.failed] == [True]


def test_nlst(nlst: Path) -> None:
    cohort = read_cohort(nlst, "nlst")
    assert rows(cohort) == [
        ("100012-T0", "100012", "CT", ""),
        ("100012-T2", "100012", "CT", ""),
        ("100147-T0", "100147", "CT", ""),
        ("200009-T0", "200009", "CT", ""),
    ]
    assert cohort.samples[0].path.name == "01-02-1999-NA-NLST-LSS-37720", "the study, not one series"
    assert cohort.label("atelectasis").tolist() == [1, 0, 0, 0]
    assert cohort.label("consolidation").tolist() == [0, 0, 0, 1]
    assert cohort.label("significant_cardiovascular_abnormality").tolist() == [0, 1, 0, 0]
    assert cohort.label("cvd").tolist() == [1, 1, 1, 0], "of the participant: at any screening, or as cause of death"
    assert [s.event for s in cohort.samples] == [0, 0, 1, 2]
    years = [2490 / 365.25, 1760 / 365.25, 995 / 365.25, 710 / 365.25]
    assert [s.time_years for s in cohort.samples] == pytest.approx(years)
    assert cohort.failed == {"200010-T0": "abnormalities without a CT"}


def test_nlst_public_tables_know_no_deaths(nlst: Path) -> None:
    (nlst / "participant_d040722.csv").unlink()
    people = "pid,age,scr_days0,scr_days1,scr_days2\n100012,60,1,2,3\n100147,61,1,2,3\n"
    (nlst / "nlst_780_prsn_idc_20210527.csv").write_text(people)
    (nlst / "sct_abnormalities_d040722.csv").rename(nlst / "nlst_780_ctab_idc_20210527.csv")
    cohort = read_cohort(nlst, "nlst")
    np.testing.assert_array_equal(cohort.label("cvd"), [1, 1, np.nan])
    assert np.isnan([s.event for s in cohort.samples]).all()
    assert "participant 200009 is in no table" in cohort.failed.values()


def test_lidc(lidc: Path) -> None:
    cohort = read_cohort(lidc, "lidc")
    assert sorted(rows(cohort)) == [
        ("LIDC-IDRI-0001-CT", "LIDC-IDRI-0001", "CT", ""),
        ("LIDC-IDRI-0001-DX", "LIDC-IDRI-0001", "PA", ""),
        ("LIDC-IDRI-0001-DX-2", "LIDC-IDRI-0001", "lateral", ""),
        ("LIDC-IDRI-0002-CR", "LIDC-IDRI-0002", "", ""),
        ("LIDC-IDRI-0002-CT", "LIDC-IDRI-0002", "CT", ""),
    ]
    assert [Path(one).parent.name for one in cohort.failed] == ["damaged"]
    assert len(cohort.frontals().samples) == 3


def test_nih(nih: Path) -> None:
    cohort = read_cohort(nih, "nih")
    assert rows(cohort) == [
        ("00000001_000", "00000001", "PA", "train"),
        ("00000001_001", "00000001", "AP", "train"),
        ("00000002_000", "00000002", "PA", "test"),
    ]
    assert cohort.label("pleural_effusion").tolist() == [1, 0, 0]
    assert cohort.label("pleural_thickening").tolist() == [0, 0, 1]
    assert cohort.label("no_finding").tolist() == [0, 1, 0]
    assert cohort.failed == {"00000003_000.png": "labels without an image"}


def test_the_names_in_a_plain_table_are_not_passed_on(nih: Path, tmp_path: Path) -> None:
    table = tmp_path / "own.csv"
    picture = "ChestXray-NIHCC/images_001/images/00000001_000.png"
    table.write_text(
        f"image,patient,view,age,edema,notes\n{picture},Anna Smith,pa,50,1,\n{picture},Anna Smith,lateral,50,-1,\n"
        f"missing.png,Bob Miller,PA,60,,\n{picture},Bob Miller,,60,,\n"
    )
    cohort = read_cohort(table, "csv")
    assert rows(cohort) == [
        ("study-000001", "patient-000001", "PA", ""),
        ("study-000002", "patient-000001", "lateral", ""),
        ("study-000004", "patient-000002", "", ""),
    ]
    np.testing.assert_array_equal(cohort.label("edema"), [1, np.nan, np.nan])
    assert cohort.label_names == ("edema",), "age and notes are no labels"
    assert cohort.failed == {"line 4": "no such file 'missing.png'; paths are relative to the table"}
    table.write_text(f"image,patient,view\n{picture},1,oblique\n")
    with pytest.raises(InputError, match=r"line 2: view 'oblique'; write PA, AP, frontal, lateral, CT"):
        read_cohort(table, "csv")


@pytest.mark.parametrize("kind", ["chexpert", "nlst", "lidc"])
def test_the_written_table_reads_back(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    cohort = read_cohort(request.getfixturevalue(kind), kind)  # type: ignore[arg-type]
    write_table(tmp_path / "out" / "cohort.csv", cohort)
    again = read_cohort(tmp_path / "out" / "cohort.csv", "csv")
    assert rows(again) == rows(cohort)
    assert [s.path.resolve() for s in again.samples] == [s.path for s in cohort.samples]
    for name in again.label_names:
        np.testing.assert_array_equal(again.label(name), cohort.label(name))
    for name in ("event", "time_years"):
        ours, theirs = ([getattr(s, name) for s in one.samples] for one in (again, cohort))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_summary(chexpert: Path) -> None:
    said = summary(read_cohort(chexpert, "chexpert"))
    assert said.splitlines()[0] == "chexpert: 5 studies of 4 patients: 2 AP, 1 lateral, 1 PA, 1 frontal"
    assert "100.0 % of 1" in next(line for line in said.splitlines() if line.startswith("cardiomegaly"))


@pytest.mark.parametrize(
    ("kind", "spoil", "said"),
    [
        ("chexpert", "train.csv", "no column Path"),
        ("mimic", "mimic-cxr-2.0.0-split.csv", "no column dicom_id"),
        ("nih", "Data_Entry_2017.csv", "no column Image Index"),
        ("nlst", "participant_d040722.csv", "no column pid"),
        ("nlst", "sct_abnormalities_d040722.csv", "no column pid"),
    ],
)
def test_another_table(kind: str, spoil: str, said: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(kind)
    (root / spoil).write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=said):
        read_cohort(root, kind)  # type: ignore[arg-type]
    (root / spoil).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"cannot be read|no column"):
        read_cohort(root, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["nlst", "lidc", "nih", "chexpert", "mimic"])
def test_an_empty_folder(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"give the folder that the (cohort came in|download made)"):
        read_cohort(tmp_path, kind)  # type: ignore[arg-type]


def test_cells_that_are_no_labels(chexpert: Path) -> None:
    table = chexpert / "valid.csv"
    table.write_text(table.read_text().replace("0.0", "7"))
    with pytest.raises(InputError, match=r"valid\.csv, line 2, column Cardiomegaly: '7' is no label"):
        read_cohort(chexpert, "chexpert")


@pytest.fixture
def own(nih: Path, tmp_path: Path) -> Callable[[str], Cohort]:
    """Reads a table of one's own from text, in which PNG stands for a picture that is there."""
    picture = (nih / "images_001/images/00000001_000.png").relative_to(tmp_path)

    def read(text: str) -> Cohort:
        (tmp_path / "own.csv").write_text(text.replace("PNG", str(picture)))
        return read_cohort(tmp_path / "own.csv", "csv")

    return read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "own.csv: the table is empty"),
        ("\n", "own.csv: the table is empty"),
        ("path,patient\n", "own.csv: the table has no rows"),
        ("path,patient\nPNG,1\nan, unquoted.png,1,2\n", "own.csv, line 3: more cells .4. than columns .2."),
    ],
)
def test_tables_that_are_none(own: Callable[[str], Cohort], text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        own(text)


def test_a_bad_row_costs_itself_only(own: Callable[[str], Cohort]) -> None:
    cohort = own(
        f"path, patient, view, event, time_years, edema\nPNG, 1, pa ,1,2.5,nan\n{'a' * 300}.png,2,PA,,,1\n"
        "PNG,3,PA,1,-3,1\nPNG,4,PA,1.5,3,1\nPNG,5,PA,dead,3,1\nPNG,6,PA,1,inf,1\nPNG,7,PA,,,0\nPNG,8\n"
    )
    assert [s.study for s in cohort.samples] == ["study-000001", "study-000007", "study-000008"]
    np.testing.assert_array_equal(cohort.label("edema"), [np.nan, 0, np.nan])
    assert cohort.failed == {
        "line 3": f"no such file '{'a' * 300}.png'; paths are relative to the table",
        "line 6": "event 'dead' is no number; write one, or nothing where it is unknown",
        "line 7": "time_years 'inf' is no number; write one, or nothing where it is unknown",
        "study-000003": "event 1 after -3 years is no outcome",
        "study-000004": "event 1.5 after 3 years is no outcome",
    }


def test_a_death_before_the_scan_is_no_outcome(nlst: Path) -> None:
    table = nlst / "participant_d040722.csv"
    table.write_text(table.read_text().replace("200009,1,0,", "200009,1,1000,"))
    assert read_cohort(nlst, "nlst").failed["200009-T0"] == "event 2 after -0.794 years is no outcome"


def test_patients_without_a_number(nih: Path) -> None:
    table = nih / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace("Thickening,0,2,", "Thickening,0,two,"))
    (nih / "test_list.txt").write_bytes("Müller.png\n".encode("latin-1"))
    cohort = read_cohort(nih, "nih")
    assert cohort.failed["00000002_000.png"] == "Patient ID 'two' is no number"
    assert len(cohort.samples) == 2


def test_headers_that_say_nothing(lidc: Path) -> None:
    files = list(lidc.rglob("*.dcm"))
    for file in files:
        save_dicom(file, "", "20000101", "CT")
    with pytest.raises(InputError, match=r"nothing can be used .*\.dcm: no PatientID in the header; .* .2 such files"):
        read_cohort(lidc, "lidc")
