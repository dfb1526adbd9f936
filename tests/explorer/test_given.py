"""Names and messages of files from a browser."""

from pathlib import Path

import pytest

from xray2xray.explorer.given import in_words, safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Person, 1.2.1940.PNG", "upload.png"),
        ("scan.nii.gz", "upload.nii.gz"),
        ("patient_lateral.jpg", "lateral.jpg"),
        ("../../etc/passwd", "upload"),
        ("a/b/c.zip", "upload.zip"),
        ("", "upload"),
        ("x.Person", "upload.person"),
        ("IM0001", "upload"),
    ],
)
def test_a_name_says_its_ending_and_a_view(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_messages_name_no_path_and_no_option() -> None:
    path = Path("/tmp/x/upload.png")
    assert in_words(f"{path}: damaged (cut); copy {path} again", path) == "Damaged (cut); copy the file again"
    assert in_words(f"{path}/slice 3: damaged", path) == "Damaged"
    assert in_words("assumed to be PA; say --view ap if not", None).endswith("choose PA or AP under Options if not")
