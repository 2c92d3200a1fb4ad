"""Which names say that a value is secret: a table of those that do and those that only seem to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobqueue_widget._core.spec import JobOptions, JobSpec
from jobqueue_widget._core.texts.secret_names import is_mere_word, looks_secret, strength_of
from jobqueue_widget._secrets.finder import secrets_of

SECRET = """
    password passwd pwd db_pwd userPwd db_passwd passphrase passcode smtp_pass DB_PASS
    client_secret secretKey access_token hf_token HF_TOKEN api_key apikey APIKey X-API-Key
    x-api-key apiKEY aws_access_key aws_secret_access_key private_key privateKey ssh_key
    signing_key encryption_key credential credentials creds auth Authorization authorisation
    oauth authToken bearer bearer_token refresh_tokens api_tokens session_id sessionId
    sessionid PHPSESSID JSESSIONID session_cookie cookie cookies Set-Cookie jwt otp totp csrf
    xsrf_token webhook_url connection_string conn_str SENTRY_DSN OPENAI_KEY github_token
    slackToken id_token passwort master_password passwords
    pass_word Pass-Word PassWord PASS_WORD pass_wd pass_phrase Pass_Wort pin_code pinCode PINCODE
    GitHubToken OpenAIKey web_hook --password --api-key -Dpassword
"""
PERHAPS = "token tokenFile my_token usertoken TOKEN"
OTHERS = """
    author authors authority authored tokenizer tokenise tokenized tokens token_ids tokenIds
    max_tokens n_tokens num_tokens max_new_tokens token_count token_type_ids special_tokens
    pad_token eos_token next_token token_embeddings prompt_tokens path passes bypass passenger
    compass secretary key keys keyword keyboard primary_key sort_key session sessions
    cookie_cutter cookiecutter code codes hook connection connections phrase monkey
    pin pinned pincodec bypass_width low_pass_w compass_work --author --tokenizer
    password_length token_limit auth_type cookie_policy password_policy lr seed x
"""


@pytest.mark.parametrize("name", SECRET.split())
def test_a_name_that_says_that_its_value_is_secret(name: str) -> None:
    assert strength_of(name) == "strong"


@pytest.mark.parametrize("name", PERHAPS.split())
def test_a_name_that_says_so_of_what_is_no_mere_word(name: str) -> None:
    assert looks_secret(name)
    assert strength_of(name) == "weak"


@pytest.mark.parametrize("name", OTHERS.split())
def test_a_name_that_only_seems_to(name: str) -> None:
    assert not looks_secret(name)


WORDS: list[object] = [
    "walking",
    "Walking",
    "NASA",
    "don't",
    "ice-cream",
    "##ing",
    "Ġthe",
    ".",
    "...",
    "2024",
    "ß",
]
WORDS += ["größer", "слово", "U.S.", 7, 50_256, b"walking"]
KEYS: list[object] = [
    "hunter2",
    "HUNTER-1",
    "hf_AbCdEfGhIj",
    "ghp_0123456789abcdefghij",
    "eyJhbGciOi.eyJzdWIi",
]
KEYS += [
    "correct horse battery",
    "qwertyuiopasdfghjklzxcvbnm",
    "AKIAIOSFODNN",
    123_456_789,
    b"\x00" * 9,
]


@pytest.mark.parametrize("value", WORDS, ids=str)
def test_what_texts_are_made_of(value: object) -> None:
    assert is_mere_word(value)


@pytest.mark.parametrize("value", KEYS, ids=str)
def test_what_services_give_out(value: object) -> None:
    assert not is_mere_word(value)


def stem(token: Any, tokens: object = (), tokenizer: object = None) -> None:
    """Of language processing."""


def ask(token: Any = None, **more: Any) -> None:
    """Of a service, or of language processing."""


class Tokenizer:
    def __init__(self) -> None:
        self.pad_token, self.tokens, self.max_tokens = "<pad>", ["Walking-7x"] * 9, 512


@pytest.mark.parametrize(
    ("target", "args", "kwargs"),
    [
        (stem, ("walking",), {}),
        (stem, (["I", "am", "walking"], ["a", "HUNTER-1"]), {}),
        (stem, (50_256,), {"tokenizer": Tokenizer()}),
        (ask, (), {"max_tokens": 100, "token_ids": [1, 2, 3]}),
        (ask, (), {"records": [{"token": "walking", "pos": "VERB"}] * 100}),
        (ask, (), {"password": "", "token": None, "auth": False}),
        (ask, (), {"author": "ada", "keyword": "HUNTER-1"}),
    ],
)
def test_words_of_language_are_no_secrets(
    target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert secrets_of(JobSpec("j", "function", target, "f", args, kwargs)) is None


@pytest.mark.parametrize(
    "value", ["hf_AbCdEf", ["walking", "hf_AbCdEf"], {"x": {"token": "HUN-1"}}]
)
def test_a_token_that_is_no_word_is_one(value: object) -> None:
    assert secrets_of(JobSpec("j", "function", stem, "f", (value,))) is not None
    said_so = JobOptions(secret=False)
    assert secrets_of(JobSpec("j", "function", stem, "f", (value,), options=said_so)) is None
