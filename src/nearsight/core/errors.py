"""Everything that nearsight raises on purpose, in one tree.

::

    NearsightError
    ├── InputError            what was given cannot be used
    │   ├── PictureError      one picture: broken, too large, not a picture (code: picture/REASON)
    │   ├── DatasetError      a data set's folder, table or labels
    │   ├── UnknownName        a component or option that does not exist
    │   ├── SettingsError     a recipe or an assignment (code: settings/toml, unknown, type)
    │   ├── QueryError        a query or a filter that cannot be answered
    │   │   └── GrammarError  a written one that is not understood: says where
    │   └── MeasureError      a measure that is not defined for what it was given
    ├── MissingExtra          an optional package is not installed
    ├── Unreachable           something must be downloaded and cannot be
    ├── EncoderError          an encoder folder or a network cannot be used
    │   └── EncoderMismatch   vectors of two encoders would be mixed
    ├── TrainingError         training cannot go on
    ├── EngineError           a vector index refused or failed
    │   └── EngineAway        one that stands elsewhere: down, slow, or answering in part
    ├── ClusterError          what hands out work to several machines failed
    └── StoreError            the collection on disk
        ├── NotACollection    nothing there, or something else
        ├── FormatError       written by a newer (or unknown) version
        ├── Locked            another process is writing
        ├── ReadOnly          asked to write through a read-only handle or medium
        ├── Damaged           bytes on disk are not those that were written
        ├── WriteFailed       the disk is full or failing; nothing acknowledged was lost
        └── RootVanished      a synced folder is gone or empty: refused to forget its pictures

Every error has ``.code`` (stable, for programs), a message (for people) and ``.hint`` (the repair).
"""

from __future__ import annotations

from typing import ClassVar


class NearsightError(Exception):
    """Base of all errors. ``code`` is stable between versions; ``hint`` says what to do about it."""

    default_code: ClassVar[str] = "error"
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code if code is not None else self.default_code
        self.hint = hint if hint is not None else self.default_hint

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]" + (f"\n  repair: {self.hint}" if self.hint else "")

    def __reduce__(self) -> tuple[object, ...]:  # errors travel between decoding processes
        return (_restore, (type(self), self.message, self.code, self.hint))


def _restore(kind: type[NearsightError], message: str, code: str, hint: str) -> NearsightError:
    return kind(message, code=code, hint=hint)


class InputError(NearsightError):
    """What was given cannot be used as it is."""

    default_code = "input"


class PictureError(InputError):
    """One picture cannot be decoded. ``code`` is ``picture/REASON``; see ``nearsight.data.images.REASONS``."""

    default_code = "picture/damaged"

    @property
    def reason(self) -> str:
        """The part of the code behind ``picture/``."""
        return self.code.removeprefix("picture/")


class DatasetError(InputError):
    """A data set's folder, table or labels are not what its reader expects."""

    default_code = "dataset"


class UnknownName(InputError):
    """A component, variant or option of that name does not exist."""

    default_code = "name/unknown"


class SettingsError(InputError):
    """Settings that are no TOML, name what does not exist, or give a value that a key does not take."""

    default_code = "settings"


class QueryError(InputError):
    """A query or a filter that cannot be answered."""

    default_code = "query"


class GrammarError(QueryError):
    """A written query or filter that is not understood: ``text[start:end]``, in characters from 0, is where.

    What is missing at the end has ``start == len(text)``.
    """

    default_code = "query/grammar"

    def __init__(
        self, message: str, *, text: str, start: int, end: int, code: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.text = text
        self.start = start
        self.end = end

    def __reduce__(self) -> tuple[object, ...]:
        return (_restore_grammar, (self.message, self.text, self.start, self.end, self.code, self.hint))


def _restore_grammar(message: str, text: str, start: int, end: int, code: str, hint: str) -> GrammarError:
    return GrammarError(message, text=text, start=start, end=end, code=code, hint=hint)


class MeasureError(InputError):
    """A measure is not defined for what it was given."""

    default_code = "measure"


class MissingExtra(NearsightError):
    """An optional package is not installed."""

    default_code = "missing-extra"

    @classmethod
    def of(cls, package: str, extra: str, purpose: str) -> MissingExtra:
        """The error for ``import package`` failing where ``purpose`` needs ``nearsight[extra]``."""
        return cls(
            f"{purpose} needs the package '{package}', which is not installed",
            hint=f"pip install 'nearsight[{extra}]'",
        )


class Unreachable(NearsightError):
    """Something must be downloaded and cannot be."""

    default_code = "unreachable"


class EncoderError(NearsightError):
    """An encoder folder or a network cannot be used."""

    default_code = "encoder"


class EncoderMismatch(EncoderError):
    """Vectors of two different encoders would be mixed."""

    default_code = "encoder/mismatch"
    default_hint = "use the encoder that made the collection, or index into a new one"


class TrainingError(NearsightError):
    """Training cannot go on; its last checkpoint is kept."""

    default_code = "training"


class EngineError(NearsightError):
    """A vector index refused or failed."""

    default_code = "engine"


class EngineAway(EngineError):
    """An engine that stands elsewhere did not do what it was asked: searches are answered without it meanwhile.

    ``code``: ``engine/away`` (not reached, broke off, refused), ``engine/slow`` (no answer in time), ``engine/partial``
    (fewer answers than there must be), ``engine/count`` (it holds other rows than it was told).
    """

    default_code = "engine/away"
    default_hint = "start its server; what it lacks, the next sync tells it"


class ClusterError(NearsightError):
    """What hands out work to several machines cannot be reached, or failed. What was made stays."""

    default_code = "cluster"
    default_hint = "run the same command again: it goes on where it stopped"


class StoreError(NearsightError):
    """The collection on disk."""

    default_code = "store"


class NotACollection(StoreError):
    """There is no collection in that folder."""

    default_code = "store/none"
    default_hint = "make one: nearsight index FOLDER --collection PATH"


class FormatError(StoreError):
    """Written by a newer or unknown version of the format; left untouched."""

    default_code = "store/format"
    default_hint = "upgrade nearsight: pip install -U nearsight"


class Locked(StoreError):
    """Another process is writing to this collection."""

    default_code = "store/locked"
    default_hint = "wait for it to finish, or stop it; searching goes on meanwhile"


class ReadOnly(StoreError):
    """A write was asked of a handle or a medium that only reads."""

    default_code = "store/read-only"
    default_hint = "open the collection for writing, on a medium that can be written"


class Damaged(StoreError):
    """Bytes on disk are not those that were written. Never answered from."""

    default_code = "store/damaged"
    default_hint = "nearsight check names what is damaged; nearsight repair mends it from the pictures"


class WriteFailed(StoreError):
    """The disk is full or failing. Nothing that was acknowledged is lost."""

    default_code = "store/write-failed"
    default_hint = "free some space or change the disk, then run the same command again: it goes on where it stopped"


class RootVanished(StoreError):
    """A folder that was indexed is gone or suddenly empty; refused to forget its pictures."""

    default_code = "store/root-vanished"
    default_hint = "mount it again; or, if the pictures are gone for good, repeat with --drop always"
