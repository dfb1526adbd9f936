"""One function tells the view, whatever the words and codes."""

import pytest

from xray2xray.radiograph.view import view_in_header, view_of

from .films import header, item

WORDS = {
    "PA": ["PA", "pa", "P.A.", "PA erect", "postero-anterior", "posterior to anterior"],
    "AP": ["AP", "ap", "AP SUPINE", "AP_ERECT", "AP_horizontal", "antero-posterior", "AP semi-erect portable"],
    "frontal": ["frontal", "FRONTAL", "AP/PA"],
    "lateral": [
        "lateral", "L", "LL", "RL", "LAT", "LA", "LLAT", "LEFT LATERAL", "Lateral (L)", "XTABLE LATERAL", "R LAT",
        "seitlich", "cross-table lateral",
    ],
    "oblique": ["LAO", "RAO", "LPO", "rpo", "LLO", "RLO", "PA oblique", "left lateral oblique"],
    "decubitus": ["LLD", "RLD", "AP LLD", "left lateral decubitus", "AP decub."],
    "other": ["AP AXIAL", "AP LORDOTIC", "apical", "SWIMMERS", "COSTAL"],
    "": ["", "  "],
    None: ["xyz", "EXCLUDE", "R", "PA AND LATERAL", "CT"],
}  # fmt: skip


@pytest.mark.parametrize(("view", "words"), [(view, word) for view, words in WORDS.items() for word in words])
def test_words(view: str | None, words: str) -> None:
    assert view_of(words) == view


def test_a_description_speaks_of_much_else() -> None:
    assert view_of("W034 Chest lat. 2 films", free_text=True) == "lateral"
    assert view_of("Thorax p.a.", free_text=True) == "PA"
    for words in ("Chest L", "CHEST PA & LAT", "Thorax 2 Ebenen", "bilateral ribs", "axial", "LL"):
        assert view_of(words, free_text=True) is None


def code(value: str, meaning: str = "", **more: object) -> list[object]:
    return [item(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning, **more)]


@pytest.mark.parametrize(
    ("tags", "view"),
    [
        ({}, ""),
        ({"ViewPosition": "PA"}, "PA"),
        ({"ViewCodeSequence": code("399173006", "seitlich links")}, "lateral"),
        ({"ViewCodeSequence": code("R-10236")}, "lateral"),
        ({"ViewCodeSequence": code("R-10206")}, "AP"),
        ({"ViewCodeSequence": code("R-10220")}, "oblique"),
        ({"ViewCodeSequence": code("99-7", "antero-posterior")}, "AP"),
        ({"ViewCodeSequence": code("272479007", ViewModifierCodeSequence=code("260450008"))}, "other"),
        (
            {
                "PatientOrientationCodeSequence": code(
                    "102538003", PatientOrientationModifierCodeSequence=code("32185000")
                )
            },
            "decubitus",
        ),
        ({"PatientOrientation": ["L", "F"]}, ""),
        ({"PatientOrientation": ["A", "F"]}, "lateral"),
        ({"PatientOrientation": ["F", "P"]}, "lateral"),
        ({"PatientOrientation": ["LA", "F"]}, "oblique"),
        ({"PatientOrientation": ["CR", "V"]}, ""),
        ({"SeriesDescription": "CHEST LATERAL"}, "lateral"),
        ({"ViewPosition": "", "ProtocolName": "Thorax ap liegend"}, "AP"),
        ({"ViewPosition": "PA", "SeriesDescription": "CHEST PA AND LAT"}, "PA"),
    ],
)
def test_headers(tags: dict[str, object], view: str) -> None:
    found = view_in_header(header(**tags))
    assert (found.view, found.conflict) == (view, False)


def test_what_is_unknown_and_what_contradicts_is_said() -> None:
    assert view_in_header(header(ViewPosition="XYZ")).unknown == "XYZ"
    mixed = view_in_header(header(ViewPosition="PA", PatientOrientation=["A", "F"]))
    assert (mixed.view, mixed.conflict, mixed.said) == ("lateral", True, "ViewPosition PA, PatientOrientation A/F")
    named = view_in_header(header(ViewPosition="AP", SeriesDescription="Chest PA of Mr Secret"))
    assert (named.conflict, named.said) == (True, "ViewPosition AP, SeriesDescription PA")
    assert view_in_header(header(ViewPosition="AP", SeriesDescription="Chest PA")).view == "AP"
    both = view_in_header(header(ViewCodeSequence=code("399033003"), ViewPosition="AP"))
    assert (both.view, both.conflict) == ("AP", False)
