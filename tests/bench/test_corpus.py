"""The mail is the same on every run and of the promised kind."""

import email
import hashlib

from bench import corpus


def test_the_same_on_every_run_and_each_message_unlike_the_others():
    first = [hashlib.sha256(raw).digest() for raw in corpus.messages(50)]
    assert first == [hashlib.sha256(raw).digest() for raw in corpus.messages(50)]
    assert len(set(first)) == 50


def test_another_seed_shares_no_message():
    assert not set(corpus.messages(30, seed=1)) & set(corpus.messages(30, seed=2))


def test_sizes_shapes_and_markers():
    made = list(corpus.messages(400))
    sizes = [len(raw) for raw in made]
    assert min(sizes) > 3_000
    assert max(sizes) < 55_000
    assert 11_000 < sum(sizes) / len(sizes) < 15_000
    kinds = {email.message_from_bytes(raw).get_content_type() for raw in made}
    assert kinds == {"text/plain", "multipart/alternative", "multipart/mixed"}
    assert sum(corpus.MARKER.encode() in raw for raw in made) == 2
    assert sum(corpus.SUBJECT_MARKER.encode() in raw for raw in made) == 4


def test_lines_end_in_crlf_only():
    for raw in [*corpus.messages(100), *corpus.letters(200, 10_000, seed=3, domain="x.test")]:
        assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")


def test_letters_have_the_size_asked_for():
    assert all(9_500 < len(raw) < 10_500 for raw in corpus.letters(20, 10_000, seed=5, domain="x.test"))
