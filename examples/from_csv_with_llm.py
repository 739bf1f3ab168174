# How do I label a CSV file with my LLM, and pay for no answer twice?
"""Create a project from a CSV file and run it with an LLM behind any OpenAI-compatible server.

python examples/from_csv_with_llm.py tickets.csv labels.yaml my_project

LLM_BASE_URL and LLM_MODEL name any OpenAI-compatible server; its key comes from OPENAI_API_KEY. Without
LLM_BASE_URL, embedding similarity stands in for the LLM. Without arguments, 100 texts of the sample project
are labelled and a simulated person answers; with your own file the run stops where people have to answer.
"""

import csv
import os
import sys
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import llm_al

SAMPLE = Path(str(files("llm_al") / "sample"))


def llm_settings() -> dict[str, Any]:
    if not os.environ.get("LLM_BASE_URL"):
        return {"annotator": "zero_shot"}
    price = {"input_usd_per_million": 0.15, "output_usd_per_million": 0.6}
    model = os.environ.get("LLM_MODEL", "gpt-4o-mini")
    return {"annotator": "chat", "base_url": os.environ["LLM_BASE_URL"], "model": model, "price": price}


def main(texts: str = "", labels: str = str(SAMPLE / "labels.yaml"), folder: str = "from_csv_project") -> None:
    settings: dict[str, Any] = {
        "embedder": {"model": "offline"},
        "student": {"name": "head"},
        "strategy": {"initial": 20, "human_per_round": 10, "llm_per_round": 30},
        "budget": {"human_labels": 40, "llm_usd": 1.0},
        "llm": llm_settings(),
    }
    source: Any = texts
    if not texts:
        settings["human"] = {"annotator": "simulated", "gold": str(SAMPLE / "gold.csv")}
        with (SAMPLE / "pool.csv").open(encoding="utf-8", newline="") as file:
            source = list(islice(csv.DictReader(file), 100))
    if not (Path(folder) / "project.yaml").exists():
        llm_al.Project.create(folder, texts=source, labels=labels, settings=settings).close()
    # The same command again goes on where it was, also after a crash.
    with llm_al.Project.open(folder) as project:
        print(project.estimate())
        for outcome in project.run():
            print(outcome)
        print(f"labels: {project.export()}, paid: ${project.status().cost_nanousd / 1e9:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
