"""The account with an authority: its key is made once, before the account, and never leaves `data/acme` (RFC 8555 §7.3)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import msgspec
from acme import client, errors, messages
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.b64 import b64encode
from josepy.jwa import ES256
from josepy.jwk import JWKEC

import postroom
from postroom.server.acme import folder as files
from postroom.server.acme.folder import Folder
from postroom.server.acme.transport import SECONDS, Network, Session
from postroom.server.settings import Acme


class Refused(Exception):
    """There is no certificate; the text says why, `pause` for how many seconds the authority does not want to be asked again."""

    def __init__(self, text: str, pause: float = 0.0) -> None:
        super().__init__(text)
        self.pause = pause


class Known(msgspec.Struct):
    """What is remembered of an account."""

    uri: str
    email: str


class Account:
    """A conversation with an authority under our account there."""

    def __init__(self, settings: Acme, folder: Folder, session: Session) -> None:
        """Ask for the authority's directory, and find or make the account; raises Refused and what `acme` raises."""
        self._settings = settings
        self._path = folder.account(settings.directory) / "account.json"
        self.key = JWKEC(key=_key(self._path.with_name("key.pem")))
        self._network = Network(
            self.key, alg=ES256, user_agent=f"postroom/{postroom.__version__}", timeout=int(SECONDS),
            verify_ssl=cast(bool, settings.ca or True),
        )  # fmt: skip
        self._network.session = session
        directory = client.ClientV2.get_directory(settings.directory, self._network)
        self.client = client.ClientV2(directory, self._network)
        with self.remembered():
            self._enter()

    @contextmanager
    def remembered(self) -> Iterator[None]:
        """Forget the account if the authority turns out not to know it, so that the next conversation makes another; the key stays."""
        try:
            yield
        except messages.Error as error:
            if error.code == "accountDoesNotExist":
                self._path.unlink(missing_ok=True)
            raise

    def answer(self, token: str) -> str:
        """Give the key authorization of a token (RFC 8555 §8.1)."""
        return f"{token}.{b64encode(self.key.thumbprint()).decode()}"

    def _enter(self) -> None:
        known = self._known() or self._register()
        self._use(known.uri)
        if known.email != self._settings.email:
            contact = messages.Registration.from_data(email=self._settings.email or None, contact=())
            self.client.update_registration(messages.RegistrationResource(body=messages.Registration(), uri=known.uri), contact)
            self._keep(known.uri)

    def _known(self) -> Known | None:
        """Find the account of this key, None where there is none yet."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Known)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _register(self) -> Known:
        """Make an account; one that this key has already is found by that."""
        binding = self._binding()
        if binding is None and self.client.external_account_required():
            raise Refused("the authority asks for an account of yours: set external_account_id and external_account_key_file in [tls.acme]")
        wanted = messages.NewRegistration.from_data(
            email=self._settings.email or None, terms_of_service_agreed=self._settings.agree_to_terms, external_account_binding=binding
        )
        try:
            uri = self.client.new_account(wanted).uri
        except errors.ConflictError as error:
            uri = error.location
        return self._keep(uri)

    def _binding(self) -> dict[str, object] | None:
        """Prove that an account elsewhere is ours (RFC 8555 §7.3.4)."""
        part = self._settings
        if not part.external_account_id:
            return None
        secret = Path(part.external_account_key_file).read_text().strip()
        return messages.ExternalAccountBinding.from_data(self.key.public_key(), part.external_account_id, secret, self.client.directory)

    def _keep(self, uri: str) -> Known:
        known = Known(uri, self._settings.email)
        files.replace(self._path, msgspec.json.encode(known))
        return known

    def _use(self, uri: str) -> None:
        self._network.account = messages.RegistrationResource(body=messages.Registration(), uri=uri)


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read the key of an account, or make one."""
    try:
        found = serialization.load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        found = ec.generate_private_key(ec.SECP256R1())
        pem = found.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        files.replace(path, pem)
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise Refused(f"{path} is no key of an elliptic curve")
    return found
