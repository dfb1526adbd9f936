from dataclasses import dataclass
from pathlib import Path

from .options import Form
from .registry import as_function
from .run_folder import check_inputs, removed_if_empty


@dataclass(frozen=True)
class Options:
    """Write a model as a folder to share: its files with their sha256, and a card with results and licence.

    `hf upload ORGANISATION/NAME FOLDER` (of huggingface_hub, extra [hub]) then puts it on a hub, from where every
    verb takes it as `--source ORGANISATION/NAME@COMMIT`. Nothing is sent by this verb.

    Attributes:
        out: the folder to write.
        source: the model: tiny, a folder that `train` made, or org/name@revision on a hub.
        results: views.json of `evaluate views`, whose means the card shows; names of cases stay out of it.
        licence: of the weights, such as Apache-2.0; by default what config.json says.
        onnx: also write lifting.onnx, the network of the volumetric form, after a comparison with torch (extra [onnx]).
        form: whose network `onnx` means.
        overwrite: empty the folder of an earlier export first.
    """

    out: str | Path
    source: str = "tiny"
    results: str | Path | None = None
    licence: str | None = None
    onnx: bool = False
    form: Form = "auto"
    overwrite: bool = False


@dataclass(frozen=True)
class ExportResult:
    """The folder, and its files."""

    out: Path
    files: tuple[Path, ...]


def run(options: Options) -> ExportResult:
    from ..io.files import prepare_out
    from ..io.model_folder import folder_of
    from ..models.card import read_results
    from ..models.export import export_model
    from ..models.world_model import WorldModel

    check_inputs([folder_of(options.source)], options.out)  # which --overwrite would empty
    results = None if options.results is None else read_results(options.results)
    model = WorldModel.from_pretrained(options.source, options.form)
    out = prepare_out(options.out, options.overwrite)
    with removed_if_empty(out):
        export_model(model, options.source, out, results, options.licence, options.onnx)
    files = tuple(sorted(out.iterdir()))
    for path in files:
        print(f"{path.stat().st_size / 2**20:7.2f} MiB  {path}")
    return ExportResult(out, files)


export = as_function(Options, run)
