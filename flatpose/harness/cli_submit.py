"""``flatpose-exp submit``: the file that a benchmark's server accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from flatpose.errors import SpecError
from flatpose.harness.cli_tools import RootOpt, existing_root
from flatpose.harness.console import make_reporter, out

app = typer.Typer(no_args_is_help=True, help="""Write the file that a benchmark's server accepts.

Example: flatpose-exp submit coco-test-dev --name a --predictions results.json --image-info image_info_test-dev2017.json
""")


@app.command("coco-test-dev")
def submit_coco_test_dev(
    name: Annotated[str, typer.Option(help="Name of the method on the server: letters, digits, - and _.")],
    predictions: Annotated[Optional[Path], typer.Option(help="COCO results format, as for `score --task coco`; "
                                                             "needs --image-info.")] = None,
    image_info: Annotated[Optional[Path], typer.Option(help="image_info_test-dev2017.json: test-dev's images.")] = None,
    run_dir: Annotated[Optional[Path], typer.Option("--run", help="Instead: runs/HASH/seedN/DATA of a finished run, "
                                                                  "whose network is then run.")] = None,
    data_root: RootOpt = None,
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the zip; made when it is not there.")] = Path("."),
    any_list: Annotated[bool, typer.Option("--any-list", help="Accept an image list that has not test-dev's 20,288 "
                                           "images, to try things out; the server would refuse the zip.")] = False,
) -> None:
    """Zip results for COCO's test-dev server, after checking every entry against the image list.

    The zip holds one file at its root, person_keypoints_test-dev2017_NAME_results.json, as the server wants it, with
    the four fields it reads and coordinates rounded to 1/100 pixel. Prints the zip's path.

    With --run the network of a finished run is run on the boxes of COCO_test-dev2017_detections_AP_H_609_person.json
    below the data root, with the run's own flip test, score rule and NMS.

    \b
    Examples:
      flatpose-exp submit coco-test-dev --name a --predictions results.json --image-info image_info_test-dev2017.json
      flatpose-exp submit coco-test-dev --name a --run runs/0123456789ab/seed0/ba9876543210 --data-root /data
    """
    from flatpose.data.submit import coco_test_dev

    if run_dir is None and predictions is not None and image_info is not None:
        path = coco_test_dev(predictions, image_info, out_dir, name, any_list=any_list)
    elif run_dir is not None and predictions is None and image_info is None:
        path = _run_on_test_dev(run_dir, existing_root(data_root), out_dir, name, any_list)
    else:
        raise SpecError("give --predictions and --image-info, or --run", where="submit coco-test-dev")
    out.print(str(path), markup=False, soft_wrap=True)


def _run_on_test_dev(run_dir: Path, data_root: Path, out_dir: Path, name: str, any_list: bool) -> Path:
    from flatpose.config import from_dict
    from flatpose.data.submit import coco_test_dev, image_ids
    from flatpose.harness.store import RunDir

    record, weights = RunDir(run_dir).record(), run_dir / "weights.safetensors"
    if record is None or record["status"] != "done" or not weights.is_file():
        raise SpecError("no finished run with its weights", where=str(run_dir), hint="flatpose-exp status")
    if record["spec"]["data"]["task"] != "coco":
        raise SpecError(f"a run on {record['spec']['data']['task']}, expected coco", where=str(run_dir))
    from flatpose.testdev import load_test_dev, results

    data = load_test_dev(data_root)
    image_ids(data.val.annotation_file, any_list=any_list)  # before hours of predicting
    return coco_test_dev(results(from_dict(record["spec"]), weights, data, make_reporter()), data.val.annotation_file,
                         out_dir, name, any_list=any_list)
