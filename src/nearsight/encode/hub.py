"""Models of the Hugging Face hub, downloaded once by the packages that know them, or from a folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from nearsight.core.errors import EncoderError, Unreachable


@contextmanager
def downloading(name: str, *, local: bool, hint: str) -> Iterator[None]:
    """Around the packages' own loading: no progress bars and no reports of weights that are of no use here, and what
    they raise as errors of ours.

    `name` as an address has it; `local`: it is a folder; `hint`: what else one might do without a connection. Raises
    Unreachable, and EncoderError (code ``encoder/weights``) for what is there and cannot be used.
    """
    try:
        with _quiet():
            yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        if local or not _has_os_error(error):
            raise EncoderError(
                f"{name} cannot be used: {why}",
                code="encoder/weights",
                hint="a model's folder has config.json, model.safetensors and tokenizer.json, and no code of its own",
            ) from error
        raise Unreachable(
            f"{name} cannot be downloaded: {why}",
            hint=f"give a folder that has it, try again with a connection, {hint}",
        ) from error


def _has_os_error(error: BaseException | None) -> bool:
    """Whether something outside the program is behind it: open_clip tells of that in its own words."""
    return error is not None and (isinstance(error, OSError) or _has_os_error(error.__context__))


@contextmanager
def _quiet() -> Iterator[None]:
    from transformers.utils import logging as own

    level, bars, root = own.get_verbosity(), own.is_progress_bar_enabled(), logging.getLogger().level
    own.set_verbosity_error()
    own.disable_progress_bar()
    logging.getLogger().setLevel(logging.CRITICAL)  # open_clip speaks through it
    try:
        yield
    finally:
        own.set_verbosity(level)
        logging.getLogger().setLevel(root)
        if bars:
            own.enable_progress_bar()
