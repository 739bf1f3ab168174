"""The tables of a project, portable between SQLite and PostgreSQL.

Two small tables stand beside those of the drawing: `aliases` (ids merged into an example because their
texts are equal) and `ledger_totals` (one row; the running sums that make a reservation cheap and, on a
server, the row that reservations queue for). `round_notes` holds what the steps of a round remember,
`llm_facts` what was learnt about LLM servers.

A question waits in `assignments`; each time that one person is given it, a row of `tickets` says so. A ticket without
an assignment checks the person instead of the text: a text with a known label, or one that they have answered before.
`rulings` are labels that a reviewer settled, `flags` texts that somebody should look at. `people`, `invites`,
`sessions` and `attempts` are who may come in; secrets are kept as digests only.

Times are seconds since the epoch, money is whole nano-dollars, JSON is text written by this package.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

__all__ = [
    "aliases",
    "annotations",
    "annotators",
    "assignments",
    "attempts",
    "decisions",
    "examples",
    "flags",
    "invites",
    "ledger_totals",
    "llm_calls",
    "llm_facts",
    "metadata",
    "people",
    "round_notes",
    "rounds",
    "rulings",
    "schema_version",
    "sessions",
    "tickets",
]

metadata = MetaData()

# SQLite numbers rows by itself only in a column declared exactly INTEGER.
_RowId = BigInteger().with_variant(Integer, "sqlite")

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False),
    Column("applied_s", Double, nullable=False),
)

examples = Table(
    "examples",
    metadata,
    Column("ordinal", _RowId, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("text", Text, nullable=False),
    Column("meta", Text, nullable=False),
    Column("split", String, nullable=False),
    Column("duplicate_group", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Index("examples_by_split", "split", "ordinal"),
    Index("examples_by_digest", "digest"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("id", Text, primary_key=True),
    Column("ordinal", BigInteger, ForeignKey("examples.ordinal"), nullable=False, index=True),
)

annotators = Table(
    "annotators",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("kind", String, nullable=False),
    Column("model", Text),
    Column("prompt", Text),
)

annotations = Table(
    "annotations",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("ordinal", BigInteger, ForeignKey("examples.ordinal"), nullable=False, index=True),
    Column("annotator", BigInteger, ForeignKey("annotators.id"), nullable=False),
    Column("label", Text),
    Column("confidence", Double),
    Column("proba", Text),
    Column("signals", Text),
    Column("round", Integer, nullable=False, index=True),
    Column("request_hash", Text),
    Column("n_tokens_in", BigInteger, nullable=False),
    Column("n_tokens_out", BigInteger, nullable=False),
    Column("cost_nanousd", BigInteger, nullable=False),
    Column("duration_s", Double),
    Column("is_suggestion_shown", Boolean, nullable=False),
    Column("form", String, nullable=False, server_default=""),
    Column("reason", Text, nullable=False),
    Column("retracts", BigInteger, ForeignKey("annotations.id"), unique=True),
    Column("created_s", Double, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("ordinal", BigInteger, ForeignKey("examples.ordinal"), nullable=False),
    Column("round", Integer, nullable=False, index=True),
    Column("stage", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("score", Double),
    Column("probability", Double),
    Column("created_s", Double, nullable=False),
    UniqueConstraint("ordinal", "round", "stage", "outcome"),
)

assignments = Table(
    "assignments",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("ordinal", BigInteger, ForeignKey("examples.ordinal"), nullable=False),
    Column("round", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("priority", Double, nullable=False),
    Column("candidates", Text, nullable=False),
    Column("is_blind", Boolean, nullable=False),
    Column("state", String, nullable=False),
    Column("form", String, nullable=False, server_default="list"),
    Column("coverage", Double),
    Column("cluster", Text, nullable=False, server_default=""),
    Column("n_wanted", Integer, nullable=False, server_default="1"),
    UniqueConstraint("ordinal", "round"),
    # In the order in which people are asked, so that the first of thousands are found without sorting.
    Index("assignments_in_order", "state", text("priority DESC"), "id"),
)

tickets = Table(
    "tickets",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("ordinal", BigInteger, ForeignKey("examples.ordinal"), nullable=False),
    Column("assignment", BigInteger, ForeignKey("assignments.id")),
    Column("kind", String, nullable=False),
    Column("annotator", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("expires_s", Double, nullable=False),
    Column("given_s", Double, nullable=False),
    Column("changed_s", Double, nullable=False),
    Column("label", Text),
    Column("annotation", BigInteger, ForeignKey("annotations.id")),
    UniqueConstraint("assignment", "annotator"),
    Index("tickets_by_annotator", "annotator", "state", "changed_s"),
    Index("tickets_by_ordinal", "ordinal"),
)

rulings = Table(
    "rulings",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("ordinal", BigInteger, ForeignKey("examples.ordinal"), nullable=False, index=True),
    Column("label", Text),
    Column("person", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("is_gold", Boolean, nullable=False),
    Column("created_s", Double, nullable=False),
)

flags = Table(
    "flags",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("ordinal", BigInteger, ForeignKey("examples.ordinal"), nullable=False),
    Column("person", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("settled_by", Text),
    Column("settled_s", Double),
)

people = Table(
    "people",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", String, nullable=False),
    Column("password", Text),
    Column("token_digest", String, unique=True),
    Column("is_active", Boolean, nullable=False),
    Column("expertise", Text, nullable=False, server_default="[]"),
    Column("created_s", Double, nullable=False),
)

invites = Table(
    "invites",
    metadata,
    Column("digest", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("name", Text),
    Column("created_by", Text, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("expires_s", Double, nullable=False),
    Column("used_by", Text),
    Column("used_s", Double),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String, primary_key=True),
    Column("person", Text, ForeignKey("people.name"), nullable=False, index=True),
    Column("csrf", String, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("expires_s", Double, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", _RowId, primary_key=True),
    Column("key", Text, nullable=False),
    Column("at_s", Double, nullable=False),
    Index("attempts_by_key", "key", "at_s"),
)

llm_calls = Table(
    "llm_calls",
    metadata,
    Column("request_hash", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("round", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("reserved_nanousd", BigInteger, CheckConstraint("reserved_nanousd >= 0"), nullable=False),
    Column("cost_nanousd", BigInteger, CheckConstraint("cost_nanousd >= 0"), nullable=False),
    Column("lost_nanousd", BigInteger, nullable=False, server_default="0"),
    Column("n_tokens_in", BigInteger, nullable=False),
    Column("n_tokens_out", BigInteger, nullable=False),
    Column("response", Text),
    Column("reason", Text, nullable=False),
    Column("changed_s", Double, nullable=False),
    Column("n_bytes", BigInteger, nullable=False, server_default="0"),
    Column("n_messages", Integer, nullable=False, server_default="0"),
    Column("duration_s", Double),
)

ledger_totals = Table(
    "ledger_totals",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("settled_nanousd", BigInteger, nullable=False),
    Column("reserved_nanousd", BigInteger, nullable=False),
)

llm_facts = Table(
    "llm_facts",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

rounds = Table(
    "rounds",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("step", String, nullable=False),
    Column("config_fingerprint", Text, nullable=False),
    Column("seed_state", Text, nullable=False),
    Column("record", Text),
    Column("started_s", Double, nullable=False),
    Column("ended_s", Double),
)

round_notes = Table(
    "round_notes",
    metadata,
    Column("round", Integer, ForeignKey("rounds.number"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
