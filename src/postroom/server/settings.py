"""Everything that can be set: one struct a table, below or beside the room it belongs to.

The docstring under a field is its documentation, from which docs/configuration.md is made.
"""

from typing import Literal

import msgspec

from postroom.aws.settings import Settings as AwsSettings
from postroom.ldap.settings import Settings as LdapSettings
from postroom.mailflow.allowance import Allowance
from postroom.mailflow.authentication.settings import Settings as AuthenticationSettings
from postroom.mailflow.filters.settings import Settings as FilterSettings
from postroom.mailflow.outbound.demand import Override
from postroom.mailflow.outbound.gateways import Gateway as GatewaySettings
from postroom.mailflow.outbound.settings import Settings as MailSettings
from postroom.mailflow.outbound.sts_settings import Settings as MtaStsSettings
from postroom.mailflow.reports.settings import Settings as ReportSettings
from postroom.policy.settings import Settings as PolicySettings
from postroom.policy.spikes import Settings as SpikeSettings
from postroom.protocols.imap.settings import Settings as ImapSettings
from postroom.protocols.managesieve.settings import Settings as ManageSieveSettings
from postroom.protocols.smtp.settings import Settings as SmtpSettings
from postroom.server.availability_settings import Settings as AvailabilitySettings
from postroom.server.flow_settings import Organization
from postroom.server.hooks.settings import Settings as HookSettings
from postroom.server.journals.journal import Settings as JournalSettings


class Storage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[storage]` table: where everything is kept."""

    engine: Literal["sqlite", "postgresql"] = "sqlite"
    """`sqlite` keeps one encrypted file per organization under `data`; `postgresql` keeps them in one database."""
    dsn: str = ""
    """How to reach PostgreSQL, as libpq reads it: `host=/run/postgresql dbname=postroom`, or a `postgresql://` address."""


class Keys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[keys]` table: what encrypts the organizations' data keys."""

    keyring: str = ""
    """The local keyring's file, `keyring.json` under `data` by default. Without it no mail can be read: keep a copy elsewhere."""
    kms: bool = False
    """Whether the data key of an organization that is made with a KmsKeyArn is wrapped by AWS KMS, by `[aws]`; by the keyring if not."""


class Api(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[api]` table: the WorkMail administration API."""

    listen: tuple[str, ...] = ("127.0.0.1:8080",)
    """Addresses for HTTP. Requests are signed, but answers travel in clear: keep it on the loopback or behind a proxy."""
    listen_tls: tuple[str, ...] = ()
    """Addresses for HTTPS."""
    region: str = "us-east-1"
    """The region in ARNs, which clients must also sign for."""
    account: str = "000000000000"
    """The twelve-digit account number in ARNs."""
    request_seconds: float = 30.0
    """How long a request may take to arrive."""
    connections: int = 1000
    """Connections at once; beyond it a request is answered 503."""
    body_bytes: int = 1_048_576
    """The largest request body."""
    users: int = 100_000
    """The most users an organization may have; WorkMail's default is 1000."""
    buffered_bytes: int = 67_108_864
    """What all bodies on their way in may take together; more is told to come back later."""


class Web(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[web]` table: what the world may ask over HTTP beside mail. Both doors are closed by default."""

    listen: tuple[str, ...] = ()
    """Addresses for plain HTTP, `*:80` for the world. What need not be answered there is sent to https."""
    listen_tls: tuple[str, ...] = ()
    """Addresses for HTTPS, `*:443` for the world."""
    request_seconds: float = 30.0
    """How long a request may take to arrive."""
    connections: int = 500
    """Connections at once; beyond it a request is answered 503."""
    connections_per_address: int = 50
    """Connections at once from one address, but for `trusted_networks`."""
    trusted_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Where one address may stand for many clients, as a proxy does."""


class Groups(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[groups]` table: what letters to groups say of them."""

    leave_at: str = ""
    """Where members leave a group by one click (List-Unsubscribe): the start of the web door's address, `https://mail.example.org`."""


class Smtp(SmtpSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[smtp]` table: mail from other servers."""

    listen: tuple[str, ...] = ("*:25",)
    """Addresses where other servers deliver, with STARTTLS."""


class Submission(SmtpSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[submission]` table: mail from our own users. Beside `listen` and `listen_tls` it has every setting of `[smtp]`."""

    listen: tuple[str, ...] = ("*:587",)
    """Addresses for submission with STARTTLS."""
    listen_tls: tuple[str, ...] = ("*:465",)
    """Addresses for submission under TLS from the first byte."""


class Imap(ImapSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[imap]` table: reading and arranging mail."""

    listen: tuple[str, ...] = ("*:143",)
    """Addresses for IMAP with STARTTLS; no password is taken before it."""
    listen_tls: tuple[str, ...] = ("*:993",)
    """Addresses for IMAP under TLS from the first byte."""


class ManageSieve(ManageSieveSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[managesieve]` table: users put their own rules."""

    listen: tuple[str, ...] = ("*:4190",)
    """Addresses for ManageSieve with STARTTLS; no password is taken before it."""
    listen_tls: tuple[str, ...] = ()
    """Addresses for ManageSieve under TLS from the first byte, which few clients speak."""


class Pair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[tls.domains."NAME"]` table for each name that has a certificate of its own; `*.` stands for any one label."""

    certificate: str
    """A PEM file with the certificate and its chain."""
    key: str
    """The PEM file of its private key."""


class Acme(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[tls.acme]` table: certificates from an authority that speaks ACME, such as Let's Encrypt, renewed while the server runs."""

    enabled: bool = False
    """Whether certificates are ordered."""
    agree_to_terms: bool = False
    """Whether you agree to the terms of service of the authority, without which it gives no account."""
    directory: str = "https://acme-v02.api.letsencrypt.org/directory"
    """Where the authority is. Try `https://acme-staging-v02.api.letsencrypt.org/directory` first, whose certificates nobody trusts."""
    email: str = ""
    """Where the authority writes to when something is wrong; some want none."""
    names: tuple[str, ...] = ()
    """
    The names to order certificates for. When empty: `hostname` of `[mail]`, the hosts of `[domains]`, and of every verified mail domain
    what MTA-STS and autodiscover ask for, each as soon as its addresses in DNS are those of `hostname`.
    """
    challenge: Literal["http-01", "tls-alpn-01"] = "http-01"
    """How the authority looks whether a name is ours: on port 80, which `listen` of `[web]` has to answer, or on port 443, `listen_tls`."""
    key_type: Literal["ecdsa-p256", "ecdsa-p384", "rsa-2048"] = "ecdsa-p256"
    """What keys are made."""
    reuse_key: bool = False
    """Whether a key stays when its certificate is renewed, for who publishes TLSA records of it."""
    profile: str = ""
    """The kind of certificate, where the authority has several."""
    external_account_id: str = ""
    """The key identifier of an account that you have with the authority already, if it asks for one."""
    external_account_key_file: str = ""
    """A file with the HMAC key of that account, in base64url."""
    ca: str = ""
    """A PEM file with the root of the authority's own certificate, for laboratories; the usual ones are trusted by default."""


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[tls]` table. The files are read again within a minute of their change, and at SIGHUP."""

    certificate: str = ""
    """A PEM file with the certificate and its chain. Without one, a local authority under `data` issues a certificate."""
    key: str = ""
    """The PEM file of its private key."""
    folder: str = ""
    """A folder whose subfolders have a `fullchain.pem` and `privkey.pem` each, shown to who asks for a name in that certificate."""
    domains: dict[str, Pair] = {}
    """Certificates by the name that a client asks for (SNI); whoever asks for none of them is shown `certificate`."""
    acme: Acme = Acme()


class Mail(MailSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[mail]` table: this server's name, and mail on its way out."""


class MtaSts(MtaStsSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[mta_sts]` table: policies by which mail domains ask for encryption, those of others and our own (RFC 8461)."""


class Authentication(AuthenticationSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[authentication]` table: how it is found out who sent a stranger's letter. The results stand in `Authentication-Results`."""


class Reports(ReportSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[reports]` table: what other domains are told, once a day, where they ask for it in DNS."""


class Filters(FilterSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[filters]` table: whether mail from strangers is wanted. Nothing of it applies to our own users."""


class Dns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[dns]` table."""

    nameservers: tuple[str, ...] = ()
    """`address:port` of the name servers to ask, port 53 by default; those of the machine when empty."""
    validating: bool = False
    """Whether their word on DNSSEC is taken, which DANE needs. That of name servers on this machine's loopback always is."""
    signed_name: str = "."
    """A zone that is signed for certain: with `validating`, the log warns at the start where they do not prove it. The root is."""


class Domains(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[domains]` table."""

    base: str = "postroom.test"
    """Every organization gets the test domain `ALIAS.BASE`."""
    verify: bool = True
    """Whether a mail domain must prove its owner by a TXT record before it takes mail. Turn it off in laboratories only."""
    mail_host: str = ""
    """What the MX records of mail domains have to name; `hostname` of `[mail]` by default."""
    autodiscover_host: str = ""
    """What their autodiscover CNAME has to name; `hostname` of `[mail]` by default."""
    spf_include: str = ""
    """What their SPF record has to include; `_spf.` before `hostname` by default."""
    dkim_domain: str = ""
    """Where their DKIM CNAMEs have to point; `dkim.` before `hostname` by default."""


class Aws(AwsSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[aws]` table: AWS as this server uses it itself, for exports to S3, KMS keys, Route 53 and CloudWatch Logs. Off by default."""


class Policy(PolicySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[policy]` table: who may do what, beyond what the API says."""


class Spikes(SpikeSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[spikes]` table: when a user's mail for others is held back, since somebody else may be sending it."""


class Exports(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[exports]` table: where the mailboxes go that StartMailboxExportJob exports."""

    buckets: dict[str, str] = {}
    """Buckets that are folders of this machine, such as `archive = "/srv/archive"`; the others are asked of Amazon S3, by `[aws]`."""
    assume_role: bool = True
    """Whether Amazon S3 is asked under the role an export names. If not, under this server's own key: for services without STS."""
    encrypt: bool = True
    """Whether Amazon S3 is asked to encrypt under the KMS key an export names. Turn it off for services without KMS alone."""


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[retention]` table: when retention policies are obeyed; what they say is set by PutRetentionPolicy."""

    at: str = "02:30"
    """The time of day, UTC, at which the work of a night begins, within ten minutes."""


class Directory(LdapSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[directories.NAME]` table for each LDAP server or Active Directory from which an organization has its users and groups."""


class Hook(HookSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[hooks.NAME]` table for each program that flow rules call: over HTTP, or a function of AWS Lambda."""


class Gateway(GatewaySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[gateways.NAME]` table for each server by way of which outbound flow rules send letters.

    What it does not take for now is tried again, as with any server.
    """


class Availability(AvailabilitySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[availability]` table: how servers of others are asked when their people are free."""


class Audit(JournalSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[audit]` table: the record of every call of the API, in `logs` under `data`, which `postroom audit` reads.

    Requests whose signature is refused are recorded in files of their own, of the same size and number.
    """


class Events(JournalSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[events]` table: what becomes of letters, in `logs` under `data`, and in CloudWatch Logs where an organization asks for it."""

    buffer: int = 100_000
    """How many events may wait in memory, in 64 MiB at most, while CloudWatch Logs does not take them."""


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[log]` table."""

    format: Literal["json", "console"] = "json"
    """One JSON object per line, or lines for people."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is written."""


class Metrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[metrics]` table. The API's HTTP door also answers `/metrics`, to the loopback alone."""

    listen: tuple[str, ...] = ()
    """Addresses of a plain HTTP listener with nothing but `/metrics` and `/healthz`, for a scraper on another machine."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    data: str = "/var/lib/postroom"
    """The folder for all data. A relative path starts at the configuration file."""
    tls_policies: dict[str, Override] = {}
    """What is demanded of the encryption to the mail servers of single domains, such as `"example.com" = "verified"`: plain text, TLS where
    it is `offered`, always TLS with any certificate, always with one for the server's name by an authority of `[mta_sts]`, or always by
    DANE. It goes before what a domain asks for itself by DANE or MTA-STS."""
    storage: Storage = Storage()
    keys: Keys = Keys()
    api: Api = Api()
    web: Web = Web()
    groups: Groups = Groups()
    smtp: Smtp = Smtp()
    submission: Submission = Submission()
    allowance: Allowance = Allowance()
    spikes: Spikes = Spikes()
    imap: Imap = Imap()
    managesieve: ManageSieve = ManageSieve()
    tls: Tls = Tls()
    mail: Mail = Mail()
    mta_sts: MtaSts = MtaSts()
    authentication: Authentication = Authentication()
    reports: Reports = Reports()
    filters: Filters = Filters()
    dns: Dns = Dns()
    domains: Domains = Domains()
    aws: Aws = Aws()
    directories: dict[str, Directory] = {}
    hooks: dict[str, Hook] = {}
    gateways: dict[str, Gateway] = {}
    organizations: dict[str, Organization] = {}
    availability: Availability = Availability()
    exports: Exports = Exports()
    policy: Policy = Policy()
    retention: Retention = Retention()
    audit: Audit = Audit()
    events: Events = Events()
    log: Log = Log()
    metrics: Metrics = Metrics()
