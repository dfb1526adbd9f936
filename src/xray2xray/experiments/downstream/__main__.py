"""Compare features with every baseline on the same labels: the verb `evaluate downstream`.

python -m xray2xray.experiments.downstream VIEWS --out DIR
"""

import sys
from collections.abc import Sequence

from ...commands import cli


def main(words: Sequence[str] | None = None) -> int:
    return cli.main(["evaluate", "downstream", *(sys.argv[1:] if words is None else words)])


if __name__ == "__main__":
    sys.exit(main())
