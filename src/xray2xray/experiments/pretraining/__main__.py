"""Self-supervised pre-training from a view store: the baselines that learn without labels, and without the action.

    python -m xray2xray.experiments.pretraining STORE --method mae --out DIR --seconds 2700

In DIR:

    metrics.jsonl pictures/ checkpoint.pt   as of any stage of training
    plan.json                               how many steps the seconds have bought
    latents/                                V's tokens of every view (igpt)
    encoder/                                the result, for `load_encoder`
"""

from collections.abc import Sequence

from ..command import command, parser
from .recipes import METHODS, VITS
from .train import pretrain


def main(words: Sequence[str] | None = None) -> None:
    made = parser("pretraining", __doc__)
    made.add_argument("views", help="a view store (see `xray2xray render`)")
    made.add_argument("--method", required=True, choices=METHODS)
    made.add_argument("--out", required=True)
    made.add_argument("--size", default="tiny", choices=tuple(VITS))
    budget = made.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, help="instead of the recipe's own")
    budget.add_argument("--seconds", type=float, help="some steps are timed first, then the number of steps is fixed")
    made.add_argument("--resume", action="store_true")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--device", default="auto", help="auto, cpu or cuda")
    made.add_argument("--precision", default="auto", help="auto, 32-true or bf16-mixed")
    made.add_argument("--limit", type=int, help="use the first studies only")
    made.add_argument("--source", default="tiny", help="igpt: the model whose V writes the tokens")
    made.add_argument("--latents", help="igpt: folder of V's cached latents, instead of OUT/latents")
    folder = command(made, lambda options: pretrain(**vars(options)), words)
    print(f"the encoder is in {folder}; read it with xray2xray.experiments.pretraining.encoder_file.load_encoder")


if __name__ == "__main__":
    main()
