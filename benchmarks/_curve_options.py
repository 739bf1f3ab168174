"""The command line of `label_efficiency.py`."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from _curve import PROTOCOLS
from _peers import NAMES as PEERS
from _small_text import Economy

from llm_al import registry
from llm_al.config import PseudoLabelSettings, StrategySettings, StudentSettings

QUICK = {
    "setfit": {"n_iterations": 1},
    "transformer": {"epochs": 1, "max_steps": 2, "max_tokens": 32},
}


def _add_ours(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--students", nargs="*", default=[StudentSettings().name], help="without a name: only peers are run"
    )
    parser.add_argument("--strategies", nargs="+", default=[StrategySettings().name], help="scorer+selector")
    parser.add_argument(
        "--self-training", nargs="+", choices=registry.names("pseudo_labeler"), default=[PseudoLabelSettings().name]
    )
    parser.add_argument("--cold-start", default="typical", help="gives the initial set of every learner")
    parser.add_argument("--options", type=json.loads, default={}, help='JSON, such as {"transformer": {"epochs": 9}}')
    parser.add_argument("--subpool", type=int, help="unlabelled rows that each of our rounds looks at")
    parser.add_argument("--distil", type=int, help="unlabelled rows that an ensemble teaches at points of ours")
    parser.add_argument(
        "--distil-at", type=int, nargs="+", default=[], metavar="LABELS", help="those points (default: all of them)"
    )
    parser.add_argument(
        "--llm-replay", type=Path, metavar="FILE", help="recorded answers of LLMs, as votes on the pool"
    )
    parser.add_argument(
        "--llm-voters", nargs="+", default=["all"], help="'all' together, 'each' alone, or names in the file"
    )
    parser.add_argument("--catch-all", metavar="LABEL", help="ours is told that this label is for everything else")
    parser.add_argument("--full", action="store_true", help="also fine-tune on all labels; the head always is")


def _add_peers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--peer", nargs="*", choices=PEERS, default=[])
    parser.add_argument("--peer-seeds", type=int, help="seeds of the peers (default: as many as ours)")
    parser.add_argument("--peer-threads", type=int, help="of the peers, in runs for accuracy")
    parser.add_argument("--peer-subpool", type=int, help="rows that each query of a transformer peer looks at")
    parser.add_argument("--peer-bf16", action="store_true", help="transformer peers under bfloat16 autocast")


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="folder with <dataset>/train.csv.gz and test.csv.gz")
    parser.add_argument("--datasets", nargs="+", default=["trec6"])
    parser.add_argument("--without", nargs="+", default=[], metavar="LABEL", help="leave out the rows of these labels")
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), default="hast")
    parser.add_argument("--encoder", default="offline", help="hub name, local folder, or 'offline'")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of every learner; on a busy machine 1 gives the fairest ratio")
    parser.add_argument("--cache", type=Path, help="keeps vectors; without it they are made anew")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="other results files whose runs count too")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="keep the runs of the results file (this is the default)")
    again.add_argument("--fresh", action="store_true", help="forget the runs of the results file")


def parse(arguments: Sequence[str] | None, description: str | None) -> argparse.Namespace:
    """Return what was asked for; a wrong combination stops with one line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    _add_place(parser)
    _add_ours(parser)
    _add_peers(parser)
    parser.add_argument("--timing", action="store_true", help="one round at 130 labels against small-text, two threads")
    parser.add_argument(
        "--speed", action="store_true", help="pool prediction against sentence-transformers, two threads"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run on the sample project; its figures mean nothing"
    )
    options = parser.parse_args(arguments)
    if options.quick:
        options.protocol, options.seeds = "quick", 1
        options.options = {**QUICK, **options.options}
    elif options.data is None:
        parser.error("--data is missing; give the folder of the data sets, or --quick for the sample project")
    options.peer_seeds = options.seeds if options.peer_seeds is None else options.peer_seeds
    economy = Economy(options.peer_threads, options.peer_subpool, options.peer_bf16)
    options.economy = replace(economy, epochs=1, max_pairs=32) if options.quick else economy
    return options
