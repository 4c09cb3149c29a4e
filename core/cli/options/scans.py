"""predict, explain and maps: what they take."""

from __future__ import annotations

from core.cli.options.shared import add_assign, add_data, add_raw, add_sequence, between, positive
from core.cli.parser import Parser, set_command


def _add_scan(parser: Parser) -> None:
    """Add CHECKPOINT, SCAN..., --sequence, --assign and --anyway."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a name, a run, a folder or a .safetensors file")
    parser.add_argument(
        "scans",
        nargs="+",
        metavar="SCAN",
        help="a study folder, DICOM files, a zip or tar.gz, NIfTI, PNG or JPEG images",
    )
    add_sequence(parser)
    add_assign(parser)
    add_raw(parser)
    parser.add_argument(
        "--anyway", action="store_true", help="show the numbers of a scan that the guard refuses, for study"
    )
    parser.add_argument(
        "--runtime",
        choices=("auto", "onnx", "torch"),
        default="auto",
        help="what runs the network (default: auto: onnxruntime where export onnx wrote a graph that is faster here, else "
        "PyTorch)",
    )


def define_predict(parser: Parser) -> None:
    """Add what ``predict`` takes."""
    set_command(parser, "core.cli.scans.predict:predict")
    _add_scan(parser)
    parser.add_argument(
        "--bf16",
        action="store_true",
        help="compute in bfloat16 with PyTorch, where the processor does so itself (AMX, AVX512_BF16): sooner, and a little "
        "different; the answer says so",
    )
    parser.add_argument(
        "--report", metavar="FILE", help="write a page for each study, to read or to print: FILE ends in .pdf or .html"
    )
    group = parser.add_argument_group("many patients")
    group.add_argument(
        "--csv",
        metavar="FILE",
        help="predict every study of one folder, labelled or not, into this table; the same command resumes it",
    )
    group.add_argument(
        "--replace",
        action="store_true",
        help="drop the table's rows of another checkpoint, of scans that have changed, and of studies that are gone",
    )


def define_explain(parser: Parser) -> None:
    """Add what ``explain`` takes."""
    set_command(parser, "core.cli.scans.explain:explain")
    _add_scan(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="where the images and index.json go")
    parser.add_argument(
        "--method", metavar="NAME", help="how to map (default: as its map was tested, as the card says, else gradcam)"
    )
    parser.add_argument(
        "--layer", metavar="NAME", help="which layer to map (default: the tested one, or the network's last)"
    )
    parser.add_argument("--class", dest="target", metavar="NAME", help="the class to map; by default the predicted one")
    parser.add_argument(
        "--opacity", type=between(0, 1), default=0.6, metavar="0..1", help="where the map is strongest (default: 0.6)"
    )
    group = parser.add_argument_group("results as DICOM (needs highdicom: requirements-dicom.txt)")
    group.add_argument(
        "--dicom",
        action="append",
        choices=("sr", "sc", "seg"),
        help="write beside the images: sr, a structured report with the answer; sc, the map as pictures; seg, the map as a "
        "segmentation; may be given again",
    )
    group.add_argument(
        "--keep-identity",
        action="store_true",
        help="carry the patient's name, id, birth date and sex, and the study's dates and numbers over; by default they are "
        "empty, and only the UIDs of the scan are kept",
    )
    parser.more_help = "core.explain.methods:describe_methods"


def define_maps(parser: Parser) -> None:
    """Add what ``maps`` takes."""
    set_command(
        parser,
        "core.cli.scans.maps:maps",
        "Only a synthetic cohort knows where its tumours are; on other data the test with random weights still runs.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint's or run's name, folder or file")
    add_data(parser)
    parser.add_argument("--studies", type=positive, default=8, metavar="N", help="how many studies (default: 8)")
    parser.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help="only this method; repeat for several (default: all but occlusion, which runs the network a hundred times per "
        "image)",
    )
    parser.add_argument("--layer", action="append", metavar="NAME", help="only at this layer; repeat for several")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="write the test of one method at one layer into the checkpoint's card: Predict begins with that map and says what "
        "it is worth",
    )
