"""Names that nobody can be made out by, for reports that leave the team."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

from llm_al.measures import PeopleFigures, ReportData

__all__ = ["pseudonymised"]


def pseudonymised(data: ReportData) -> ReportData:
    """Return the data with people called `person 1`, `person 2` and so on, in an order that tells nothing of them.

    Names of models and rules stay. Texts, labels and what people wrote are not looked into.
    """
    people = data.people
    names = {quality.name for quality in data.annotators if quality.kind.is_human}
    names |= set() if people is None else {person.name for person in people.persons}
    order = sorted(names, key=lambda name: hashlib.blake2b(f"{data.project}\0{name}".encode()).digest())
    alias = {name: f"person {n}" for n, name in enumerate(order, start=1)}
    annotators = tuple(replace(quality, name=alias.get(quality.name, quality.name)) for quality in data.annotators)
    return replace(data, annotators=annotators, people=None if people is None else _renamed(people, alias.__getitem__))


def _renamed(people: PeopleFigures, called: Callable[[str], str]) -> PeopleFigures:
    pairs = tuple(
        replace(pair, first=called(pair.first), second=called(pair.second)) for pair in people.agreement.pairs
    )
    persons = tuple(replace(person, name=called(person.name)) for person in people.persons)
    return replace(people, persons=persons, agreement=replace(people.agreement, pairs=pairs))
