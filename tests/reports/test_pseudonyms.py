from dataclasses import replace

from llm_al.reports import html
from llm_al.reports.pseudonyms import pseudonymised


def test_no_name_of_a_person_is_left_and_models_keep_theirs(peopled_run):
    people = {quality.name for quality in peopled_run.annotators if quality.kind.is_human}
    page = html.render(pseudonymised(peopled_run))
    for name in (*people, "human:maria", "human:jonas"):
        assert name not in page
    assert "gpt-4o-mini/classify.v1" in page
    assert "person 1" in page


def test_one_person_has_one_alias_everywhere(peopled_run):
    hidden = pseudonymised(peopled_run)
    persons, (pair,) = hidden.people.persons, hidden.people.agreement.pairs
    assert {person.name for person in persons} == {pair.first, pair.second}
    assert (persons[0].n_answers, persons[0].name) == (81, pair.second)


def test_the_order_of_aliases_does_not_follow_the_number_of_answers(peopled_run):
    base = peopled_run.people.persons[0]
    many = tuple(replace(base, name=f"human:p{n}", n_answers=100 - n) for n in range(9))
    people = replace(peopled_run.people, persons=many, agreement=replace(peopled_run.people.agreement, pairs=()))
    names = [person.name for person in pseudonymised(replace(peopled_run, people=people)).people.persons]
    assert names != sorted(names)
    assert len(set(names)) == 9


def test_a_report_without_people_stays_as_it_is(run):
    plain = replace(run, annotators=())
    assert pseudonymised(plain) == plain
