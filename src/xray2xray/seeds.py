"""Which seeds of virtual patients belong to whom: the one rule that keeps training and tests apart.

World models are trained on seeds from 0, probes on seeds from `FIRST_PROBE_SEED`; everything is tested on seeds from
`FIRST_TEST_SEED`.
"""

FIRST_PROBE_SEED = 500_000
FIRST_TEST_SEED = 1_000_000
