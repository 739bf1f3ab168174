import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

USE = """
import sys
from pathlib import Path
import llm_al
installed = Path(sys.argv[1])
assert Path(llm_al.__file__).is_relative_to(installed), llm_al.__file__
from llm_al.annotators.chat.prompts import load_prompt
from llm_al.annotators.chat.templates import prompt_folder, prompt_names
from llm_al.embedders.hashing import HashEmbedder
assert prompt_folder() == installed / "llm_al" / "prompts", prompt_folder()
assert len(prompt_names()) >= 3
sample = installed / "llm_al" / "sample"
settings = {
    "embedder": {"name": "hashing"},
    "student": {"name": "head", "model": "offline"},
    "strategy": {"initial": 12},
    "human": {"annotator": "simulated", "gold": str(sample / "gold.csv")},
    "llm": {"annotator": "none"},
    "budget": {"human_labels": 12},
}
import csv
rows = list(csv.DictReader((sample / "pool.csv").open(encoding="utf-8")))[:40]
with llm_al.Project.create("shop", texts=rows, labels=sample / "labels.yaml", settings=settings) as project:
    outcomes = list(project.run())
    assert outcomes[-1].stop_reason, outcomes
    assert project.report().stat().st_size > 1000
    assert load_prompt("classify.v1", project.scheme).messages("Where is my parcel?")
    (row,) = project.predict(["Where is my parcel?"])
    print("label:", row["label"])
"""


def call(*command: str | Path, cwd: Path, path: Path | None = None) -> str:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONPATH": str(path or "")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    # From the source archive, as a stranger would; a file that it lacks is then missing in the wheel too.
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    (wheel,) = dist.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel)
    call(*pip, cwd=target)
    return target


def test_the_wheel_carries_all_that_runs_need_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("llm_al-*-py3-none-any.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    here = {f"llm_al/{path.relative_to(ROOT / 'llm_al')}" for path in (ROOT / "llm_al").rglob("*") if _is_shipped(path)}
    prompts = {f"llm_al/prompts/{path.name}" for path in (ROOT / "prompts").glob("*.j2")}
    assert len(prompts) >= 3
    assert here | prompts <= names
    assert {name for name in names if ".dist-info/" not in name} == here | prompts
    assert {"llm_al/py.typed", "llm_al/sample/pool.csv", "llm_al/reports/templates/report.html.j2"} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_source_archive_holds_tests_examples_and_benchmarks_but_no_leavings(dist: Path) -> None:
    (archive,) = dist.glob("llm_al-*.tar.gz")
    with tarfile.open(archive) as file:
        names = [name.partition("/")[2] for name in file.getnames()]
    for wanted in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt", "Makefile"):
        assert wanted in names
    for folder in ("llm_al", "prompts", "tests", "examples", "benchmarks"):
        assert any(name.startswith(f"{folder}/") for name in names)
    leavings = ("__pycache__", ".db", ".venv", ".mypy_cache", ".hypothesis")
    assert not [name for name in names if any(part in name for part in leavings)]


def test_the_installed_wheel_labels_a_text_far_from_the_source_tree(installed: Path, tmp_path: Path) -> None:
    shown = call(sys.executable, "-c", USE, installed, cwd=tmp_path, path=installed)
    assert shown.startswith("label: ")
    assert (tmp_path / "shop" / "report.html").is_file()


def test_the_installed_command_shows_its_version_and_its_commands(installed: Path, tmp_path: Path) -> None:
    import llm_al

    version = call(sys.executable, "-m", "llm_al.cli", "--version", cwd=tmp_path, path=installed)
    assert version.strip() == llm_al.__version__
    script = call(sys.executable, installed / "bin" / "llm-al", "--help", cwd=tmp_path, path=installed)
    assert all(name in script for name in ("init", "run", "label", "export", "demo"))


def _is_shipped(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
