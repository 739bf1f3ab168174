"""A project for the pages: 77 labels of a helpdesk, sixty texts whose label is known, questions about them."""

import json
from pathlib import Path

from llm_al.phrasing import Form, Phrasing
from llm_al.project import Project
from llm_al.types import Annotation, AnnotatorKind
from tests.fakes.shop import write_table

_THINGS = ("parcel", "refund", "invoice", "voucher", "account", "password", "tent", "stove", "boots", "jacket", "lamp")
_TROUBLES = ("lost", "late", "broken", "wrong", "missing", "unwanted", "question")
LABELS = [f"{thing}_{trouble}" for thing in _THINGS for trouble in _TROUBLES]
"""In the order of the project: the first 9 have the keys 1 to 9, the next 21 letters, the rest none."""

# Seven and eleven have no common factor with the step, so that the texts go through all labels.
GOLD = {f"q{n:02d}": LABELS[n * 37 % len(LABELS)] for n in range(60)}
TEXTS = {id_: f"Message {id_}: about my {' '.join(reversed(label.split('_')))}." for id_, label in GOLD.items()}
EVIL = '<img src=x onerror="document.title=1"><script>document.title=2</script> & "quoted"'


def label_of(text: str) -> str:
    """Return what a careful person answers to a text on the screen."""
    return GOLD[text.split(":")[0].removeprefix("Message ")]


def id_of(text: str) -> str:
    """Return the id of a text on the screen."""
    return text.split(":")[0].removeprefix("Message ")


def write_inputs(folder: Path) -> dict[str, Path]:
    """Write the texts and labels as a user would have them."""
    folder.mkdir(parents=True)
    rows = [{"id": id_, "text": text} for id_, text in TEXTS.items()]
    rows.append({"id": "evil", "text": EVIL})
    labels = folder / "labels.json"
    labels.write_text(json.dumps({name: f"the {name.replace('_', ' was ')}" for name in LABELS}), encoding="utf-8")
    return {"texts": write_table(folder / "pool.csv", rows, "id text"), "labels": labels}


def ask_plainly(project: Project) -> None:
    """Ask for every text, in order, with the whole list."""
    for rank, id_ in enumerate(GOLD):
        project.store.enqueue([id_], round=1, reason="the first texts", priority=-float(rank))


def ask_in_every_form(project: Project) -> None:
    """Ask q00 to q12 in every form, with a proposal of a model for each; q05 is asked blind."""
    ids = list(GOLD)
    proposed = {**{id_: GOLD[id_] for id_ in ids[:14]}, "evil": LABELS[0]}
    votes = [Annotation(id_, label, "llm:m", kind=AnnotatorKind.LLM, model="m") for id_, label in proposed.items()]
    project.store.add_annotations(votes)
    others = {id_: next(label for label in LABELS[3:] if label != GOLD[id_]) for id_ in ids}
    phrasing = {
        ids[1]: Phrasing(Form.CANDIDATES, (GOLD[ids[1]], others[ids[1]]), 0.95),
        ids[2]: Phrasing(Form.CANDIDATES, (others[ids[2]], LABELS[70]), 0.95),
        ids[3]: Phrasing(Form.VERIFY, (GOLD[ids[3]],), 0.9),
        ids[4]: Phrasing(Form.VERIFY, (others[ids[4]],), 0.9),
        ids[6]: Phrasing(Form.PAIR, (others[ids[6]], GOLD[ids[6]]), 0.9),
        **{id_: Phrasing(Form.BULK, (GOLD[ids[7]],), 0.9, "alike") for id_ in ids[7:11]},
    }
    for rank, id_ in enumerate([*ids[:7], "evil"]):
        project.store.enqueue(
            [id_], round=1, reason="one of each", priority=-float(rank), is_blind=id_ == ids[5], phrasing=phrasing
        )
    project.store.enqueue(ids[7:11], round=1, reason="alike", priority=-20.0, phrasing=phrasing)
    project.store.enqueue(ids[11:], round=1, reason="more", priority=-30.0)
