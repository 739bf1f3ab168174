# How do people answer in another tool: take the waiting questions out, bring the answers back, go on?
"""Take waiting questions out of a project, import the answers, and go on.

A run stops where people have to answer. The questions are in the store; answers come in from a file, all or
nothing, and the next run goes on in the same round.
"""

import csv
import sys
from importlib.resources import files
from pathlib import Path

import llm_al

SAMPLE = Path(str(files("llm_al") / "sample"))


def read(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((SAMPLE / name).read_text(encoding="utf-8").splitlines()))


def answer_elsewhere(questions: list[llm_al.Example], path: Path) -> None:
    """Stand in for people with a spreadsheet."""
    gold = {row["id"]: row["label"] for row in read("gold.csv")}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label"])
        writer.writerows([question.id, gold[question.id]] for question in questions)


def main(folder: str = "answers_project") -> None:
    settings = {
        "embedder": {"model": "offline"},
        "student": {"name": "head"},
        "llm": {"annotator": "none"},
        "strategy": {"initial": 20, "human_per_round": 15},
        "budget": {"human_labels": 35},
    }
    with llm_al.Project.create(
        folder, texts=read("pool.csv")[:100], labels=SAMPLE / "labels.yaml", settings=settings
    ) as project:
        while True:
            for outcome in project.run():
                print(outcome)
            if not outcome.n_waiting:
                break
            waiting = project.store.examples_by_id([question.example_id for question in project.store.pending()])
            answers = Path(folder) / "answers.csv"
            answer_elsewhere(waiting, answers)
            print(f"{project.import_labels(answers, annotator='maria')} answers brought back")
        print(project.export(sources=["human"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
