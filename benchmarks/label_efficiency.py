"""How much accuracy a label buys: test accuracy after each query, and the seconds and dollars it took.

python benchmarks/label_efficiency.py --data DIR --datasets trec6 --students transformer --peer small-text hast
"""

import argparse
from collections.abc import Iterator, Sequence

import torch
from _curve import PROTOCOLS, Run
from _curve_full import full_runs
from _curve_options import parse
from _curve_ours import Recipe, run_ours
from _curve_speed import one_round, prediction_speed
from _curve_store import Runs
from _curve_votes import Replay, narrowed, read_replay, without
from _data import read_task, sample_task
from _peers import run_peer, settings_of
from _place import Place, digest, place_of
from _small_text import require

from llm_al.types import Positions
from llm_al.weights import resolve

NAME = "label_efficiency"


class Bench:
    """One data set, with what the command line asks for."""

    def __init__(self, place: Place, options: argparse.Namespace) -> None:
        if options.catch_all not in (None, *place.task.labels):
            raise SystemExit(
                f"{place.task.name} has no label {options.catch_all!r}; name one of its own at --catch-all"
            )
        self.place, self.options = place, options
        self.budget = PROTOCOLS[options.protocol].of(len(place.task.labels))
        self.recipes = list(_recipes(options, _replays(place, options)))

    def runs(self, known: Runs) -> Iterator[Run]:
        """Run what is not known yet: ours and the peers in turn, seed by seed."""
        options = self.options
        for offset in range(max(options.seeds, options.peer_seeds)):
            seed = options.first_seed + offset
            first = self.place.first(self.budget.sizes[0], seed, options.cold_start)
            if offset < options.seeds:
                yield from self._ours(known, seed, first)
            if offset < options.peer_seeds:
                yield from self._peers(known, seed, first)

    def _ours(self, known: Runs, seed: int, first: Positions) -> Iterator[Run]:
        for recipe in self.recipes:
            own, last = (self._run(each.name, seed, each.settings(), first) for each in (recipe.plain, recipe))
            distilled = last if recipe.distil and last not in known else None
            missing = [run for run in (own, distilled) if run is not None and run not in known]
            if missing:
                _use_threads(self.options.threads)
                run_ours(self.place, self.budget, recipe, first=first, run=own, distilled=distilled)
                yield from missing

    def _peers(self, known: Runs, seed: int, first: Positions) -> Iterator[Run]:
        economy = self.options.economy
        for name in self.options.peer:
            settings = settings_of(name, self.place, economy)
            run = self._run(name, seed, {**settings, "cold_start": self.options.cold_start}, first)
            if run not in known:
                _use_threads(economy.threads or self.options.threads)
                yield run_peer(self.place, self.budget, economy=economy, first=first, run=run)

    def _run(self, learner: str, seed: int, settings: dict[str, object], first: Positions) -> Run:
        return Run(self.place.task.name, self.options.protocol, learner, seed, settings, first=digest(first))


def _replays(place: Place, options: argparse.Namespace) -> list[Replay | None]:
    """Return no replay first, and then those that were asked for: a run with LLM is compared with one without."""
    if options.llm_replay is None:
        return [None]
    replay = read_replay(options.llm_replay, place.task)
    found: list[Replay | None] = [None]
    for name in options.llm_voters:
        found += [replay] if name == "all" else [replay.only(v) for v in replay.votes.names if name in ("each", v)]
    return found


def _recipes(options: argparse.Namespace, replays: Sequence[Replay | None]) -> Iterator[Recipe]:
    for replay in replays:
        for student in options.students:
            for strategy in options.strategies:
                for self_training in options.self_training:
                    yield Recipe(
                        student,
                        strategy,
                        self_training,
                        cold_start=options.cold_start,
                        replay=replay,
                        subpool=options.subpool,
                        distil=options.distil,
                        distil_at=tuple(options.distil_at),
                        catch_all=options.catch_all,
                        options=options.options,
                    )


def _use_threads(n: int | None) -> None:
    if n:
        torch.set_num_threads(n)


def places_of(options: argparse.Namespace) -> Iterator[Place]:
    """Read and embed the data sets one after the other, without labels that are to be left out.

    A recorded open set narrows them to its known labels.
    """
    names = ["sample"] if options.quick else options.datasets
    for name in names:
        task = sample_task() if options.quick else read_task(options.data, name)
        place = without(place_of(task, resolve(options.encoder), options.cache), options.without)
        yield narrowed(place, options.llm_replay) if options.llm_replay else place


def measure(options: argparse.Namespace, runs: Runs) -> None:
    """Run what is asked for and not known yet; each run is kept as soon as it is done."""
    for place in places_of(options):
        if options.timing:
            runs.add_figure(one_round(place, options))
        elif options.speed:
            for figure in prediction_speed(place, options):
                runs.add_figure(figure)
        else:
            bench = Bench(place, options)
            for found in (full_runs(place, options, runs), bench.runs(runs)):
                for run in found:
                    print(run.summary(), flush=True)
                    runs.add(run)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments, __doc__)
    _use_threads(options.threads)
    if options.timing or any(name.startswith("small-text") for name in options.peer):
        require()
    runs = Runs.opened(options.out, NAME, also=options.also, is_fresh=options.fresh)
    measure(options, runs)
    path = runs.write()
    for claim in runs.claims():
        print(f"{'met' if claim.is_met else 'NOT MET'}: {claim.claim}: {claim.value:.3f} (target {claim.target:.3f})")
    print(path)


if __name__ == "__main__":
    main()
