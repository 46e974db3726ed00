"""DKIM keys: three pairs a domain, made outside of transactions, sealed, gone with the domain."""

import base64

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from postroom.directory import dkim, domains
from postroom.jobs.dkim import make_keys
from postroom.model import errors
from postroom.model.organizations import Organization
from postroom.storage.engine import Store
from tests.conftest import Clock, make_organization


def test_every_domain_gets_three_pairs_once(store: Store, organization: Organization) -> None:
    assert make_keys(store, organization.number) == 2
    assert make_keys(store, organization.number) == 0
    with store.transaction(organization.number) as tx:
        domain = domains.get(tx, "example.test")
        texts = dkim.texts(tx, domain)
        assert list(texts) == [*domain.dkim_tokens, *(f"{token}-ed25519" for token in domain.dkim_tokens)]
        assert len(set(texts.values())) == 6
        for selector, text in texts.items():
            private = load_der_private_key(dkim.private(tx, domain.domain, selector), None)
            if selector.endswith("-ed25519"):
                beside = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(text.removeprefix("v=DKIM1; k=ed25519; p=")))
                assert isinstance(private, ed25519.Ed25519PrivateKey)
                beside.verify(private.sign(b"letter"), b"letter")
                continue
            public = load_der_public_key(base64.b64decode(text.removeprefix("v=DKIM1; k=rsa; p=")))
            assert isinstance(private, rsa.RSAPrivateKey)
            assert isinstance(public, rsa.RSAPublicKey)
            assert public.key_size == 2048
            public.verify(private.sign(b"letter", padding.PKCS1v15(), SHA256()), b"letter", padding.PKCS1v15(), SHA256())
        with pytest.raises(errors.ResourceNotFound):
            dkim.private(tx, domain.domain, "another")


def test_private_keys_are_sealed_each_for_its_domain_selector_and_organization(store: Store, organization: Organization) -> None:
    other = make_organization(store, number=2, alias="other")
    make_keys(store, organization.number)
    with store.transaction(organization.number) as tx:
        one, two, _ = domains.get(tx, "example.test").dkim_tokens
        beside = dkim.private(tx, "example.test", f"{one}-ed25519")
        plain = dkim.private(tx, "example.test", one)
        rows = tx.all("SELECT private_key FROM dkim_keys WHERE organization = :organization AND domain = 'example.test'")
        sealed = [bytes(row[0]) for row in rows]
        assert len(sealed) == 6
        assert not any(plain[100:140] in row or beside[-32:] in row for row in sealed)
        with pytest.raises(InvalidTag):
            tx.blobs.unseal(tx.blobs.seal(plain, f"dkim {one}.example.test"), f"dkim {two}.example.test")
        ours = tx.blobs.seal(plain, "x")
    with store.transaction(other.number) as tx, pytest.raises(InvalidTag):
        tx.blobs.unseal(ours, "x")


def test_keys_go_with_the_domain_and_late_ones_are_not_kept(store: Store, organization: Organization) -> None:
    with store.transaction(organization.number) as tx:
        old = domains.register(tx, "new.example")
    keys = dkim.make(dkim.selectors(old))
    with store.transaction(organization.number) as tx:
        dkim.keep(tx, old, keys)
        assert len(dkim.texts(tx, old)) == 6
        domains.deregister(tx, "new.example", default_domain="example.test")
        assert dkim.texts(tx, old) == {}
        dkim.keep(tx, old, keys)
        assert dkim.texts(tx, old) == {}
        new = domains.register(tx, "new.example")
        dkim.keep(tx, old, keys)
        assert dkim.texts(tx, old) == dkim.texts(tx, new) == {}
        assert "new.example" in [domain.domain for domain in dkim.missing(tx, limit=10)]


def test_the_first_keys_stay(store: Store, organization: Organization) -> None:
    with store.transaction(organization.number) as tx:
        domain = domains.get(tx, "example.test")
    first, second = dkim.make(dkim.selectors(domain)), dkim.make(dkim.selectors(domain))
    with store.transaction(organization.number) as tx:
        dkim.keep(tx, domain, first)
        dkim.keep(tx, domain, second)
        assert dkim.texts(tx, domain) == {key.selector: dkim.text(key.selector, key.public) for key in first}


def test_a_domain_of_before_gets_what_it_lacks(store: Store, organization: Organization) -> None:
    with store.transaction(organization.number) as tx:
        domain = domains.get(tx, "example.test")
        dkim.keep(tx, domain, dkim.make(domain.dkim_tokens))
        before = dkim.texts(tx, domain)
        assert len(before) == 3
    assert make_keys(store, organization.number) == 2
    with store.transaction(organization.number) as tx:
        after = dkim.texts(tx, domain)
        assert len(after) == 6
        assert before.items() < after.items()
        assert dkim.missing(tx, limit=10) == []


def test_rotation_goes_round_and_replaces_what_has_signed(store: Store, organization: Organization, clock: Clock) -> None:
    make_keys(store, organization.number)
    with store.transaction(organization.number) as tx:
        domain = domains.get(tx, "example.test")
        before = dkim.texts(tx, domain)
        one, two, three = domain.dkim_tokens
        assert [selector for selector, _ in dkim.signers(tx, "example.test")] == [one]
        assert [dkim.rotate(tx, "example.test"), dkim.rotate(tx, "Example.Test")] == [two, three]
        with pytest.raises(errors.DomainState):
            dkim.rotate(tx, "example.test")
        assert [selector for selector, _ in dkim.signers(tx, "example.test")] == [three]
    clock.advance(7 * 86_400 - 1)
    assert make_keys(store, organization.number) == 0
    with store.transaction(organization.number) as tx:
        assert dkim.texts(tx, domain) == before
    clock.advance(1)
    assert make_keys(store, organization.number) == 2
    with store.transaction(organization.number) as tx:
        after = dkim.texts(tx, domain)
        assert [after[selector] == before[selector] for selector in (one, two, three)] == [False, False, True]
        assert [after[f"{selector}-ed25519"] == before[f"{selector}-ed25519"] for selector in (one, two, three)] == [False, False, True]
        assert dkim.signing(tx, domain) == three
        assert dkim.rotate(tx, "example.test") == one


def test_the_second_key_signs_while_its_record_is_seen(store: Store, organization: Organization, clock: Clock) -> None:
    make_keys(store, organization.number)
    with store.transaction(organization.number) as tx:
        domain = domains.get(tx, "example.test")
        one, two, _ = domain.dkim_tokens
        waiting = dkim.unlooked(tx, limit=100)
        assert {selector for name, selector, _ in waiting if name == domain.domain} == {f"{token}-ed25519" for token in domain.dkim_tokens}
        public = {selector: public for _, selector, public in waiting}
        for token in (one, two):
            dkim.note_look(tx, domain.domain, f"{token}-ed25519", public[f"{token}-ed25519"], seen=token == one)
        assert [selector for selector, _ in dkim.signers(tx, domain.domain)] == [one, f"{one}-ed25519"]
        assert dkim.rotate(tx, domain.domain) == two
        assert [selector for selector, _ in dkim.signers(tx, domain.domain)] == [two]
        assert not {f"{one}-ed25519", f"{two}-ed25519"} & {selector for _, selector, _ in dkim.unlooked(tx, limit=100)}
    clock.advance(3600)
    with store.transaction(organization.number) as tx:
        selectors = {selector for _, selector, _ in dkim.unlooked(tx, limit=100)}
        assert (f"{one}-ed25519" in selectors, f"{two}-ed25519" in selectors) == (False, True)
        dkim.note_look(tx, domain.domain, f"{two}-ed25519", "another", seen=True)
        assert [selector for selector, _ in dkim.signers(tx, domain.domain)] == [two]
    clock.advance(7 * 86_400)
    make_keys(store, organization.number)
    with store.transaction(organization.number) as tx:
        domains.set_verification(tx, "example.postroom.test", ownership="FAILED", dkim="FAILED")
        assert {name for name, _, _ in dkim.unlooked(tx, limit=100)} == {"example.test"}
        dkim.rotate(tx, domain.domain)
        assert dkim.rotate(tx, domain.domain) == one
        assert [selector for selector, _ in dkim.signers(tx, domain.domain)] == [one]  # the pair is a new one
