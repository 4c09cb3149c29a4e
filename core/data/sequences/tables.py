"""The words, patterns and times by which MR sequences are recognised: the tables of ``tables.json``, as they stand.

They are plain data so that a program in another language reads the same file. Words are in lower case, without accents,
Cyrillic and special letters in Latin ones; one may be several, with a space between. Patterns are regular expressions
without look-behind, applied in order. Languages: English, German, French, Spanish, Italian, Portuguese, Dutch, Polish,
Czech, Turkish, Russian, Scandinavian ones, and words of their neighbours.
"""

from __future__ import annotations

from typing import Any

from core.files import load_table

TABLES: dict[str, Any] = load_table(__file__)
