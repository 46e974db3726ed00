"""The settings of a server: one TOML file, every key known by name.

Each table is a struct below or beside the room it belongs to; the docstring under a field is its documentation, from which
docs/configuration.md is made. A key that no struct knows is refused, with the nearest key that one does.
"""

import difflib
import ipaddress
import math
import re
import socket
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from postroom.aws.settings import Settings as AwsSettings
from postroom.ldap import filters
from postroom.ldap.link import Place
from postroom.ldap.settings import MEANINGS, PROFILE
from postroom.ldap.settings import Settings as LdapSettings
from postroom.mailflow.outbound import Settings as MailSettings
from postroom.mailflow.submission import Allowance
from postroom.model import addresses
from postroom.model.errors import InvalidParameter
from postroom.policy.settings import Settings as PolicySettings
from postroom.protocols.imap.settings import Settings as ImapSettings
from postroom.protocols.smtp.settings import Settings as SmtpSettings
from postroom.server import endpoints
from postroom.server.availability import Settings as AvailabilitySettings
from postroom.server.journals.journal import Settings as JournalSettings


class ConfigurationError(Exception):
    """The configuration cannot be used; the text says where and why."""


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


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[tls]` table. Read again at SIGHUP."""

    certificate: str = ""
    """A PEM file with the certificate and its chain. Without one, a local authority under `data` issues a certificate."""
    key: str = ""
    """The PEM file of its private key."""


class Mail(MailSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[mail]` table: this server's name, and mail on its way out."""


class Dns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[dns]` table."""

    nameservers: tuple[str, ...] = ()
    """`address:port` of the name servers to ask, port 53 by default; those of the machine when empty."""


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
    storage: Storage = Storage()
    keys: Keys = Keys()
    api: Api = Api()
    smtp: Smtp = Smtp()
    submission: Submission = Submission()
    allowance: Allowance = Allowance()
    imap: Imap = Imap()
    tls: Tls = Tls()
    mail: Mail = Mail()
    dns: Dns = Dns()
    domains: Domains = Domains()
    aws: Aws = Aws()
    directories: dict[str, Directory] = {}
    availability: Availability = Availability()
    exports: Exports = Exports()
    policy: Policy = Policy()
    retention: Retention = Retention()
    audit: Audit = Audit()
    events: Events = Events()
    log: Log = Log()
    metrics: Metrics = Metrics()


def load(path: Path) -> Settings:
    """Read and check a configuration file; raises ConfigurationError."""
    try:
        text = path.read_text()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not UTF-8") from None
    try:
        return parse(text, path.resolve().parent)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def parse(text: str, folder: Path) -> Settings:
    """Read and check a configuration; relative paths start at `folder`. Raises ConfigurationError."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"not TOML: {error}") from None
    refuse_unknown(values, Settings)
    try:
        settings = msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise ConfigurationError(_where(str(error))) from None
    return check(complete(settings, folder))


def refuse_unknown(values: Mapping[str, Any], struct: type[msgspec.Struct], table: str = "") -> None:
    """Raise ConfigurationError for the first key that a struct does not have, naming the nearest that it has."""
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
    for key, value in values.items():
        kind = fields.get(key)
        if kind is None:
            place = f"in [{table}]" if table else "at the top"
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.5)
            raise ConfigurationError(f'unknown setting "{key}" {place}' + (f'; did you mean "{near[0]}"?' if near else ""))
        place = f"{table}.{key}" if table else key
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
            refuse_unknown(value, kind, place)
        entry = struct_of_entries(kind)
        if entry is not None and isinstance(value, dict):
            for name, inner in value.items():
                if isinstance(inner, dict):
                    refuse_unknown(inner, entry, f"{place}.{name}")


def struct_of_entries(kind: Any) -> type[msgspec.Struct] | None:
    """Give the struct of each entry of a table of tables; None for every other type."""
    inner = typing.get_args(kind)[1:] if typing.get_origin(kind) is dict else ()
    return inner[0] if inner and isinstance(inner[0], type) and issubclass(inner[0], msgspec.Struct) else None


def complete(settings: Settings, folder: Path) -> Settings:
    """Fill in what follows from other settings: absolute paths and the host name."""
    data = (folder / settings.data).resolve()
    hostname = _named(settings.mail.hostname, socket.gethostname())
    replace = msgspec.structs.replace
    return replace(
        settings,
        data=str(data),
        keys=replace(settings.keys, keyring=str(data / (settings.keys.keyring or "keyring.json"))),
        tls=replace(settings.tls, certificate=_absolute(folder, settings.tls.certificate), key=_absolute(folder, settings.tls.key)),
        exports=replace(settings.exports, buckets={name: _absolute(folder, path) for name, path in settings.exports.buckets.items()}),
        mail=replace(settings.mail, hostname=hostname, smarthost_ca=_absolute(folder, settings.mail.smarthost_ca)),
        directories={name: _placed(folder, part) for name, part in settings.directories.items()},
        availability=replace(settings.availability, ca=_absolute(folder, settings.availability.ca)),
        domains=_pointed(settings.domains, hostname),
        smtp=replace(settings.smtp, hostname=_named(settings.smtp.hostname, hostname)),
        submission=replace(settings.submission, hostname=_named(settings.submission.hostname, hostname)),
    )


def check(settings: Settings) -> Settings:
    """Check what the types cannot say; raises ConfigurationError."""
    for table in ("api", "smtp", "submission", "imap", "metrics"):
        part = getattr(settings, table)
        for name in ("listen", "listen_tls"):
            for text in getattr(part, name, ()):
                _checked(f"{table}.{name}", endpoints.parse, text)
    for text in settings.dns.nameservers:
        _checked("dns.nameservers", _name_server, text)
    for name, host in (("mail.hostname", settings.mail.hostname), ("domains.base", settings.domains.base)):
        _checked(name, _domain, host)
    _refuse_impossible_numbers(settings)
    _checked("retention.at", time_of_day, settings.retention.at)
    if settings.mail.smarthost:
        _checked("mail.smarthost", endpoints.split, settings.mail.smarthost, 25)
    if bool(settings.tls.certificate) != bool(settings.tls.key):
        raise ConfigurationError("[tls] needs both certificate and key, or neither")
    if settings.storage.engine == "postgresql" and not settings.storage.dsn:
        raise ConfigurationError('[storage] engine = "postgresql" needs a dsn')
    if not (settings.api.account.isascii() and settings.api.account.isdigit() and len(settings.api.account) == 12):
        raise ConfigurationError("[api] account must be twelve digits")
    _check_directories(settings.directories)
    return settings


def _check_directories(directories: Mapping[str, Directory]) -> None:
    """Raise ConfigurationError for a directory that cannot be asked, or not without telling others the passwords."""
    taken: dict[str, str] = {}
    for name, part in directories.items():
        table = f"directories.{name}"
        if not re.fullmatch(r"d-[0-9a-f]{10}", part.id):
            raise ConfigurationError(f"[{table}] id must be d- and ten hex digits")
        if taken.setdefault(part.id, name) != name:
            raise ConfigurationError(f"[{table}] id is that of [directories.{taken[part.id]}]")
        for needed in ("urls", "bind_dn"):
            if not getattr(part, needed):
                raise ConfigurationError(f"[{table}] needs {needed}")
        if bool(part.bind_password) == bool(part.bind_password_file):
            raise ConfigurationError(f"[{table}] needs either bind_password or bind_password_file")
        if not (part.base or (part.users_base and part.groups_base)):
            raise ConfigurationError(f"[{table}] needs base")
        _check_servers(table, part)
        _check_meaning(table, part)


def _check_servers(table: str, part: Directory) -> None:
    for url in part.urls:
        try:
            place = Place.of(url)
        except ValueError as error:
            raise ConfigurationError(f"[{table}] urls: {error}") from None
        if not (place.tls or part.starttls or part.plain or place.loopback):
            raise ConfigurationError(f"[{table}] urls: passwords would go to {url} in clear; use ldaps://, or starttls")
    if part.ca and not Path(part.ca).is_file():
        raise ConfigurationError(f"[{table}] ca: {part.ca} is not there")


def _check_meaning(table: str, part: Directory) -> None:
    for name in ("users_filter", "groups_filter"):
        try:
            filters.parse(getattr(part, name) or "(a=*)")
        except ValueError as error:
            raise ConfigurationError(f"[{table}] {name}: {error}") from None
    for meaning, attribute in part.attributes.items():
        if meaning not in MEANINGS["ldap"] and meaning not in PROFILE:
            known = ", ".join(sorted({*MEANINGS["ldap"], *PROFILE}))
            raise ConfigurationError(f'[{table}] attributes: "{meaning}" is none of {known}')
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*|", attribute):
            raise ConfigurationError(f'[{table}] attributes: "{attribute}" is no name of an attribute')
    for name in ("sync_seconds", "connect_seconds", "answer_seconds", "page", "entries"):
        if not 0 < getattr(part, name) < math.inf:
            raise ConfigurationError(f"[{table}] {name} must be above 0")
    if not (0 <= part.offline_days < math.inf and 0 <= part.vanishing_percent <= 100):
        raise ConfigurationError(f"[{table}] offline_days and vanishing_percent must not be below 0")


def _refuse_impossible_numbers(settings: Settings) -> None:
    """Raise ConfigurationError for a number that would stop something without a word: 0 connections, -1 seconds."""
    for table in msgspec.structs.fields(Settings):
        part = getattr(settings, table.name)
        for name, value in msgspec.structs.asdict(part).items() if isinstance(part, msgspec.Struct) else ():
            if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value < math.inf:
                raise ConfigurationError(f"[{table.name}] {name} must be above 0")
    if settings.mail.port > 65535:
        raise ConfigurationError("[mail] port must be below 65536")


def time_of_day(text: str) -> float:
    """Read a time of day such as `02:30`; gives seconds after midnight. Raises ValueError."""
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", text, re.ASCII)
    if found is None:
        raise ValueError(f'"{text}" is no time of day; write it like 02:30')
    return int(found[1]) * 3600.0 + int(found[2]) * 60.0


def _name_server(text: str) -> None:
    ipaddress.ip_address(endpoints.split(text, 53)[0])


def _domain(name: str) -> None:
    try:
        addresses.domain_key(name)
    except InvalidParameter as error:
        raise ValueError(str(error)) from None


def _checked(where: str, read: Any, *arguments: Any) -> None:
    try:
        read(*arguments)
    except ValueError as error:
        table, _, name = where.partition(".")
        raise ConfigurationError(f"[{table}] {name}: {error}") from None


def _absolute(folder: Path, path: str) -> str:
    return str((folder / path).resolve()) if path else ""


def _placed(folder: Path, part: Directory) -> Directory:
    return msgspec.structs.replace(part, ca=_absolute(folder, part.ca), bind_password_file=_absolute(folder, part.bind_password_file))


def _named(hostname: str, default: str) -> str:
    """Give a name that was set; a room's own default says nothing about this machine."""
    return default if hostname == "localhost" else hostname


def _pointed(domains: Domains, hostname: str) -> Domains:
    return msgspec.structs.replace(
        domains,
        mail_host=domains.mail_host or hostname,
        autodiscover_host=domains.autodiscover_host or hostname,
        spf_include=domains.spf_include or f"_spf.{hostname}",
        dkim_domain=domains.dkim_domain or f"dkim.{hostname}",
    )


def _where(text: str) -> str:
    """Turn msgspec's `... - at `$.smtp.listen[0]`` into `[smtp] listen: ...`."""
    reason, _, path = text.partition(" - at `$.")
    if not path:
        return reason
    table, _, name = path.rstrip("`").partition(".")
    return f"[{table}] {name}: {reason}" if name else f"{table}: {reason}"
