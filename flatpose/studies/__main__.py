"""``python -m flatpose.studies readings_search`` and ``simulated_boxes --data-root DIR``; ceilings have a command."""

from __future__ import annotations

import argparse
from pathlib import Path

from flatpose.studies import readings_search, simulated_boxes, store

parser = argparse.ArgumentParser(prog="python -m flatpose.studies", description="Measure a study and store its lines.")
parser.add_argument("name", choices=("readings_search", "simulated_boxes"))
parser.add_argument("--data-root", type=Path, help="a COCO tree with a detector file (simulated_boxes)")
parser.add_argument("--out", type=Path, default=Path("reports", "data"), help="folder of the JSON file")

if __name__ == "__main__":
    options = parser.parse_args()
    if options.name == "simulated_boxes" and options.data_root is None:
        parser.error("simulated_boxes needs --data-root")
    search = options.name == "readings_search"
    found = readings_search.measure() if search else simulated_boxes.measure(options.data_root)
    store(found, options.out / f"{options.name}.json")
