# How do I compare routing settings without paying the LLM again?
"""Record what the LLM answers once, then replay the answers under other settings.

The first project asks for real; the others read its record. A free stand-in takes the place of an LLM here:
set `annotator: chat` with a server of your own in `FIRST`, and nothing else changes.
"""

import csv
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import llm_al

SAMPLE = Path(str(files("llm_al") / "sample"))
FIRST = {"annotator": "zero_shot"}


def read(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((SAMPLE / name).read_text(encoding="utf-8").splitlines()))


def run(folder: Path, llm: dict[str, Any], routing: dict[str, Any]) -> None:
    settings = {
        "embedder": {"model": "offline"},
        "student": {"name": "head"},
        "human": {"annotator": "simulated", "gold": str(SAMPLE / "gold.csv")},
        "strategy": {"initial": 30, "human_per_round": 20, "llm_per_round": 60},
        "budget": {"human_labels": 70},
        "llm": llm,
        "routing": routing,
    }
    with llm_al.Project.create(
        folder, texts=read("pool.csv")[:200], labels=SAMPLE / "labels.yaml", settings=settings
    ) as project:
        last = [outcome.record for outcome in project.run() if outcome.record][-1]
        print(
            f"{routing}: {last.n_llm_answers} LLM answers, {last.n_llm_accepted} accepted - {last.certificate.reason}"
        )
        project.llm.record(folder / "answers.jsonl")


def main(folder: str = "replay_projects") -> None:
    recorded = Path(folder, "recorded").absolute()
    recorded.parent.mkdir(exist_ok=True)
    run(recorded, FIRST, {"max_error": 0.1})
    replay = {"annotator": "replay", "replay": str(recorded / "answers.jsonl")}
    run(Path(folder, "lenient"), replay, {"max_error": 0.3})
    run(Path(folder, "often checked"), replay, {"max_error": 0.3, "audit_rate": 0.5})


if __name__ == "__main__":
    main(*sys.argv[1:])
