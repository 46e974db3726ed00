"""Reading the settings of a server: one TOML file, every key known by name.

A key that no struct of `settings` knows is refused, with the nearest key that one does.
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
from typing import Any

import msgspec

from postroom.formats import sts_policy
from postroom.ldap import filters
from postroom.ldap.link import Place
from postroom.ldap.settings import MEANINGS, PROFILE
from postroom.mailflow.outbound.settings import SES
from postroom.mailflow.routes import host_and_port
from postroom.model import addresses
from postroom.model.errors import InvalidParameter
from postroom.server import endpoints, flow_settings
from postroom.server.settings import Directory, Domains, MtaSts, Settings, Tls

T = typing.TypeVar("T", bound=msgspec.Struct)


class ConfigurationError(Exception):
    """The configuration cannot be used; the text says where and why."""


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
        tls=_tls(folder, settings.tls),
        exports=replace(settings.exports, buckets={name: _absolute(folder, path) for name, path in settings.exports.buckets.items()}),
        mail=replace(settings.mail, hostname=hostname, smarthost_ca=_absolute(folder, settings.mail.smarthost_ca)),
        mta_sts=replace(settings.mta_sts, ca=_absolute(folder, settings.mta_sts.ca)),
        tls_policies={_domain_key(name): override for name, override in settings.tls_policies.items()},
        directories={name: _placed(folder, part) for name, part in settings.directories.items()},
        hooks={name: _based(folder, part, "ca", "secret_file") for name, part in settings.hooks.items()},
        gateways={name: _based(folder, part, "ca", "password_file") for name, part in settings.gateways.items()},
        reports=replace(settings.reports, organization=settings.reports.organization or hostname),
        availability=replace(settings.availability, ca=_absolute(folder, settings.availability.ca)),
        domains=_pointed(settings.domains, hostname),
        smtp=replace(settings.smtp, hostname=_named(settings.smtp.hostname, hostname)),
        submission=replace(settings.submission, hostname=_named(settings.submission.hostname, hostname)),
    )


def check(settings: Settings) -> Settings:
    """Check what the types cannot say; raises ConfigurationError."""
    for table in ("api", "web", "smtp", "submission", "imap", "managesieve", "metrics"):
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
    for name, address in (("reports.address", settings.reports.address), ("reports.contact", settings.reports.contact)):
        if address:
            _checked(name, _address, address)
    if settings.mail.smarthost == SES:
        if not settings.aws.enabled:
            raise ConfigurationError('[mail] smarthost = "ses" needs [aws] enabled = true')
    elif settings.mail.smarthost:
        _checked("mail.smarthost", endpoints.split, settings.mail.smarthost, 25)
    if bool(settings.tls.certificate) != bool(settings.tls.key):
        raise ConfigurationError("[tls] needs both certificate and key, or neither")
    for name, pair in settings.tls.domains.items():
        _checked(f"tls.domains.{name}", _domain, name.removeprefix("*."))
        if not (pair.certificate and pair.key):
            raise ConfigurationError(f'[tls.domains."{name}"] needs both certificate and key')
    _check_acme(settings)
    if settings.storage.engine == "postgresql" and not settings.storage.dsn:
        raise ConfigurationError('[storage] engine = "postgresql" needs a dsn')
    if not (settings.api.account.isascii() and settings.api.account.isdigit() and len(settings.api.account) == 12):
        raise ConfigurationError("[api] account must be twelve digits")
    _check_filters(settings)
    _check_groups(settings)
    _check_sts(settings.mta_sts)
    for address in settings.spikes.tell:
        _checked("spikes.tell", _address, address)
    _check_directories(settings.directories)
    try:
        flow_settings.check(settings.organizations, settings.hooks, settings.gateways, aws=settings.aws.enabled)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    return settings


def _check_acme(settings: Settings) -> None:
    """Raise ConfigurationError for orders that no authority could carry out."""
    part = settings.tls.acme
    for name in part.names:
        _checked("tls.acme.names", _domain, name)
    if not part.enabled:
        return
    if not part.agree_to_terms:
        raise ConfigurationError("[tls.acme] needs agree_to_terms = true, once you have read the terms of the authority")
    if not part.directory.startswith("https://"):
        raise ConfigurationError("[tls.acme] directory must begin with https://")
    if bool(part.external_account_id) != bool(part.external_account_key_file):
        raise ConfigurationError("[tls.acme] needs both external_account_id and external_account_key_file, or neither")
    for path in (part.external_account_key_file, part.ca):
        if path and not Path(path).is_file():
            raise ConfigurationError(f"[tls.acme] {path} is not there")
    needed = "listen" if part.challenge == "http-01" else "listen_tls"
    if not getattr(settings.web, needed):
        raise ConfigurationError(f'[tls.acme] challenge = "{part.challenge}" needs [web] {needed}, where the authority looks')


def _check_filters(settings: Settings) -> None:
    """Raise ConfigurationError for a filter that nobody could ask, or that would let everything through without a word."""
    part = settings.filters
    for table in ("rspamd", "spamassassin", "clamav", "blocklists", "greylisting"):
        _refuse_impossible(f"filters.{table}", getattr(part, table))
    asked = {"rspamd.address": part.rspamd.address, "spamassassin.address": part.spamassassin.address}
    asked["clamav.address"] = part.clamav.address
    for name, address in asked.items():
        if address:
            _checked(f"filters.{name}", _peer, address)
    for zones in (part.blocklists.score, part.blocklists.domains):
        if not all(map(math.isfinite, zones.values())):
            raise ConfigurationError("[filters.blocklists] scores must be numbers")
    for text in part.greylisting.networks:
        _checked("filters.greylisting.networks", ipaddress.ip_network, text)
    for table in ("smtp", "web"):
        for text in getattr(settings, table).trusted_networks:
            _checked(f"{table}.trusted_networks", ipaddress.ip_network, text)


def _check_groups(settings: Settings) -> None:
    """Raise ConfigurationError for links that would lead nowhere."""
    where = settings.groups.leave_at
    if not where:
        return
    scheme, _, host = where.rstrip("/").partition("://")
    if scheme != "https":
        raise ConfigurationError("[groups] leave_at must begin with https://")
    _checked("groups.leave_at", _domain, host.partition(":")[0])
    _checked("groups.leave_at", endpoints.split, host, 443)
    if not settings.web.listen_tls:
        raise ConfigurationError("[groups] leave_at needs [web] listen_tls, where members leave")


def _check_sts(part: MtaSts) -> None:
    """Raise ConfigurationError for a policy that nobody could read, or that would be read otherwise than it was meant."""
    if part.port > 65535:
        raise ConfigurationError("[mta_sts] port must be below 65536")
    if part.ca and not Path(part.ca).is_file():
        raise ConfigurationError(f"[mta_sts] ca: {part.ca} is not there")
    if part.max_age > sts_policy.LONGEST_AGE or len(part.hosts) > sts_policy.MAX_PATTERNS:
        most = f"max_age may be {sts_policy.LONGEST_AGE} seconds at the most, and hosts {sts_policy.MAX_PATTERNS}"
        raise ConfigurationError(f"[mta_sts] {most}")
    for host in part.hosts:
        _checked("mta_sts.hosts", _domain, host.removeprefix("*."))


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
        _refuse_impossible(table.name, getattr(settings, table.name))
    if settings.mail.port > 65535:
        raise ConfigurationError("[mail] port must be below 65536")


def _refuse_impossible(table: str, part: Any) -> None:
    for name, value in msgspec.structs.asdict(part).items() if isinstance(part, msgspec.Struct) else ():
        if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value < math.inf:
            raise ConfigurationError(f"[{table}] {name} must be above 0")


def time_of_day(text: str) -> float:
    """Read a time of day such as `02:30`; gives seconds after midnight. Raises ValueError."""
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", text, re.ASCII)
    if found is None:
        raise ValueError(f'"{text}" is no time of day; write it like 02:30')
    return int(found[1]) * 3600.0 + int(found[2]) * 60.0


def _name_server(text: str) -> None:
    ipaddress.ip_address(endpoints.split(text, 53)[0])


def _peer(text: str) -> None:
    """Read `host:port` or `unix:/path`."""
    if text.startswith("unix:"):
        if not text.startswith("unix:/"):
            raise ValueError(f"{text} needs a whole path")
        return
    host, port = host_and_port(text, 0)
    if not host or not 0 < port < 65536:
        raise ValueError(f"{text} is no host:port")


def _domain_key(name: str) -> str:
    """Give the form in which a domain is looked up; raises ConfigurationError."""
    _checked(f"tls_policies.{name}", _domain, name)
    return addresses.domain_key(name)


def _domain(name: str) -> None:
    try:
        addresses.domain_key(name)
    except InvalidParameter as error:
        raise ValueError(str(error)) from None


def _address(text: str) -> None:
    try:
        addresses.parse(text)
    except InvalidParameter as error:
        raise ValueError(str(error)) from None


def _checked(where: str, read: Any, *arguments: Any) -> None:
    try:
        read(*arguments)
    except ValueError as error:
        *tables, name = where.split(".") if where.startswith(("filters.", "tls.acme.")) else where.split(".", 1)
        raise ConfigurationError(f"[{'.'.join(tables)}] {name}: {error}") from None


def _absolute(folder: Path, path: str) -> str:
    return str((folder / path).resolve()) if path else ""


def _tls(folder: Path, part: Tls) -> Tls:
    """Complete the paths of all certificates; names are in lower case."""
    replace = msgspec.structs.replace
    domains = {
        name.lower().rstrip("."): replace(pair, certificate=_absolute(folder, pair.certificate), key=_absolute(folder, pair.key))
        for name, pair in part.domains.items()
    }
    paths = {name: _absolute(folder, getattr(part, name)) for name in ("certificate", "key", "folder")}
    acme = {name: _absolute(folder, getattr(part.acme, name)) for name in ("external_account_key_file", "ca")}
    return replace(part, domains=domains, acme=replace(part.acme, **acme), **paths)


def _placed(folder: Path, part: Directory) -> Directory:
    return msgspec.structs.replace(part, ca=_absolute(folder, part.ca), bind_password_file=_absolute(folder, part.bind_password_file))


def _based(folder: Path, part: T, *names: str) -> T:
    """Let relative paths of a table start at a folder."""
    return msgspec.structs.replace(part, **{name: _absolute(folder, getattr(part, name)) for name in names})


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
    reason, _, path = text.replace("[...]", "").partition(" - at `$.")
    if not path:
        return reason
    table, _, name = path.rstrip("`").partition(".")
    return f"[{table}] {name}: {reason}" if name else f"{table}: {reason}"
