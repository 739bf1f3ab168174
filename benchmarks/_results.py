"""Write what a benchmark measured: JSON for machines, Markdown for people."""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

_PACKAGES = (
    "llm-al",
    "numpy",
    "scikit-learn",
    "sentence-transformers",
    "setfit",
    "small-text",
    "torch",
    "transformers",
)


@dataclass(frozen=True)
class Claim:
    """A figure that was asked for, and what was measured."""

    claim: str
    value: float
    target: float
    better: Literal["higher", "lower"]
    unit: str

    @property
    def is_met(self) -> bool:
        return self.value >= self.target if self.better == "higher" else self.value <= self.target


def machine() -> str:
    """Return processor, cores and the threads that torch uses."""
    import torch

    names = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    device = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads{device}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _command() -> str:
    arguments = list(sys.argv[1:])
    if "--data" in arguments:
        # Where the data lies is nobody's business.
        arguments[arguments.index("--data") + 1] = "DATA"
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments])


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return a Markdown table; floats are shown to three decimals."""

    def cell(value: Any) -> str:
        return f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)

    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(cell(row.get(column)) for column in columns) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def write(
    folder: Path, name: str, *, claims: Sequence[Claim], rows: Sequence[Mapping[str, Any]], sections: Mapping[str, str]
) -> Path:
    """Write `name`.json and `name`.md into `folder` and return the path of the first.

    `sections` maps a Markdown heading to what stands under it.
    """
    facts = {
        "machine": machine(),
        "versions": _versions(),
        "commit": _commit(),
        "command": _command(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    judged = [{**asdict(claim), "met": claim.is_met} for claim in claims]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**facts, "claims": judged, "rows": list(rows)}, indent=1) + "\n", encoding="utf-8")
    shown = [{**claim, "met": "yes" if claim["met"] else "**no**"} for claim in judged]
    parts = [f"# {name}\n", f"`{facts['command']}` on {facts['machine']}, {facts['date']}, commit {facts['commit']}.\n"]
    parts += ["## Claims\n", table(shown, ["claim", "value", "target", "better", "unit", "met"])] if shown else []
    for heading, body in sections.items():
        parts += [f"## {heading}\n", body]
    (folder / f"{name}.md").write_text("\n".join(parts), encoding="utf-8")
    return path
