"""Who a virtual patient is: a seed becomes a person with a body, findings, a burden of years, and an examination.

Numbers are drawn jointly, and every group has its own stream of random numbers: a change to how one group is drawn
leaves the others as they were.
"""

from dataclasses import dataclass

import numpy as np

from .body import Body, sample_body
from .burden import Burden, sample_burden
from .findings import Findings, sample_findings
from .scan import Scan, sample_scan

NORMAL_RATIO = 0.448  # mean of the JSRT radiographs without cardiomegaly (`python -m xray2xray.experiments.realism`)
LARGE_RATIO = 0.49  # where cardiomegaly begins; the definition is 0.5 on a radiograph, with its pericardial fat


@dataclass(frozen=True)
class Patient:
    """A virtual patient; the groups of numbers are explained where they are drawn."""

    seed: int
    age: float  # years
    female: bool
    body: Body
    findings: Findings
    burden: Burden
    scan: Scan

    @property
    def cardiothoracic_ratio(self) -> float:
        """Breadth of the heart over the inner breadth of the cage, as it is built; above 0.5 with cardiomegaly."""
        ratio = NORMAL_RATIO * self.body.heart
        severity = self.findings.cardiomegaly
        return max(ratio, LARGE_RATIO) + 0.17 * severity if severity else ratio


def sample_patient(seed: int) -> Patient:
    """The patient of a seed: the same numbers on every machine."""
    person, body, findings, burden, scan = (np.random.default_rng([seed, stream]) for stream in range(10, 15))
    age = float(np.clip(person.normal(61, 12), 25, 92))
    female = bool(person.random() < 0.45)
    return Patient(
        seed=seed,
        age=age,
        female=female,
        body=sample_body(body, female),
        findings=sample_findings(findings, age),
        burden=sample_burden(burden, age, female),
        scan=sample_scan(scan),
    )
