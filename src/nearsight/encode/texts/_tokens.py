"""The words of a text, for vectors that are looked up whole.

A text is lower-cased and composed (Unicode NFC), then cut:

- a word is a run of letters, combining marks and digits: ``dog``, ``2nd``, ``собака``, ``हिन्दी``; everything else
  ends it, also apostrophe, hyphen and underscore (``dog's`` is ``dog`` and ``s``), and so do 100 letters;
- Chinese characters are words by themselves, for nothing stands between their words; kana, Hangul, Thai and the like
  stay the runs they are written as;
- an emoji is a word, with the skin tones and the joined ones that make it up; so is a pair of letters that is a flag.
  Variation selectors, which choose between drawings of one sign, are left out;
- punctuation and other signs are nobody's words.
"""

from __future__ import annotations

import re
import unicodedata

_LETTER, _HAN, _EMOJI, _TONE, _FLAG, _JOINER, _VARIANT, _OTHER = "whetfjv "
_WORDS = re.compile("w[wv]{0,99}|h|ff|e[tv]*(?:je[tv]*)*")
_FLAGS, _TONES = range(0x1F1E6, 0x1F200), range(0x1F3FB, 0x1F400)


class _Kinds(dict[int, str]):
    """Code point -> the one letter that says what it is, looked up once each."""

    def __missing__(self, code: int) -> str:
        kind = self[code] = _kind(code)
        return kind


def _kind(code: int) -> str:
    if code == 0x200D:
        return _JOINER
    if code in range(0xFE00, 0xFE10):
        return _VARIANT
    if code in _FLAGS:
        return _FLAG
    if code in _TONES:
        return _TONE
    if 0x4E00 <= code <= 0x9FFF or 0x3400 <= code <= 0x4DBF or 0x20000 <= code <= 0x3FFFF or 0xF900 <= code <= 0xFAFF:
        return _HAN
    category = unicodedata.category(chr(code))
    if category[0] in "LMN":
        return _LETTER
    # Signs that are pictures: "So" beyond the Latin ones, and the block of emoji, which grows faster than Python's
    # tables of it.
    return _EMOJI if (category == "So" and code > 0x2000) or 0x1F000 <= code <= 0x1FAFF else _OTHER


_KINDS = _Kinds()


def tokens(text: str, longest: int) -> list[str]:
    """The first `longest` words of `text`."""
    plain = unicodedata.normalize("NFC", text.lower())
    found: list[str] = []
    for match in _WORDS.finditer(plain.translate(_KINDS)):
        found.append("".join(c for c in plain[match.start() : match.end()] if _KINDS[ord(c)] != _VARIANT))
        if len(found) == longest:
            break
    return found
