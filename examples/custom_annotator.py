# How do I put my own rules, or another service, in place of the LLM?
"""Run a project with an annotator of your own.

An annotator is any object with `name`, `kind` and `annotate`; what it does not know it leaves out. Its labels
are accepted only as far as people's blind audits prove them, like those of an LLM.
"""

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import llm_al

SAMPLE = Path(str(files("llm_al") / "sample"))
WORDS = {
    "refund": "return_refund",
    "return": "return_refund",
    "password": "account_login",
    "charged": "payment_billing",
    "tracking": "order_status",
    "parcel": "order_status",
    "broke": "damaged_defective",
    "cancel": "change_cancel",
}


@dataclass(frozen=True)
class Keywords:
    """Labels a text by the words in it."""

    rules: Mapping[str, str]
    name: str = "keywords"
    kind: llm_al.AnnotatorKind = llm_al.AnnotatorKind.LLM

    def annotate(self, examples: Sequence[llm_al.Example]) -> list[llm_al.Annotation]:
        """Return a label for each text that holds a word of the rules."""
        hits = {e.id: label for e in examples for word, label in self.rules.items() if word in e.text.lower()}
        return [llm_al.Annotation(id_, label, self.name, kind=self.kind) for id_, label in hits.items()]


def main(folder: str = "custom_annotator_project") -> None:
    rows = list(csv.DictReader((SAMPLE / "pool.csv").read_text(encoding="utf-8").splitlines()))[:100]
    settings = {
        "embedder": {"model": "offline"},
        "student": {"name": "head"},
        "human": {"annotator": "simulated", "gold": str(SAMPLE / "gold.csv")},
        "budget": {"human_labels": 50},
    }
    with llm_al.Project.create(folder, texts=rows, labels=SAMPLE / "labels.yaml", settings=settings) as project:
        for outcome in project.run(llm=Keywords(WORDS)):
            print(outcome)
        print(project.why(rows[0]["id"])[-1])


if __name__ == "__main__":
    main(*sys.argv[1:])
