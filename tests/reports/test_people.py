import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import unescape

from llm_al.measures import Estimate, SoftFigures
from llm_al.reports import html
from llm_al.reports.people import closest_pairs, label_agreement, short_name

DASH = "\N{EN DASH}"


def words(page):
    section = page[page.index('<h2 id="people">') : page.index('<h2 id="confidence">')]
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", section).split())).replace(DASH, "-")


def test_the_section_tells_who_worked_how_fast_and_how_far_they_agree(peopled_run):
    says = words(html.render(peopled_run))
    assert "2 people gave 130 answers and skipped 6 texts, in 8 min 42 s of work" in says
    assert "Krippendorff's alpha any number of answers a text 0.846" in says
    assert "Fleiss' kappa the same number of answers a text undefined because examples have 2 to 3 answers" in says
    assert "22 texts have answers of several people; on 86.4% of them all said the same" in says
    assert "maria 81 4 4.0 s 91.0% (80.0-97.0%) 0.84 91.7% (62.0-99.8%) 75.0% (19.0-99.0%) 72.0% (60.0-80.0%)" in says
    assert "jonas 49 2 4.0 s - - - - 72.0% (60.0-80.0%)" in says
    assert "Accuracy with a suggestion in sight: 93.0% (80.0-99.0%); without: 90.0% (70.0-98.0%)" in says
    assert "verify 40 1.9 s 4.4 s" in says
    assert "candidates 64 4.3 95.0% 96.9% (89.0-99.6%)" in says
    assert "Reviewers settled 7 labels; 1 of them may be used to check people. 2 texts have an open flag." in says


def test_a_dash_says_why_when_it_is_pointed_at(peopled_run):
    page = html.render(peopled_run)
    assert '<span title="no text of theirs has a ruling or answers of others">' + DASH + "</span>" in page


def test_without_answers_the_section_says_so(run):
    assert "No person has answered yet, so there is nothing to say about people." in words(html.render(run))


def test_one_person_alone_has_sentences_in_place_of_figures(peopled_run):
    nothing = Estimate(None, reason="undefined because no example has two answers")
    alone = replace(peopled_run.people.agreement, n_examples=0, n_unanimous=0, labels=(), pairs=(), cohen=nothing)
    people = replace(
        peopled_run.people, persons=peopled_run.people.persons[:1], agreement=alone, forms=(), coverage=(), minutes=0.0
    )
    says = words(html.render(replace(peopled_run, people=people)))
    assert "1 person gave 130 answers and skipped 6 texts . Intervals" in says or "skipped 6 texts. Intervals" in says
    assert "0 texts have answers of several people. Skips are not counted." in says
    assert "Too few labels were given by several people to the same texts." in says
    assert "No answer was timed." in says
    assert "Pairs of people" not in says


def test_the_figure_names_each_label_with_its_value_and_leaves_unknown_ones_out(peopled_run):
    root = ET.fromstring(label_agreement(peopled_run))
    assert root.attrib["aria-label"].startswith("Agreement on each label: delivery 0.40; return 0.46; ")
    assert "rare" not in root.attrib["aria-label"]


def test_one_label_is_no_figure(run, peopled_run):
    first = peopled_run.people.agreement.labels[:1]
    people = replace(peopled_run.people, agreement=replace(peopled_run.people.agreement, labels=first))
    assert label_agreement(replace(run, people=people)) == ""
    assert label_agreement(run) == ""


def test_labels_below_chance_stay_in_the_picture(peopled_run):
    labels = (("a", Estimate(-0.4)), ("b", Estimate(0.2)))
    people = replace(peopled_run.people, agreement=replace(peopled_run.people.agreement, labels=labels))
    assert "a -0.40" in label_agreement(replace(peopled_run, people=people))


def test_pairs_with_most_common_texts_come_first(peopled_run):
    (pair,) = peopled_run.people.agreement.pairs
    many = tuple(replace(pair, first=f"p{n:03d}", n=n) for n in range(60))
    people = replace(peopled_run.people, agreement=replace(peopled_run.people.agreement, pairs=many))
    assert [p.n for p in closest_pairs(people)] == list(range(59, 9, -1))
    assert "the 50 with most common texts" in words(html.render(replace(peopled_run, people=people)))


def test_a_name_is_shown_without_its_mark():
    assert (short_name("human:ann"), short_name("import")) == ("ann", "import")


def test_where_people_may_differ_the_spread_is_reported_beside_the_majority(peopled_run):
    soft = SoftFigures(40, Estimate(0.8, 0.64, 0.91), 0.21, 0.7, 0.45)
    says = words(html.render(replace(peopled_run, people=replace(peopled_run.people, soft=soft))))
    assert "On 40 texts with several votes, before it had learned from them" in says
    assert "one that most people gave in 80.0% (64.0-91.0%). 21.0% of its probability lay elsewhere" in says
    assert "the cross-entropy is 0.700 nats, and 0.450 would be perfect" in says
    assert "How votes are spread" not in words(html.render(peopled_run))
