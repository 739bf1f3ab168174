"""What people do and how well, in words: what `llm-al status --people` shows."""

from collections.abc import Iterable

from llm_al.measures import AgreementFigures, CoverageFigures, PeopleFigures, PersonFigures
from llm_al.people.answering import person_name
from llm_al.people.dashboard import Dashboard, Headway, Pace
from llm_al.phrasing import Form
from llm_al.reports.amounts import count, estimate, number, percent, seconds

__all__ = ["people_text"]

_STATES = {
    "asking": "people are asked",
    "finished": "finished",
    "learning": "a round is being run",
    "new": "no round has begun",
    "waiting": "nothing to ask; run the next round",
}
_MAX_ROWS = 10


def people_text(dashboard: Dashboard) -> str:
    """Return the figures about people as plain text: progress, people, agreement, forms, coverage, rulings."""
    head = [_progress(dashboard.progress), _pace(dashboard.speed)]
    if dashboard.people is None:
        return "\n".join([*head, "nobody has answered yet"])
    people = dashboard.people
    blocks = [
        head,
        [line for person in people.persons for line in _person(person)],
        _agreement(people.agreement),
        _questions(people),
        _reviewers(people),
    ]
    return "\n\n".join("\n".join(block) for block in blocks)


def _progress(progress: Headway) -> str:
    budget = (
        "" if progress.budget is None else f" ({count(progress.n_counted)} of {count(progress.budget)} labels used)"
    )
    stop = f" ({progress.stop_reason})" if progress.stop_reason else ""
    return (
        f"{_STATES[progress.state]}{stop}: {count(progress.n_texts)} texts answered{budget}, "
        f"{count(progress.n_waiting)} waiting, {count(progress.n_held)} in hand"
    )


def _pace(speed: Pace) -> str:
    if not speed.per_minute:
        return speed.reason
    left = "" if speed.minutes_left is None else f", {seconds(60.0 * speed.minutes_left)} left for what waits"
    return f"{number(speed.per_minute, 1)} answers a minute by {_people(speed.n_at_work)}{left}"


def _counted(n: int, word: str) -> str:
    return f"{count(n)} {word}" if n == 1 else f"{count(n)} {word}s"


def _people(n: int) -> str:
    return "1 person" if n == 1 else f"{count(n)} people"


def _person(person: PersonFigures) -> Iterable[str]:
    yield person.name.removeprefix(person_name(""))
    yield (
        f"  {_counted(person.n_answers, 'answer')}, {_counted(person.n_skips, 'skip')}; "
        f"{seconds(person.median_s)} each, {seconds(60.0 * person.minutes)} in all"
    )
    yield f"  accuracy: {estimate(person.accuracy, is_share=True)}; kappa with others: {estimate(person.agreement)}"
    if person.n_gold or person.n_re_asked:
        yield (
            f"  known labels: {estimate(person.gold, is_share=True)}; "
            f"the same again: {estimate(person.steadiness, is_share=True)}"
        )
    if person.acceptance.value is not None:
        yield (
            f"  suggestions taken: {estimate(person.acceptance, is_share=True)}; accuracy with one in sight: "
            f"{estimate(person.accuracy_shown, is_share=True)}, without: "
            f"{estimate(person.accuracy_hidden, is_share=True)}"
        )


def _agreement(found: AgreementFigures) -> list[str]:
    lines = [
        f"agreement: {count(found.n_examples)} texts have several answers, {count(found.n_unanimous)} are unanimous",
        f"  Krippendorff's alpha: {estimate(found.krippendorff)}",
        f"  Fleiss' kappa: {estimate(found.fleiss)}",
        f"  Cohen's kappa, mean of pairs: {estimate(found.cohen)}",
    ]
    weak = [(name, alpha) for name, alpha in found.labels if alpha.value is not None][:_MAX_ROWS]
    return [*lines, *(f"  alpha of {name}: {estimate(alpha)}" for name, alpha in weak)]


def _questions(people: PeopleFigures) -> list[str]:
    lines = ["questions"]
    lines += [
        f"  {form.form}: {count(form.n)} answers, median {seconds(form.median_s)}, nine of ten below "
        f"{seconds(form.slow_s)}"
        for form in people.forms
    ]
    return [*lines, *map(_coverage, people.coverage)]


def _coverage(row: CoverageFigures) -> str:
    # A list may have a set of labels that nobody was shown, to see without influence what it would have held.
    form = "list, which did not show them" if row.form == Form.LIST else row.form
    return (
        f"  {form}: the {number(row.n_options, 1)} labels offered first held "
        f"{estimate(row.empirical, is_share=True)} of {count(row.n)} answers; meant were {percent(row.nominal)}"
    )


def _reviewers(people: PeopleFigures) -> list[str]:
    return [
        f"rulings: {count(people.n_rulings)}, {count(people.n_gold)} of them used to check people; "
        f"open flags: {count(people.n_flags)}"
    ]
