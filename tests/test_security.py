"""Names in files stay in their folder, and nothing in a file is executed."""

from __future__ import annotations

import ast

import pytest
from tiny import ROOT, annotations, edit, write_coco

from flatpose.data.subset import make_subset
from flatpose.errors import DataError

FORBIDDEN = {"pickle.load", "pickle.loads", "eval", "exec", "os.system", "shutil.unpack_archive", "joblib.load",
             "yaml.load", "marshal.loads", "np.load", "numpy.load", "runpy.run_path"}
"""Reads that can run code or write outside their folder."""
FORBIDDEN_METHODS = {"extractall", "extract", "exec_module"}
MEANT = {("harness/catalog.py", "exec_module"),  # a spec is Python
         ("data/loader.py", "pickle.loads")}  # what the same program pickled in memory


def test_nothing_in_the_program_reads_code_or_unpacks_archives():
    found = set()
    for path in sorted((ROOT / "flatpose").rglob("*.py")):
        name = path.relative_to(ROOT / "flatpose").as_posix()
        for call in (n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)):
            function = ast.unparse(call.func)
            options = {k.arg: ast.unparse(k.value) for k in call.keywords}
            if function in FORBIDDEN or options.get("shell") == "True" or options.get("allow_pickle") == "True":
                found.add((name, function))
            if function.split(".")[-1] in FORBIDDEN_METHODS and "." in function:
                found.add((name, function.split(".")[-1]))
            if function == "torch.load" and options.get("weights_only") != "True":
                found.add((name, function))
    assert found == MEANT


@pytest.mark.parametrize("name", ["../../../escaped.jpg", "/etc/hostname", "a/../../../escaped.jpg"])
def test_a_subset_writes_nothing_outside_its_folder(tmp_path, name):
    root = write_coco(tmp_path / "data")
    edit(annotations(root), lambda c: c["images"][0].update(file_name=name))
    before = {p for p in tmp_path.rglob("*") if "subset" not in str(p)}
    with pytest.raises(DataError):
        make_subset(root, tmp_path / "subset", {"train": 3, "val": 3})
    assert {p for p in tmp_path.rglob("*") if "subset" not in str(p)} == before and not (tmp_path / "subset").exists()
