"""Chinese or English, by the locale of whoever reads."""

from __future__ import annotations

import os


def is_chinese() -> bool:
    """Whether the reader's locale asks for Chinese."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return value.lower().startswith("zh")
    return False


def say(english: str, chinese: str) -> str:
    """Return the text in the reader's language."""
    return chinese if is_chinese() else english
