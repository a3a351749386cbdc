"""The benchmark's faults in small numbers, and, marked slow, in larger ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Counted = Callable[..., dict[str, Any]]


def require_nothing_lost(result: dict[str, Any]) -> None:
    assert not any(result[name] for name in ("lost", "phantom", "wrong", "crashed")), result


def require_nothing_silent(result: dict[str, Any], trials: int) -> None:
    assert not any(result[name] for name in ("silent", "unnamed", "crashed")), result
    assert result["trials"] == trials == result["found"] + result["harmless"]
    assert result["found"], "damage that nobody notices was no damage"


def test_sigkill_at_random_moments(counted: Counted) -> None:
    result = counted("kills", 10)
    assert result["trials"] == 10
    assert result["acknowledged"] > 10
    require_nothing_lost(result)


def test_bits_flipped_in_every_file(counted: Counted) -> None:
    require_nothing_silent(counted("flips", 80), 80)


def test_pages_zeroed_in_every_file(counted: Counted) -> None:
    require_nothing_silent(counted("pages", 40), 40)


def test_truncation_junk_and_missing_files(counted: Counted) -> None:
    require_nothing_silent(counted("junk", 50), 50)


def test_failpoints_around_each_write(counted: Counted) -> None:
    result = counted("failpoints", 13)
    assert result["trials"] >= 15
    require_nothing_lost(result)


def test_disk_full_at_every_4_kb(counted: Counted) -> None:
    result = counted("disk_full", 6)
    assert result["refused"] == result["trials"] == 6
    require_nothing_lost(result)


def test_failpoints_on_the_way_to_another_encoder_and_back(counted: Counted) -> None:
    result = counted("migrating", 11)
    assert result["trials"] >= 15
    require_nothing_lost(result)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_on_the_way_to_another_encoder_and_back(counted: Counted) -> None:
    result = counted("migration_kills", 60)
    assert result["switched"], "some of them got there"
    require_nothing_lost(result)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "number"), [("kills", 60), ("failpoints", 1), ("disk_full", 64), ("migrating", 1)])
def test_more_of_them_lose_nothing(counted: Counted, name: str, number: int) -> None:
    require_nothing_lost(counted(name, number))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "number"), [("flips", 1000), ("pages", 300), ("junk", 500), ("unsealed", 300)])
def test_more_of_them_are_never_silent(counted: Counted, name: str, number: int) -> None:
    require_nothing_silent(counted(name, number), number)
