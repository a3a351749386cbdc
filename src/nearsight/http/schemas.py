"""What is asked and what is answered: the shapes in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Key = Annotated[int, Field(ge=0, lt=1 << 63, description="An item's key: never reused, the same for its life.")]
Where = Annotated[
    dict[str, Any] | str,
    Field(
        description="A filter: `{field: {operator: value}}` with all, any, not; or written: `label = coast`.",
        examples=[{"label": {"eq": "coast"}}, "label = coast and year >= 2020"],
    ),
]
DEEPEST = 10_000
"""offset + k at most."""
EXAMPLES = 64
JUDGED = 1000
_WEIGHT = 1e6


class Asked(BaseModel):
    """Of a request: unknown fields are errors, and so are numbers in quotes."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Example(Asked):
    """One thing to look for, or with a negative weight to look away from. Exactly one of text, key, picture, vector."""

    text: str | None = Field(None, description="Words; the collection's encoder must know some.")
    key: Key | None = Field(None, description="An item of the collection.")
    picture: str | None = Field(None, description="The form field that holds the picture.")
    vector: list[Annotated[float, Field(allow_inf_nan=False)]] | None = Field(
        None, max_length=1 << 16, description="A vector of the collection's length; it is made unit."
    )
    box: Annotated[list[int], Field(min_length=4, max_length=4)] | None = Field(
        None, description="Of a key or a picture: left, top, right, bottom in pixels of the upright picture."
    )
    weight: float = Field(1.0, ge=-_WEIGHT, le=_WEIGHT, allow_inf_nan=False)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        given = [name for name in ("text", "key", "picture", "vector") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("an example is exactly one of text, key, picture, vector")
        if self.box is not None and given[0] not in ("key", "picture"):
            raise ValueError("a box is of a key or a picture")
        return self


class SearchRequest(Asked):
    """What to look for: a written query, examples, or both together."""

    collection: str | None = Field(None, description="Its name; the first one if left out.")
    query: str | None = Field(
        None, description="The written form; paths of files are refused.", examples=['horse + 2: @12 - "car"']
    )
    examples: list[Example] = Field(default_factory=list, max_length=EXAMPLES)
    where: Where | None = None
    k: int = Field(30, ge=1, le=1000, description="How many hits.")
    offset: int = Field(0, ge=0, le=DEEPEST, description="How many better ones to leave out: for the next page.")
    min_score: float | None = Field(None, ge=-1, le=1, description="Hits below are left out.")
    fold: float | None = Field(
        None, gt=0, le=1, description="Hits at least this similar to a better one stand under it, as `folded`."
    )
    verdict: Literal["likely", "sure"] | None = Field(
        None, description="Hits that are less so are left out; the collection must be calibrated."
    )
    up: list[Key] = Field(default_factory=list, max_length=JUDGED, description="Items that were judged good answers.")
    down: list[Key] = Field(
        default_factory=list, max_length=JUDGED, description="Items that were judged bad answers; they are not shown."
    )
    unjudged: bool = Field(False, description="Do not show the good ones again either.")
    captions: bool = Field(False, description="Look for captions instead: each hit has the `caption` that was found.")

    @model_validator(mode="after")
    def _not_too_deep(self) -> Self:
        if self.offset + self.k > DEEPEST:
            raise ValueError(f"offset + k is at most {DEEPEST:,}")
        return self


class QueryRequest(Asked):
    """A written query to be taken apart."""

    collection: str | None = None
    query: str


class QueryAnswer(BaseModel):
    """The parts of a written query."""

    examples: list[dict[str, Any]]
    where: dict[str, Any] | None
    filter: str | None
    min_score: float | None
    fold: float | None
    verdict: Literal["likely", "sure"] | None
    up: list[Key]
    down: list[Key]
    unjudged: bool


class ItemAnswer(BaseModel):
    """One item. `width` and `height` are those of the upright picture, null while they are not known yet."""

    key: Key
    name: str = Field(description="The name of its file, without any folder.")
    label: str | None
    captions: list[str]
    fields: dict[str, Any]
    width: int | None
    height: int | None


class ChangedItem(ItemAnswer):
    """An item after a change."""

    generation: int


class HitAnswer(ItemAnswer):
    """One answer of a search."""

    rank: int
    score: float = Field(description="Cosine, -1 to 1.")
    verdict: Literal["sure", "likely", "chance"] | None = Field(
        description="What the score means in this collection; null where it was not calibrated."
    )
    folded: list[Key]
    caption: str | None = None


class Took(BaseModel):
    """Milliseconds."""

    encode: float
    search: float
    rerank: float
    total: float


class SearchAnswer(BaseModel):
    """Hits, best first."""

    hits: list[HitAnswer]
    more: bool = Field(description="Whether there are further ones behind these.")
    query: str = Field(description="The written form of what was looked for.")
    unknown: list[str] = Field(description="Words of the query that the encoder does not know: they were passed over.")
    verdict: Literal["sure", "likely", "chance"] | None = Field(description="That of the best hit.")
    method: str | None = Field(description="How feedback refined the query: rocchio, probe, or null without feedback.")
    generation: int = Field(description="The state of the collection that all of this answer is from.")
    took_ms: Took


class ItemsAnswer(BaseModel):
    """A page of items."""

    items: list[ItemAnswer]
    total: int
    generation: int


class Added(BaseModel):
    """One uploaded picture that is in the collection now."""

    key: Key
    name: str
    status: Literal["added", "known"]


class NotAdded(BaseModel):
    """One uploaded picture that cannot be used, and why."""

    name: str
    code: str
    detail: str
    hint: str


class UploadAnswer(BaseModel):
    """What became of each picture."""

    items: list[Added]
    skipped: list[NotAdded]
    generation: int


Plain = Annotated[str, Field(max_length=10_000, pattern=r"^[^\x00]*$")]
"""Text that SQLite keeps whole."""
FieldValues = dict[
    Annotated[str, Field(min_length=1, max_length=200, pattern=r'^[^\x00"]*$')],
    Plain | bool | Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | Annotated[float, Field(allow_inf_nan=False)],
]


class ItemChange(Asked):
    """What is to be known about an item; what is left out stays."""

    label: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")] | None = Field(
        None, description="null takes the label away."
    )
    captions: list[Plain] = Field(default_factory=list, max_length=100)
    fields: FieldValues = Field(default_factory=dict, max_length=200, description="All of them: others are gone.")


class LabelRequest(Asked):
    """One label for several items."""

    collection: str | None = None
    label: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")] | None
    keys: list[Key] = Field(min_length=1, max_length=10_000)


class LabelAnswer(BaseModel):
    """How many items have the label now."""

    changed: int
    generation: int


class KeptAnswer(BaseModel):
    """How many judgements were kept."""

    kept: int
    generation: int


class DuplicateGroup(BaseModel):
    """One picture, several times; `scores` are cosines to the one to keep, null for that one itself."""

    keys: list[Key]
    keep: Key
    scores: list[float | None]


class DuplicatesAnswer(BaseModel):
    """Some of the groups, the largest first; none while they are looked for."""

    state: Literal["ready", "working"]
    done: int
    total: int
    groups: list[DuplicateGroup]
    groups_total: int


class Job(BaseModel):
    """One stage of a running `nearsight index`."""

    stage: str
    done: int
    total: int | None
    rate: float | None = Field(description="Done in a second.")
    left_s: float | None = Field(description="Seconds to go at this rate.")
    skipped: int


class ProgressAnswer(BaseModel):
    """What is being written just now; nothing where no process does."""

    jobs: list[Job]


class FieldValue(BaseModel):
    """A value, and how many items have it."""

    value: str | float | bool
    count: int


class FieldAnswer(BaseModel):
    """What can be filtered by: text with its most frequent values, or numbers with their range."""

    name: str
    kind: Literal["text", "number"]
    values: list[FieldValue] | None = None
    more: bool | None = None
    min: float | None = None
    max: float | None = None


class CollectionAnswer(BaseModel):
    """One collection."""

    name: str
    items: int
    dim: int
    encoder: str
    modalities: list[str]
    captions: int
    generation: int
    writable: bool
    calibrated: bool
    engine: str = Field(description="ready, or why searches look at every vector instead of asking the engine.")
    fields: list[FieldAnswer]


class CollectionsAnswer(BaseModel):
    """All collections; the first one is meant where none is named."""

    collections: list[CollectionAnswer]


class Session(Asked):
    """The server's token, once, for a cookie."""

    token: str


class Health(BaseModel):
    """It runs."""

    status: Literal["ok"]
    version: str


class Ready(BaseModel):
    """Whether searches are answered, and of each collection ``ready`` or what is missing."""

    ready: bool
    collections: dict[str, str]


class Problem(BaseModel):
    """An error (RFC 9457): `code` is stable, `hint` says what to do; `start` and `end` are the place in what was
    written."""

    type: Literal["about:blank"]
    title: str
    status: int
    code: str
    detail: str
    hint: str
    start: int | None = None
    end: int | None = None
