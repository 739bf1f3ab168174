"""From settings to objects: every step of a project, built by name."""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_al import registry
from llm_al.config import ProjectConfig
from llm_al.corpus import Corpus, TestSplit
from llm_al.embedders.cached import Cached, views_in_cache
from llm_al.errors import ConfigError
from llm_al.evaluation.stopping import Stopping
from llm_al.llm_assembly import make_chats, make_demonstrator, make_refine, make_replay, unencrypted
from llm_al.loop import Loop
from llm_al.phrase import Phrase
from llm_al.places import Places
from llm_al.plan import Plan, Steps
from llm_al.protocols import Annotator, Demonstrator, Embedder, Progress, PseudoLabeler
from llm_al.pseudo_labels.caps import Capped
from llm_al.pseudo_labels.guard import Guard
from llm_al.pseudo_labels.llm_rows import LLMRows
from llm_al.routers.two_stage import TwoStage
from llm_al.store.files import Artefacts
from llm_al.store.store import SqlStore
from llm_al.student_files import StudentFiles
from llm_al.students.saved import load as load_student
from llm_al.students.saved import why_chosen
from llm_al.supervision import Supervision
from llm_al.synthesis import Synthesis
from llm_al.types import SKIP, Embeddings, LabelScheme, Split
from llm_al.views import encode_views

if TYPE_CHECKING:
    from llm_al.llm_tasks import LLMTasks

__all__ = ["Assembly"]

_ON_VECTORS = ("auto", "head")
"""Students that predict from the project's own vectors, or may."""


@dataclass(frozen=True)
class Assembly:
    """Builds what a project in a folder needs from its settings.

    Parameters
    ----------
    folder : Path
    config : ProjectConfig
        With the limits of this run already put in.
    scheme : LabelScheme
    store : SqlStore
    warn : callable
        Called with one line when a file had to be made again.
    """

    folder: Path
    config: ProjectConfig
    scheme: LabelScheme
    store: SqlStore
    warn: Any = lambda _message: None

    def loop(self, progress: Progress) -> Loop:
        """Return the loop over this project; embeds what has not been embedded yet."""
        # A wrong setting has to show before hours go into embeddings.
        steps, plan, students = self.steps(), self.plan(), self.students()
        return Loop(steps, plan, self.corpus(progress), store=self.store, students=students, progress=progress)

    def corpus(self, progress: Progress) -> Corpus:
        """Return pool and test split with their embeddings."""
        texts = self.store.texts(Split.POOL)
        ids = [example.id for chunk in self.store.iter_examples(Split.POOL) for example in chunk]
        return Corpus(
            scheme=self.scheme,
            ids=ids,
            texts=texts,
            vectors=views_in_cache(self._cached("pool"), texts, progress=progress, warn=self.warn),
            groups=self.store.groups(Split.POOL),
            test=self.test_split(progress),
            label_vectors=self.label_vectors(),
        )

    def label_vectors(self) -> Embeddings:
        """Return unit vectors of the labels' names and descriptions, all views; made once for a label list."""
        texts, embedder = [label.text for label in self.scheme.labels], self.embedder()
        # Not by the number of views: to count them the encoder is loaded.
        how = f"{embedder.fingerprint}, layers {self.config.embedder.layers}"
        made_of = "\0".join([how, *texts]).encode("utf-8", "surrogatepass")
        name, files = hashlib.blake2b(made_of, digest_size=8).hexdigest(), Artefacts(self.folder / "cache", self.warn)
        kept = files.load_array("labels", name, n_rows=len(texts))
        if kept is None:
            kept = encode_views(embedder, texts)
            files.save_array("labels", name, kept)
        return kept

    def test_split(self, progress: Progress) -> TestSplit | None:
        """Return the labelled test examples; None when there are none."""
        examples = [example for chunk in self.store.iter_examples(Split.TEST) for example in chunk]
        if not examples:
            return None
        answers = self.store.annotations(ids=[example.id for example in examples])
        gold = {answer.example_id: answer.label for answer in answers if answer.label not in (None, SKIP)}
        known = [example for example in examples if gold.get(example.id) in self.scheme.names]
        texts = [example.text for example in known]
        vectors = views_in_cache(self._cached("test"), texts, progress=progress, warn=self.warn)
        labels = [self.scheme.index(str(gold[example.id])) for example in known]
        return TestSplit.of(
            ids=[example.id for example in known],
            texts=texts,
            vectors=vectors,
            labels=labels,
            n_outside=len(examples) - len(known),
        )

    def embedder(self) -> Embedder:
        """Return the fixed sentence encoder."""
        settings = self.config.embedder
        if settings.name != "sentence":
            made: Embedder = registry.make("embedder", settings.name)
            return made
        sentence: Embedder = registry.make(
            "embedder",
            "sentence",
            model=self._model(settings.model),
            batch_size=settings.batch_size,
            max_tokens=settings.max_tokens,
            device=settings.device,
            layers=settings.layers,
        )
        return sentence

    def steps(self) -> Steps:
        """Return every step of the loop."""
        config = self.config
        settings = config.routing
        return Steps(
            strategy=registry.make_strategy(
                config.strategy.name,
                cold_start=config.strategy.cold_start,
                labels_per_class=config.strategy.cold_start_labels_per_class,
                cold_options=self._cold_options(),
            ),
            router=TwoStage(**settings.model_dump()),
            llm=self.llm(),
            human=self.human(),
            consensus=registry.make(
                "consensus", config.consensus.name, labels=self.scheme.names, **config.consensus.options
            ),
            supervision=Supervision(
                self._pseudo_labeler(),
                Guard() if config.pseudo_labels.guard else None,
                LLMRows() if config.pseudo_labels.llm_answers == "all" else None,
                is_subjective=config.human.subjective,
            ),
            stopping=self.stopping(),
            demonstrator=self._demonstrator,
            refine=make_refine(self.config),
            synthesis=self.synthesis(),
            phrase=Phrase(config.human.forms, config.human.coverage),
        )

    def _pseudo_labeler(self) -> PseudoLabeler:
        settings = self.config.pseudo_labels
        labeler: PseudoLabeler = registry.make("pseudo_labeler", settings.name, **settings.options)
        return labeler if settings.class_cap is None else Capped(labeler, settings.class_cap)

    def plan(self) -> Plan:
        """Return how a run is cut into rounds."""
        strategy, has_llm = self.config.strategy, self.config.llm.annotator != "none"
        places = Places(
            initial=strategy.initial,
            per_round=strategy.human_per_round,
            max_human_labels=self.config.budget.human_labels,
            overlap=self.config.human.overlap,
            second_share=self.config.human.second_opinions,
        )
        return Plan(places, strategy.llm_per_round if has_llm else 0, self.config.seed, self.fingerprint)

    def stopping(self) -> Stopping:
        """Return the stopping rules."""
        budget, stop = self.config.budget, self.config.stop
        return Stopping(
            max_human_labels=budget.human_labels,
            max_usd=budget.llm_usd,
            max_minutes=budget.minutes,
            max_rounds=budget.rounds,
            target_accuracy=stop.target_accuracy,
            kappa=stop.kappa,
            kappa_rounds=stop.kappa_rounds,
        )

    def students(self) -> StudentFiles:
        """Return the student's recipe and where its files lie."""
        settings, embedder = self.config.student, self.config.embedder
        model = self._model(settings.model or embedder.model)
        if settings.name in _ON_VECTORS and embedder.name == "sentence" and model != self._model(embedder.model):
            raise ConfigError(
                f"student.model is {settings.model!r}, but a head learns from the project's own vectors, of "
                f"embedder.model {embedder.model!r}; remove student.model, or change embedder.model"
            )
        student = registry.make("student", settings.name, **{"model": model, **settings.options})
        cache = Artefacts(self.folder / "cache", self.warn)
        return StudentFiles(student, self.folder / "models", load_student, cache, why_chosen)

    def vectors(self, texts: Sequence[str]) -> Embeddings | None:
        """Return what a head predicts from; None for students that encode texts themselves."""
        return encode_views(self.embedder(), texts) if self.config.student.name in _ON_VECTORS else None

    def llm(self) -> Annotator | None:
        """Return the annotator that stands in for people; None when there is none."""
        settings = self.config.llm
        if settings.annotator == "none":
            return None
        if settings.annotator == "chat":
            for line in unencrypted(settings):
                self.warn(line)
            return make_chats(self.config, self.scheme, self.store, self.folder, demonstrator=self._demonstrator)
        if settings.annotator == "replay":
            return make_replay(self.config, self.scheme, self.folder)
        if settings.annotator == "zero_shot":
            options = {"encode": self.embedder().encode, **settings.options}
            zero_shot: Annotator = registry.make("annotator", "zero_shot", scheme=self.scheme, **options)
            return zero_shot
        other: Annotator = registry.make("annotator", settings.annotator, **settings.options)
        return other

    def tasks(self) -> "LLMTasks":
        """Return what the LLM does beside labelling.

        Raises
        ------
        ConfigError
            If the project has no chat annotator.
        """
        from llm_al.llm_tasks import LLMTasks, chat_of

        return LLMTasks(chat_of(self.config, self.scheme, self.store, self.folder), self.warn)

    def synthesis(self) -> Synthesis | None:
        """Return what writes texts for labels without examples; None unless `llm.synthesize` asks for it."""
        settings = self.config.llm
        if not settings.synthesize:
            return None
        write, embedder = self.tasks().write, self.embedder()
        return Synthesis(
            write, partial(encode_views, embedder), n_per_label=settings.synthesize, weight=settings.synthetic_weight
        )

    def _cold_options(self) -> dict[str, Any]:
        return {"choose": self.tasks().choose} if self.config.strategy.cold_start == "llm" else {}

    def human(self) -> Annotator:
        """Return who answers within a run; people in the terminal or elsewhere answer between runs."""
        settings = self.config.human
        if settings.annotator in ("queue", "terminal"):
            queue: Annotator = registry.make("annotator", "queue")
            return queue
        if settings.annotator != "simulated":
            return self._other_person(settings.annotator)
        if settings.gold is None:
            raise ConfigError("human.annotator is 'simulated' and human.gold is missing; give a file with id and label")
        simulated: Annotator = registry.make(
            "annotator",
            "simulated",
            gold=_read_gold(self.folder / settings.gold),
            labels=self.scheme.names,
            noise=settings.noise,
            seed=self.config.seed,
        )
        return simulated

    def _other_person(self, name: str) -> Annotator:
        if name in ("chat", "replay", "zero_shot"):
            raise ConfigError(
                f"human.annotator is {name!r}, which is no person; choose from: queue, simulated, terminal"
            )
        plugin: Annotator = registry.make("annotator", name)
        if not plugin.kind.is_human:
            raise ConfigError(f"human.annotator {name!r} is of kind {plugin.kind}; it must be human or simulated")
        return plugin

    @cached_property
    def _demonstrator(self) -> Demonstrator | None:
        """Shared by the loop, which teaches it, and the LLM annotators, which show what it chooses."""
        return make_demonstrator(self.config)

    @property
    def fingerprint(self) -> str:
        """Changes whenever a setting does."""
        return hashlib.blake2b(self.config.model_dump_json().encode(), digest_size=8).hexdigest()

    def _model(self, model: str) -> str:
        """Return a model name; a folder beside `project.yaml` is found from anywhere."""
        inside = self.folder / model
        return str(inside) if inside.is_dir() else model

    def _cached(self, name: str) -> Cached:
        return Cached(self.embedder(), self.folder / "cache" / "embeddings", self.config.embedder.dtype, name)


def _read_gold(path: Path) -> dict[str, str]:
    if not path.exists():
        raise ConfigError(f"human.gold names {path}, which does not exist; give a CSV file with id and label")
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        missing = {"id", "label"} - set(rows.fieldnames or ())
        if missing:
            raise ConfigError(f"{path} has no column {min(missing)!r}; human.gold needs id and label")
        return {row["id"]: row["label"] for row in rows}
