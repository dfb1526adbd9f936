"""How a radiograph was taken, from the words and codes that headers, tables and people use for it.

One place decides for every verb and cohort. Words: ViewPosition (PS3.3 C.8.7.10.1.1, C.8.11.5), as vendors and public
cohorts write it; codes: DICOM CID 4010 (DX View), in SNOMED CT and in the SNOMED RT that older files have.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

# "frontal": PA or AP, unknown which; "other": a view of its own, such as lordotic; "": nothing is said of it
View = Literal["PA", "AP", "frontal", "lateral", "oblique", "decubitus", "other", ""]
FRONTAL: tuple[View, ...] = ("PA", "AP", "frontal")
_CODED = {
    "ViewCodeSequence": "ViewModifierCodeSequence",
    "PatientOrientationCodeSequence": "PatientOrientationModifierCodeSequence",
}
_DESCRIPTIONS = ("SeriesDescription", "AcquisitionDeviceProcessingDescription", "ProtocolName")
VIEW_TAGS = (*_CODED, "ViewPosition", "PatientOrientation", *_DESCRIPTIONS)  # what `view_in_header` reads

# Of several that are found the first holds: a "lateral decubitus" is no lateral, an "AP axial" is no AP.
_WORDS: dict[View, str] = {
    "decubitus": r"DECUB\w*|[LR]LD",
    "oblique": r"OBL\w*|[LR][AP]O|[LR]LO",
    "other": r"LORDO\w*|AP[IE]CAL|SWIMMER\w*|COSTAL",
    "lateral": r"LAT(ERAL\w*)?|[LR]T? ?LAT|LAT[LR]|X ?TABLE|CROSS ?TABLE|PROFIL|SEITLICH\w*|SEITL",
    "PA": r"P ?A|POSTER(O|IOR) ?(TO ?)?ANTERIOR",
    "AP": r"A ?P|ANTER(O|IOR) ?(TO ?)?POSTERIOR",
    "frontal": r"FRONTAL|FRONT",
}
_FIELD_WORDS = _WORDS | {  # what is too short, or too common, in free text
    "other": _WORDS["other"] + "|AXIAL",
    "lateral": _WORDS["lateral"] + "|LL|RL|^(L|LA)$",
}
_CODES: dict[View, str] = {
    "PA": "272479007 R-40888 R-10214",
    "AP": "399348003 R-10206",
    "frontal": "399033003 R-10202",
    "lateral": "399067008 R-102CD 399173006 R-10236 399198007 R-10232 399352003 R-10228 399260004 R-10224 30730003",
    "oblique": "399182000 R-102C1 399135007 R-10220 399356000 R-40985 399006002 R-10212 399038007 R-10210 "
    "399184004 R-10238 399236003 R-10234 399312000 R-10208 399059000 R-10216 399160007 R-10204 260427002 R-40783",
    "decubitus": "32185000 102536004 102535000",
    "other": "260450008 399061009 R-10241 399132005 R-10252 399004004 R-10246",
}
_VIEW_OF_CODE: dict[str, View] = {code: view for view, codes in _CODES.items() for code in codes.split()}


def view_of(words: str, free_text: bool = False) -> View | None:
    """The view that a cell, a ViewPosition or a description names; "" where it is empty.

    Args:
        words: `PA`, `ap supine`, `Lateral (L)`, `RAO`, ...
        free_text: a description: single letters in it are no views, and most of it speaks of something else.

    Returns:
        None where no word is known, or a frontal and a lateral are named together.
    """
    text = " ".join(re.sub(r"[\W_]+", " ", words).upper().split())
    if not text:
        return ""
    patterns = _WORDS if free_text else _FIELD_WORDS
    found = [view for view, pattern in patterns.items() if re.search(rf"\b({pattern})\b", text)]
    if found[:1] == ["lateral"] and len(found) > 1:
        return None  # "PA and lateral" is the name of an examination
    return "frontal" if found[:2] == ["PA", "AP"] else next(iter(found), None)


@dataclass(frozen=True)
class HeaderView:
    """What a DICOM header says of the view.

    Attributes:
        view: by the first tag that says something; the non-frontal one where tags contradict each other.
        said: the tags that speak of it, for messages.
        unknown: ViewPosition, where it says something that is not known.
        conflict: the tags name different views.
    """

    view: View
    said: str = ""
    unknown: str = ""
    conflict: bool = False


def view_in_header(image: Any) -> HeaderView:
    """The view by ViewCodeSequence, ViewPosition, PatientOrientation and the description of the series, in this order.

    PatientOrientation (PS3.3 C.7.6.1.1.1) tells a lateral, whose rows run to the front or back, and an oblique; a
    frontal looks the same from both sides. Descriptions count last: they name an examination as often as a view.
    """
    named = [(tag, words, view) for tag, words, view in _named(image) if view]
    views = [view for _, _, view in named]
    beside = [view for view in views if view not in FRONTAL]
    first = views[0] if views else ""
    if first == "frontal":
        first = next((view for view in views if view in ("PA", "AP")), first)
    position = _text(image, "ViewPosition")
    unknown = position if view_of(position) is None else ""
    said = ", ".join(f"{tag} {words}" for tag, words, _ in named)
    different = 0 < len(beside) < len(views) or {"PA", "AP"} <= set(views)
    return HeaderView(beside[0] if beside else first, said, unknown, different)


def towards(image: Any) -> list[str]:
    """Where rows and columns run to, such as L and F; PatientOrientation, empty where it is not given (for people)."""
    value = image.get("PatientOrientation")
    parts = value.split("\\") if isinstance(value, str) else list(value or [])
    parts = [str(part).strip().upper() for part in parts]
    return parts if len(parts) == 2 and all(re.fullmatch("[APLRHF]{1,3}", part) for part in parts) else []


def _named(image: Any) -> Iterator[tuple[str, str, View | None]]:
    """Tag, what it says, and the view that means."""
    for tag, modifier in _CODED.items():
        for item in image.get(tag) or []:
            codes = [*(item.get(modifier) or []), item]
            views = [
                _VIEW_OF_CODE.get(_text(code, "CodeValue")) or view_of(_text(code, "CodeMeaning")) for code in codes
            ]
            yield tag, _text(item, "CodeMeaning") or _text(item, "CodeValue"), next(filter(None, views), None)
    yield "ViewPosition", (position := _text(image, "ViewPosition")), view_of(position)
    along = towards(image)
    lateral, oblique = any(one[:1] in "AP" for one in along), any(re.match("[LR][AP]", one) for one in along)
    yield "PatientOrientation", "/".join(along), "lateral" if lateral else "oblique" if oblique else ""
    for tag in _DESCRIPTIONS:
        view = view_of(_text(image, tag), free_text=True)
        yield tag, view or "", view  # not in its own words: a description may name a person


def _text(image: Any, tag: str) -> str:
    return str(image.get(tag, "") or "").strip()
