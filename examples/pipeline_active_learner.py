# How do I ask for the most useful labels inside my own pipeline, without a project folder?
"""Query, teach and predict with an `ActiveLearner` over texts in memory.

Answers come from wherever yours come from (here: the sample's gold labels).
"""

import csv
from importlib.resources import files

import llm_al


def read(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((files("llm_al") / "sample" / name).read_text(encoding="utf-8").splitlines()))


def main() -> None:
    gold = {row["id"]: row["label"] for row in read("gold.csv")}
    pool = {row["text"]: gold[row["id"]] for row in read("pool.csv")[:120]}
    test = [row for row in read("test.csv") if row["label"] != "none_of_these"][:60]
    names = sorted({label for label in gold.values() if label != "none_of_these"})

    learner = llm_al.ActiveLearner(names, student="head", strategy="margin+diverse", encoder="offline")
    for _ in range(3):
        query = learner.query(list(pool), k=20)
        # None passes over a text that has no label of the list.
        answers = [None if pool[text] == "none_of_these" else pool[text] for text in query.texts]
        learner.teach(query, answers)
        predicted = learner.predict([row["text"] for row in test])
        n_right = sum(label == row["label"] for label, row in zip(predicted, test, strict=True))
        print(f"{learner.n_labels} labels: {n_right} of {len(test)} test texts right")
    learner.save("pipeline_student")
    print(llm_al.load_student("pipeline_student").predict(["the parcel never came", "I was charged twice"]))


if __name__ == "__main__":
    main()
