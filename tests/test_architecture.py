"""The layers of the package, read from its source: imports point inwards, and steps stand side by side."""

import ast
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import llm_al

ROOT = Path(llm_al.__file__).parent

GROUND = {"types", "measures", "errors", "protocols", "phrasing", "pool", "money", "llm_votes", "views", "bank"}
STEPS = {
    "annotators",
    "consensus",
    "embedders",
    "evaluation",
    "formats",
    "intake",
    "pseudo_labels",
    "questions",
    "reports",
    "routers",
    "store",
    "strategies",
    "students",
}
# Seams that stand on the ground and that steps may read.
SHARED = {"weights", "layers"}
# Outer layers: none of them is imported by the loop or by what the loop stands on.
OUTER = {"project", "cli", "console", "demo", "web", "assembly", "creation", "config", "registry", "learner", "people"}
OUTER |= {"llm_quality", "llm_status", "exchange", "argilla_client", "argilla_server"}
OUTER |= {"cli_serve", "cli_distil", "distillation"}
OUTER |= {"llm_tasks", "proposals", "disagreements", "explore", "keywords", "cli_propose"}
OUTER |= {"llm_assembly", "llm_settings", "llm_tools", "settings_section", "cli_llm", "cli_shell"}
LOOP = {"loop", "plan", "situation", "places", "supervision", "student_files", "candidates", "answers", "corpus"}
LOOP |= {"opinions", "phrase", "synthesis", "round_book", "demonstrated"}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# The sample project and templates hold no code; tests of the wheel may have left builds beside.
MODULES = {_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def _room(module: str) -> str:
    """Return the folder or root module that a module belongs to; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        names = [name if name in MODULES else str(node.module) for name in inner]
    else:
        return []
    return [name for name in names if name.split(".")[0] == "llm_al"]


def _typing_only(tree: ast.Module) -> set[ast.AST]:
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    return {inner for block in blocks for inner in ast.walk(block)}


@cache
def imports(module: str, *, hidden: bool = True) -> frozenset[str]:
    """Return what a module of the package imports from it; with `hidden` also from inside functions."""
    tree = _tree(module)
    skipped = _typing_only(tree)
    nodes = ast.walk(tree) if hidden else tree.body
    return frozenset(name for node in nodes if node not in skipped for name in _imported(node))


def test_every_folder_and_root_module_has_its_place() -> None:
    rooms = {_room(module) for module in MODULES} - {""}
    folders = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert folders - {"people", "web", "scale", "sample", "distillation"} <= STEPS
    assert rooms >= GROUND | STEPS | LOOP


@pytest.mark.parametrize("step", sorted(STEPS))
def test_a_step_imports_nothing_but_itself_and_the_ground(step: str) -> None:
    for module in (name for name in MODULES if _room(name) == step):
        foreign = {_room(name) for name in imports(module)} - {step, *GROUND, *SHARED}
        assert not foreign, f"{module} imports {sorted(foreign)}"


@pytest.mark.parametrize("room", sorted(GROUND | SHARED))
def test_the_ground_stands_on_itself(room: str) -> None:
    allowed = {
        "errors": set(),
        "money": set(),
        "measures": {"types"},
        "types": {"errors"},
        "pool": {"errors", "types"},
        "bank": {"errors", "types"},
        "protocols": {"types", "measures", "phrasing", "pool", "bank"},
        "phrasing": set(),
        "weights": {"errors"},
        "llm_votes": {"types"},
        "views": {"errors", "types", "protocols"},
        "layers": set(),
    }
    assert {_room(name) for name in imports(f"llm_al.{room}")} <= allowed[room]


@pytest.mark.parametrize("room", sorted(LOOP))
def test_the_loop_knows_neither_folders_nor_settings(room: str) -> None:
    found = {_room(name) for name in imports(f"llm_al.{room}")}
    assert not found & OUTER, f"{room} imports {sorted(found & OUTER)}"


@pytest.mark.parametrize("room", sorted(LOOP - {"student_files"}))
def test_the_loop_sees_stores_students_and_annotators_through_protocols(room: str) -> None:
    concrete = {"store", "students", "annotators", "embedders", "strategies", "formats", "reports", "intake"}
    found = {_room(name) for name in imports(f"llm_al.{room}")}
    assert not found & concrete, f"{room} imports {sorted(found & concrete)}"


def test_the_command_line_stands_on_the_project_alone() -> None:
    rooms = {"cli", "cli_distil", "cli_llm", "cli_propose", "cli_serve", "cli_shell"}
    for room in rooms:
        found = {_room(name) for name in imports(f"llm_al.{room}")} - {""}
        assert found <= {"project", "exchange", "argilla_server", "console", "demo", "errors", "web"} | rooms
    assert {_room(name) for name in imports("llm_al.console")} <= {"protocols"}


def test_config_is_read_by_outer_layers_only() -> None:
    readers = {_room(module) for module in MODULES if "llm_al.config" in imports(module)}
    outer = {"project", "assembly", "creation", "forecast", "report_data", "registry", "cli", "demo", "settings_page"}
    assert readers <= outer | {"people"} | {"llm_assembly", "llm_tools", "llm_tasks", "proposals"}


def test_learner_and_project_do_not_know_each_other() -> None:
    assert "llm_al.project" not in imports("llm_al.learner")
    assert not any(_room(name) == "learner" for name in imports("llm_al.project"))


def test_no_import_cycle_even_through_functions() -> None:
    graph = {module: imports(module) - {module} for module in MODULES}
    state: dict[str, int] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert state.get(module) != 1, f"import cycle: {' -> '.join([*path, module])}"
        if state.get(module) == 2:
            return
        state[module] = 1
        for name in sorted(graph[module] & graph.keys()):
            visit(name, (*path, module))
        state[module] = 2

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("step", sorted(STEPS))
def test_no_step_hides_an_import_of_the_package_in_a_function(step: str) -> None:
    for module in (name for name in MODULES if _room(name) == step):
        late = imports(module) - imports(module, hidden=False)
        assert not late, f"{module} hides {sorted(late)}"


def _isort_key(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, as the linter sorts them."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2), name


def _public(module: str) -> bool:
    # Pure data (templates) and private modules have no list.
    return not any(part.startswith("_") for part in module.split("."))


@pytest.mark.parametrize("module", sorted(filter(_public, MODULES)))
def test_all_is_sorted_and_true(module: str) -> None:
    if module.startswith(("llm_al.web", "llm_al.scale")):
        pytest.importorskip("fastapi" if ".web" in module else "ray")
    loaded = import_module(module)
    names = getattr(loaded, "__all__", None)
    if MODULES[module].name == "__init__.py" and names is None:
        assert len(_tree(module).body) <= 1
        return
    if module in {"llm_al.types", "llm_al.measures", "llm_al.protocols"}:
        # Every name of these is public; their order is that of the story they tell.
        return
    assert names, f"{module} has no __all__"
    assert list(names) == sorted(names, key=_isort_key)
    assert len(set(names)) == len(names)
    assert all(hasattr(loaded, name) for name in names)


def test_no_module_is_called_helper() -> None:
    banned = {"utils", "helpers", "common", "misc", "manager", "base"}
    assert not banned & {path.stem.lstrip("_") for path in MODULES.values()}


def test_files_stay_short() -> None:
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()}
    too_long = {module: n for module, n in lengths.items() if n > 400}
    assert not too_long


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, llm_al; sys.exit(', '.join({'torch', 'numpy', 'pandas', 'sklearn'} & set(sys.modules)) or 0)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
