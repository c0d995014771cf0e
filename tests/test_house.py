"""The layout holds: imports go down only, importing is light, and no file names a path of somebody's machine."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dnadiff"
FLOORS: list[set[str]] = [  # lowest first; neighbours on one floor never import each other
    {"allocator", "errors", "shown"},
    {"archives", "mistakes"},
    {"config", "files", "rng", "vocab", "world"},
    {"batch", "cache", "dna", "network"},
    {"data", "ops", "diffusion"},
    {"models"},
    {"model"},
    {"checkpoint"},
    {"hub"},
    {"run"},
    {"inference", "training", "report"},
    {"explain", "tasks"},
    {"cli"},
    {"__init__", "__main__"},
]
FLOOR_OF = {part: number for number, parts in enumerate(FLOORS) for part in parts}
STRANGERS = {("models", "data"), ("models", "diffusion")}


def imported_parts(path: Path) -> Iterator[str]:
    """The parts of dnadiff (`errors`, `data`, ...) that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import from dnadiff by its full name"
            names = [f"{node.module}.{name}" for name in names]
        yield from (name.split(".")[1] for name in names if name.startswith("dnadiff."))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for other in set(imported_parts(path)) - {part}:
        assert FLOOR_OF[other] < FLOOR_OF[part], f"{part} imports {other}, which is not below it"
        assert (part, other) not in STRANGERS, f"{part} must not know {other}"


def test_importing_the_package_is_light() -> None:
    code = "import sys, dnadiff; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"lightning", "transformers", "datasets", "matplotlib", "sklearn", "pandas"} & set(loaded)


def test_no_file_names_a_path_of_a_machine() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    paths = re.compile(rb"(?<![\w.])/(home|root|Users|work)/\w+")
    found = {str(file): paths.findall(file.read_bytes()) for file in files if file.is_file()}
    assert not {file: names for file, names in found.items() if names}
