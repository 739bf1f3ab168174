"""The log of a project, its money ledger, its lock, and artefacts by fingerprint."""

from llm_al.store.assignments import Assignment, AssignmentState
from llm_al.store.examples import text_digest
from llm_al.store.files import Artefacts, write_atomically
from llm_al.store.ledger import SqlLedger
from llm_al.store.lock import ProjectLock
from llm_al.store.rounds import DONE, STARTED, RoundState
from llm_al.store.store import SqlStore
from llm_al.store.texts import TextRows

__all__ = [
    "DONE",
    "STARTED",
    "Artefacts",
    "Assignment",
    "AssignmentState",
    "ProjectLock",
    "RoundState",
    "SqlLedger",
    "SqlStore",
    "TextRows",
    "text_digest",
    "write_atomically",
]
