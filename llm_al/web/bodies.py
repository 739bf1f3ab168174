"""What the pages may send: every field bounded, nothing beside them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = [
    "AnswerBody",
    "BulkBody",
    "ExportBody",
    "FlagBody",
    "GuidelinesBody",
    "InviteBody",
    "LoginBody",
    "PersonBody",
    "ReplyBody",
    "RulingBody",
    "SettleBody",
    "UndoBody",
]


def _storable(text: str) -> str:
    # Databases refuse a zero character; half characters are no UTF-8.
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("it has characters that are no text")
    return text


Text = Annotated[str, AfterValidator(_storable)]
RowId = Annotated[int, Field(ge=1, lt=2**63)]
LabelName = Annotated[Text, Field(min_length=1, max_length=500)]
Note = Annotated[Text, Field(max_length=4000)]
ExampleId = Annotated[Text, Field(min_length=1, max_length=1000)]
Role = Literal["annotator", "reviewer", "owner"]
Name = Annotated[Text, Field(min_length=1, max_length=200)]
Secret = Annotated[Text, Field(max_length=1024)]
Have = Annotated[list[RowId], Field(max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ReplyBody(_Body):
    """One answer."""

    ticket: RowId
    label: LabelName
    seconds: float | None = Field(None, ge=0.0, le=1e7, allow_inf_nan=False)
    note: Note = ""
    is_suggestion_shown: bool = False
    form: Literal["list", "candidates", "verify", "pair", "bulk"] = "list"


class AnswerBody(ReplyBody):
    """One answer, and the questions at hand."""

    have: Have = []


class BulkBody(_Body):
    """Answers to a cluster of texts."""

    replies: list[ReplyBody] = Field(min_length=1, max_length=500)
    have: Have = []


class UndoBody(_Body):
    """An answer to take back."""

    ticket: RowId


class FlagBody(_Body):
    """Somebody wants a text looked at."""

    ticket: RowId
    note: Note = ""


class RulingBody(_Body):
    """A label that a reviewer settles; None withdraws the ruling."""

    example_id: ExampleId
    label: LabelName | None
    note: Note = ""
    is_gold: bool = False


class SettleBody(_Body):
    """Flags that are dealt with."""

    example_id: ExampleId


class GuidelinesBody(_Body):
    """The page for annotators."""

    text: Annotated[Text, Field(max_length=200_000)]


class PersonBody(_Body):
    """What an owner changes of a person."""

    role: Role | None = None
    is_active: bool | None = None
    expertise: list[LabelName] | None = Field(None, max_length=1000)


class InviteBody(_Body):
    """Whom to invite."""

    role: Role
    name: Name | None = None
    hours: float = Field(72.0, gt=0.0, le=8760.0, allow_inf_nan=False)


class LoginBody(_Body):
    """Name and password, or a token."""

    name: Annotated[Text, Field(max_length=200)] = ""
    password: Secret = ""
    token: Secret = ""


class ExportBody(_Body):
    """Which file to write."""

    format: Literal["csv", "jsonl", "parquet", "argilla", "label_studio", "doccano", "prodigy"]
