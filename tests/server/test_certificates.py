import asyncio
import ssl
import threading

import pytest
from cryptography import x509

from postroom.server import certificates

NAMES = ["mail.example.test", "127.0.0.1", "::1"]


async def shake_hands(files: certificates.Files, name: str, client: ssl.SSLContext) -> str:
    """Connect to a server with these files; give the protocol version."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=certificates.context(files))
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
        version = writer.get_extra_info("ssl_object").version()
        writer.close()
        return version


@pytest.mark.parametrize("name", NAMES)
async def test_a_client_that_trusts_the_authority_trusts_every_name(tmp_path, name):
    files = certificates.local(tmp_path, NAMES)
    strict = ssl.create_default_context(cafile=files.authority)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    assert await shake_hands(files, name, strict) == "TLSv1.3"


async def test_a_client_that_does_not_or_wants_another_name_is_not_served(tmp_path):
    files = certificates.local(tmp_path, NAMES)
    with pytest.raises(ssl.SSLCertVerificationError):
        await shake_hands(files, "127.0.0.1", ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError, match="other.test"):
        await shake_hands(files, "other.test", ssl.create_default_context(cafile=files.authority))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_tls_1_1_is_refused(tmp_path):
    files = certificates.local(tmp_path, NAMES)
    assert certificates.context(files).minimum_version is ssl.TLSVersion.TLSv1_2
    old = ssl.create_default_context(cafile=files.authority)
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await shake_hands(files, "127.0.0.1", old)


def test_a_certificate_stays_until_its_names_change_and_the_authority_stays_always(tmp_path):
    files = certificates.local(tmp_path, NAMES)
    authority, first = files.authority.read_bytes(), files.certificate.read_bytes()
    assert certificates.local(tmp_path, NAMES).certificate.read_bytes() == first
    assert certificates.local(tmp_path, [*NAMES, "new.test"]).certificate.read_bytes() != first
    assert files.authority.read_bytes() == authority


def test_a_certificate_near_its_end_is_replaced(tmp_path, monkeypatch):
    files = certificates.local(tmp_path, NAMES)
    first = files.certificate.read_bytes()
    end = x509.load_pem_x509_certificates(first)[0].not_valid_after_utc
    monkeypatch.setattr(certificates, "_now", lambda: end - certificates.datetime.timedelta(days=certificates.RENEW_DAYS - 1))
    assert certificates.local(tmp_path, NAMES).certificate.read_bytes() != first


async def test_who_starts_at_the_same_time_has_the_same_authority(tmp_path):
    for attempt in range(5):
        start, folder = threading.Barrier(4), tmp_path / str(attempt)

        def issue(start=start, folder=folder):
            start.wait()
            return certificates.local(folder, NAMES)

        made = await asyncio.gather(*(asyncio.to_thread(issue) for _ in range(4)))
        assert await shake_hands(made[0], "127.0.0.1", ssl.create_default_context(cafile=made[0].authority)) == "TLSv1.3"


@pytest.mark.parametrize("name", ["server.pem", "server.key"])
@pytest.mark.parametrize("left", ["nothing", "half", "another"])
def test_what_a_crash_left_unusable_is_issued_anew(tmp_path, name, left):
    files = certificates.local(tmp_path, NAMES)
    whole = (tmp_path / name).read_bytes()
    another = certificates.local(tmp_path / "another", NAMES)
    spoilt = {"nothing": b"", "half": whole[: len(whole) // 2], "another": (tmp_path / "another" / name).read_bytes()}
    assert another.certificate.name == "server.pem"
    (tmp_path / name).write_bytes(spoilt[left])
    certificates.context(certificates.local(tmp_path, NAMES))
    assert files.authority.read_bytes() == (tmp_path / "ca.pem").read_bytes()


def test_keys_are_for_their_owner_alone(tmp_path):
    certificates.local(tmp_path / "tls", NAMES)
    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "tls").glob("*.key")} == {"ca.key": 0o600, "server.key": 0o600}
