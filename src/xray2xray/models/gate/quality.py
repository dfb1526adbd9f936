"""What the gate has found, in numbers and in words."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

# None of the frontals that the gate has learned from is below 0.9 for a chest or above 0.01 for turned; of others,
# docs/results/gate.md tells how many are refused.
REFUSE_CHEST, WARN_CHEST = 0.2, 0.5  # probability of a frontal chest, below which
REFUSE_TURNED, WARN_TURNED = 0.98, 0.5  # probability of a picture that is turned, above which
WARN_MIRRORED, WARN_WHOLE, WARN_INVERTED = 0.8, 0.5, 0.5
KNOWN_AP = 0.9  # probability of AP or of PA, above which one of them is named
WARN_UNLIKE = 0.99  # share of training frontals that are nearer
WARN_CLIPPED = 0.2  # share of the middle that is plain black or plain white

Projection = Literal["PA", "AP", "cannot tell"]


@dataclass(frozen=True)
class Quality:
    """Probabilities from 0 to 1, of the picture as it is given.

    Attributes:
        chest: it is a frontal chest, however turned.
        whole: neither cut off nor a strip.
        inverted: air is bright.
        ap: taken from the front; learned from ChestX-ray14, whose AP films are those of the bedside.
        turned: it does not stand upright; `degrees` says how far, anticlockwise, it would have to have been turned.
        mirrored: the patient's left is on the left of the picture, or the heart is on the right.
        unlike: how much of the picture the training frontals do not explain, as a multiple of what is usual; and
            `percentile`, the share of training frontals that are explained better.
        clipped: share of the middle of the picture that is plain black or plain white.
    """

    chest: float
    whole: float
    inverted: float
    ap: float
    turned: float
    degrees: int
    mirrored: float
    unlike: float
    percentile: float
    clipped: float

    @property
    def projection(self) -> Projection:
        """How it was taken, where the picture tells."""
        return "AP" if self.ap > KNOWN_AP else "PA" if self.ap < 1 - KNOWN_AP else "cannot tell"

    @property
    def refusal(self) -> str:
        """What is certainly wrong, and what to do; empty where nothing is."""
        if self.chest < REFUSE_CHEST:
            return "this is no frontal chest radiograph; give a frontal, or pass --force if it is one"
        if self.turned > REFUSE_TURNED and self.chest >= WARN_CHEST:
            how = "upside down" if self.degrees == 180 else "turned by 90 degrees"
            back = {90: "clockwise", 180: "by 180 degrees", 270: "anticlockwise"}[self.degrees]
            return f"this film is {how}; turn it {back}, or pass --force if it is upright"
        return ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may be wrong, one sentence each."""
        if self.refusal:
            return (_sentence(self.refusal.split(";")[0]),)
        found = []
        if self.chest < WARN_CHEST:
            found.append("This may be no frontal chest radiograph: look at it before you use anything on this page.")
        if self.turned > WARN_TURNED:
            found.append("It may not be upright.")
        elif self.mirrored > WARN_MIRRORED:
            found.append(
                "The heart is on the right of the patient as the picture is hung: it is mirrored, or the patient has "
                "situs inversus. Look for the side marker; if the picture is mirrored, mirror it back."
            )
        if self.whole < WARN_WHOLE:
            found.append("The chest seems to be cut off: what is not in the picture is made up.")
        if self.inverted > WARN_INVERTED:
            found.append("Air looks bright: its grey values may be inverted.")
        if self.clipped > WARN_CLIPPED:
            found.append(f"{100 * self.clipped:.0f} % of its middle is plain black or white: detail is lost there.")
        if self.percentile > WARN_UNLIKE:
            found.append(
                f"The training frontals explain it {self.unlike:.1f} times worse than usual: it is unlike all of them."
            )
        return tuple(found)

    @property
    def words(self) -> str:
        """The answer in one or more sentences."""
        return " ".join(self.warnings) or f"An upright frontal chest radiograph, {self.projection_words}."

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        said = {"words": self.words, "refused": self.refusal or None, "warnings": list(self.warnings)}
        return {**said, "projection": self.projection, **asdict(self)}

    @property
    def projection_words(self) -> str:
        """PA or AP, and what follows from it: nothing but the projection tells whether the patient stood."""
        return {
            "PA": "PA by its looks, so the patient probably stood",
            "AP": "AP by its looks, so the patient may have been lying",
            "cannot tell": "PA or AP by its looks: the gate cannot tell, nor whether the patient stood",
        }[self.projection]


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
