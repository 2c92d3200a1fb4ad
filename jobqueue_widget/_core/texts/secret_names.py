"""Rules for which names say that their value is secret, and which values are mere words."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Strength = Literal["", "weak", "strong"]

_SEAMS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W_]+")
_STRONG = re.compile(
    r"pass_?w(or)?d|pass_?phrase|pass_?code|pass_?wort|kenn_?wort|mot_?de_?passe|contrase[nñ]a"
    r"|pwd(_|$)|(^|_)pin_?codes?(_|$)"
    r"|^pass$|(admin|auth|cert|db|ftp|imap|key|log_?in|mail|mongo|my_?sql|pg|proxy|redis|root|smtp"
    r"|sql|ssh|sudo|user)_?pass$"
    r"|secret(?!ar)"
    r"|(access|account|api|app|auth|client|consumer|decryption|encryption|hmac|license|master"
    r"|open_?ai|private|rsa|service|session|shared|signing|ssh|storage|subscription)_?keys?(_|$)"
    r"|credential|(^|_)creds?(_|$)"
    r"|auth(?!or(?!i[sz]))"  # not author, authority
    r"|bearer|cookie(?!_?cutter)|sess(ion)?_?id|(^|_)jwt(_|$)|(^|_)t?otp(_|$)|[cx]srf|web_?hook"
    r"|conn(ection)?_?str(ing)?(_|$)|(^|_)dsn(_|$)|recovery_?code|seed_?phrase"
    r"|(access|api|auth|bearer|bot|csrf|git_?hub|git_?lab|hf|hugging_?face|id|jwt|oauth|personal"
    r"|refresh|sas|security|session|slack|telegram)_?tokens?(_|$)"
)
_ABOUT = re.compile(  # tells of a value that is about a secret, as password_length does
    r"_(attempts|count|expire[ds]?|expiry|len|length|limit|max|min|policy|timeout|ttl|type)$"
)
_TOKEN = re.compile(r"token(?!s(_|$)|i[sz])")
_WORDS_OF_LANGUAGE = """
    ids id count counts limit len length lengths type types pos position positions index idx
    embedding embeddings embed prob probs logit logits logprob logprobs score scores budget
    weight weights mask masks vocab span spans size sizes per num n max min total avg mean
    special pad eos bos unk sep cls start end stop first last next prev previous cur current
    new sub word text texts input output prompt completion source target decoder encoder image
    audio rate
"""
_OF_LANGUAGE = frozenset(_WORDS_OF_LANGUAGE.split())
"""Words beside which `token` means a piece of text."""
_HINTS = (
    *("pass", "pwd", "secret", "key", "token", "auth", "cred", "cookie", "bearer", "sess", "wort"),
    *("jwt", "otp", "dsn", "conn", "hook", "csrf", "xsrf", "code", "phrase", "contrase"),
)
"""Texts of which each secret name has one; searching for them is ten times as quick."""

_WORD = re.compile(r"(##|Ġ|▁)?[^\W\d_]+(['\u2019-][^\W\d_]+)*")
_LONGEST_WORD = 20  # characters of a mere word
_SHORTEST_TOKEN = 5
_LONGEST_ACRONYM = 6
_MOST_IDS = 10**6  # larger than any vocabulary


def looks_secret(name: str) -> bool:
    """True for names of passwords, keys, tokens and the like, in any usual spelling."""
    return strength_of(name) != ""


@lru_cache(maxsize=4096)
def strength_of(name: str) -> Strength:
    """Rate a name: "strong", "" for none, or "weak" as `token`, whose value may be a mere word."""
    if not may_look_secret(name):  # holds for most names
        return ""
    plain = _SEAMS.sub("_", name).lower().strip("_")
    if _STRONG.search(plain):
        return "" if _ABOUT.search(plain) else "strong"
    if _TOKEN.search(plain) and _OF_LANGUAGE.isdisjoint(plain.split("_")):
        return "weak"
    return ""


def may_look_secret(names: str) -> bool:
    """False if no name of many, given as one text, can look secret; a quick test."""
    lowered = names.lower()
    return any(hint in lowered for hint in _HINTS)


def is_mere_word(value: object) -> bool:
    """True for a word or small number, as texts have, and keys and tokens of services are not."""
    if isinstance(value, int):
        return abs(value) < _MOST_IDS
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return False
    if len(value) < _SHORTEST_TOKEN:
        return True
    if len(value) > _LONGEST_WORD or not _WORD.fullmatch(value):
        return False
    letters = value.lstrip("#Ġ▁")
    rest = letters[1:]
    return rest == rest.lower() or (letters.isupper() and len(letters) <= _LONGEST_ACRONYM)
