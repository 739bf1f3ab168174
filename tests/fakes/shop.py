"""A project that runs in a second: short messages to a shop, hashed words, a logistic head, a simulated person."""

import csv
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LABELS = {
    "delivery": "where a parcel is and when it comes",
    "refund": "money that a customer wants back",
    "product": "questions about an article and its use",
}

_POOL = {
    "delivery": """\
My parcel was due on Monday and is not here
Tracking says delivered but no parcel came
Where is my parcel
The courier left the parcel in the rain
When will the parcel be shipped to Bergen
Parcel still not shipped after nine days
Could the courier ring the bell next time
The tracking number you sent does not work
Is delivery on Saturday possible
Delivery went to my old address
The courier says the address is wrong
Half of the parcel is missing
Please send the parcel to a pickup shop
How long does delivery to Norway take
""",
    "refund": """\
I want my money back for the torn jacket
When do I get the refund for order 1182
You charged my card twice
The refund is two euros short
Please refund the shipping fee too
Money back please, wrong size
My bank shows no refund yet
I sent it back and nobody paid me
Refund to another card possible
The voucher was charged but not used
Still waiting for my money since March
Cancel the order and refund me
Your shop charged me for an order I cancelled
How many days until the refund is on my card
""",
    "product": """\
Is the tent waterproof in heavy rain
Which gas fits the small stove
Do the boots come in half sizes
How do I wash the down jacket
Can the stove burn wood
The zip of the tent is stuck, how do I grease it
What does the large rucksack weigh
Is the sleeping bag warm enough for minus ten
Does the rucksack have a rain cover
Are the boots good for wide feet
How do I seal the seams of the tent
Which mat fits the sleeping bag
Can I use the lamp with other batteries
What is the jacket made of
""",
}
_TEST = {
    "delivery": "The parcel is late again\nNo courier came on Friday\nHas my parcel been shipped\nTracking is stuck\n",
    "refund": "Where is my refund\nYou owe me money\nRefund the second charge on my card\nI was charged too much\n",
    "product": "Does the tent fit four people\nAre these boots warm\nWhich stove is smaller\nHow do I wash the tent\n",
}


def _rows(texts: Mapping[str, str], prefix: str) -> list[dict[str, str]]:
    pairs = [(label, text) for label, lines in texts.items() for text in lines.splitlines()]
    # In turn, so that the first rows of a file are of every label.
    pairs.sort(key=lambda pair: texts[pair[0]].splitlines().index(pair[1]))
    return [{"id": f"{prefix}{n}", "text": text, "label": label} for n, (label, text) in enumerate(pairs)]


POOL = _rows(_POOL, "p")
TEST = _rows(_TEST, "t")
GOLD = {row["id"]: row["label"] for row in POOL}

FAST: dict[str, Any] = {
    "embedder": {"name": "hashing"},
    "student": {"name": "head", "model": "offline"},
    "strategy": {"initial": 9, "human_per_round": 6, "llm_per_round": 12},
    "llm": {"annotator": "zero_shot"},
    "human": {"annotator": "simulated", "gold": "gold.csv"},
    "budget": {"human_labels": 21, "llm_usd": 0.0},
    "stop": {"kappa": None},
}


def settings(**changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `FAST` with some sections changed: ``settings(budget={"rounds": 1})``."""
    whole = {name: {**FAST.get(name, {}), **new} if isinstance(new, Mapping) else new for name, new in changes.items()}
    return {**FAST, **whole}


def write_table(path: Path, rows: list[dict[str, str]], columns: str = "id text label") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns.split(), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_inputs(folder: Path) -> None:
    """Write pool.csv, test.csv, gold.csv and labels.json, as a user would have them."""
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "pool.csv", POOL, "id text")
    write_table(folder / "test.csv", TEST)
    write_table(folder / "gold.csv", POOL, "id label")
    (folder / "labels.json").write_text(json.dumps(LABELS), encoding="utf-8")


def listing(folder: Path) -> dict[str, str]:
    """Return every path below a folder with a hash of its content: equal listings mean that nothing changed."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }
