"""Where the files of a benchmark lie below a data root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flatpose.errors import DataError

CHECK = "flatpose-exp data check --data-root DIR lists what is expected where"


@dataclass(frozen=True)
class Layout:
    """Relative paths at which a benchmark's files may lie, the usual one first."""

    folder: str
    """Folder of the benchmark below the data root; the root itself is tried as well."""
    annotations: tuple[tuple[str, str], ...]
    """(train, val) files."""
    images: tuple[str, ...]
    """Folders of images; ``{}`` stands for train or val."""
    detections: tuple[str, ...] = ()
    """Glob patterns of a detector's results on val."""
    val_only: tuple[str, ...] = ()
    """Further files that can be evaluated on without a training file."""

    def closest(self, root: Path) -> Tree:
        """The first place with both annotation files, else with one; raises DataError when there is neither."""
        trees = [Tree(self, folder, *(folder / name for name in names))
                 for folder in (root / self.folder, root) for names in self.annotations]
        best = max(trees, key=lambda tree: len(tree.present))  # the first of equals
        if best.present:
            return best
        names = ", ".join(" with ".join(pair) for pair in self.annotations)
        raise DataError(f"no {self.folder} annotations: looked for {names} in {root / self.folder} and {root}",
                        hint=CHECK)

    def find(self, root: Path) -> Tree:
        """The place with both annotation files; raises DataError naming the missing one."""
        tree = self.closest(root)
        if tree.missing:
            raise DataError(tree.missing, where=str(root), hint=CHECK)
        return tree

    def val_file(self, root: Path) -> Path:
        """The annotation file to evaluate on, wherever the rest is; raises DataError when there is none."""
        names = [*(val for _, val in self.annotations), *self.val_only]
        found = [folder / name for folder in (root / self.folder, root) for name in names if (folder / name).is_file()]
        if found:
            return found[0]
        raise DataError(f"no {self.folder} annotations under {root}: looked for {', '.join(names)}", hint=CHECK)


@dataclass(frozen=True)
class Tree:
    """A place at which annotations were found."""

    layout: Layout
    folder: Path
    train: Path
    val: Path

    @property
    def present(self) -> list[Path]:
        """Those of the two annotation files that exist."""
        return [path for path in (self.train, self.val) if path.is_file()]

    @property
    def missing(self) -> str | None:
        """What is missing where only one of the two files is there, and what the other is enough for."""
        if len(self.present) == 2:
            return None
        if self.present == [self.val]:
            lacking, use = self.train, "enough for `score` and `ceilings`, not for `run`"
        else:
            lacking, use = self.val, "not enough for `run`"
        there, not_there = (p.relative_to(self.folder) for p in (self.present[0], lacking))
        return f"{there} found, {not_there} missing: {use}"

    def images(self, split: str) -> Path:
        """The folder with the images of a split; raises DataError saying where it was looked for."""
        candidates = [self.folder / pattern.format(split) for pattern in self.layout.images]
        found = next((folder for folder in candidates if folder.is_dir()), None)
        if found is None:
            raise DataError(f"no {split} images: looked for {', '.join(map(str, candidates))}", hint=CHECK)
        return found

    @property
    def detector(self) -> Path | None:
        """The detector's results, the first pattern's first."""
        return next((path for pattern in self.layout.detections for path in sorted(self.folder.glob(pattern))), None)
