import subprocess
import sys
from pathlib import Path

import pytest

from postroom.server import configuration
from postroom.server.configuration import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]


def parse(text: str, folder: Path = Path("/srv")) -> configuration.Settings:
    return configuration.parse(text, folder)


def test_domains_of_tls_policies_are_compared_in_one_form():
    assert parse('[tls_policies]\n"Example.COM." = "verified"\n"bücher.test" = "dane-only"').tls_policies == {
        "example.com": "verified",
        "xn--bcher-kva.test": "dane-only",
    }


def test_an_empty_file_is_a_configuration():
    settings = parse("")
    assert settings.data == "/var/lib/postroom"
    assert settings.keys.keyring == "/var/lib/postroom/keyring.json"
    assert settings.smtp.listen == ("*:25",)
    assert settings.submission.listen_tls == ("*:465",)
    assert settings.imap.listen_tls == ("*:993",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[smtp]\nlisen = []", 'unknown setting "lisen" in [smtp]; did you mean "listen"?'),
        ("[stmp]\n", 'unknown setting "stmp" at the top; did you mean "smtp"?'),
        ("zzzz = 1", 'unknown setting "zzzz" at the top'),
        ("[storage]\nengine = 'oracle'", "[storage] engine: Invalid enum value 'oracle'"),
        ("[imap]\nmaximum_errors = 'many'", "[imap] maximum_errors: Expected `int`, got `str`"),
        ("[api]\nlisten = ['8080']", '[api] listen: "8080" is not host:port, such as 127.0.0.1:25, [::1]:25 or *:25'),
        ("[api]\nlisten = ['*:70000']", '[api] listen: "*:70000" has a port above 65535'),
        ("[tls]\nkey = 'a.pem'", "[tls] needs both certificate and key, or neither"),
        ("[storage]\nengine = 'postgresql'", '[storage] engine = "postgresql" needs a dsn'),
        ("[api]\naccount = '12'", "[api] account must be twelve digits"),
        ("[dns]\nnameservers = ['*:53']", '[dns] nameservers: "*:53" needs a host'),
        ("[dns]\nnameservers = ['localhost:53']", "[dns] nameservers: 'localhost' does not appear to be an IPv4 or IPv6 address"),
        ("[reports]\naddress = 'nobody'", "[reports] address: nobody is not an e-mail address."),
        ("[reports]\ncontact = 'a@b@c d'", "[reports] contact: a@b@c d is not an e-mail address."),
        ("[mail]\nconnections = 0", "[mail] connections must be above 0"),
        ("[api]\nrequest_seconds = -1.0", "[api] request_seconds must be above 0"),
        ("[imap]\nidle_timeout = nan", "[imap] idle_timeout must be above 0"),
        ("[mail]\nport = 70000", "[mail] port must be below 65536"),
        ("[mail]\nhostname = 'two words'", "[mail] hostname: two words is not a domain name."),
        ("[domains]\nbase = ''", "[domains] base:  is not a domain name."),
        ("[filters]\nrefuse_score = 0.0", "[filters] refuse_score must be above 0"),
        ("[filters.rspamd]\nseconds = 0.0", "[filters.rspamd] seconds must be above 0"),
        ("[spikes]\ntell = ['nobody']", "[spikes] tell: nobody is not an e-mail address."),
        ("[spikes]\ntimes = 0", "[spikes] times must be above 0"),
        ("[filters.greylisting]\ndelay_seconds = inf", "[filters.greylisting] delay_seconds must be above 0"),
        ("[filters.rspamd]\naddress = 'localhost'", "[filters.rspamd] address: localhost is no host:port"),
        ("[filters.clamav]\naddress = 'unix:ctl'", "[filters.clamav] address: unix:ctl needs a whole path"),
        ("[filters.spamassassin]\naddress = '::1:x'", "[filters.spamassassin] address: ::1:x is no host:port"),
        ("[filters.blocklists.score]\n'a.test' = nan", "[filters.blocklists] scores must be numbers"),
        ("[filters.greylisting]\nnetworks = ['192.0.2.1/24']", "[filters.greylisting] networks: 192.0.2.1/24 has host bits set"),
        ("[smtp]\ntrusted_networks = ['here']", "[smtp] trusted_networks: 'here' does not appear to be an IPv4 or IPv6 network"),
        ("[mta_sts]\nport = 70000", "[mta_sts] port must be below 65536"),
        ("[mta_sts]\nca = 'absent.pem'", "[mta_sts] ca: /srv/absent.pem is not there"),
        ("[mta_sts]\nmax_age = 31557601", "[mta_sts] max_age may be 31557600 seconds at the most, and hosts 100"),
        ("[mta_sts]\nhosts = ['*.*.example.com']", "[mta_sts] hosts: *.example.com is not a domain name."),
        ("[tls_policies]\n'a b' = 'none'", "[tls_policies] a b: a b is not a domain name."),
        ("[tls_policies]\n'a.test' = 'no'", "tls_policies: Invalid enum value 'no'"),
        ("[hooks.a]", "[hooks.a] needs either url or function"),
        ("[hooks.a]\nurl = 'https://x.test'", "[hooks.a] needs either secret or secret_file"),
        ("[hooks.a]\nurl = 'https://x.test'\nsecret = 'abc'", "[hooks.a] a secret is whsec_ and 24 to 64 octets in base64"),
        (
            "[hooks.a]\nurl = 'http://x.test'\nsecret_file = 'x'",
            "[hooks.a] url: what letters are about would go there in clear; use https, or say plain = true",
        ),
        ("[hooks.a]\nurl = 'ftp://x.test'", "[hooks.a] url: it must begin with https:// and a host, without a name or password"),
        ("[hooks.a]\nfunction = 'scan'", "[hooks.a] a function of AWS Lambda needs [aws] enabled"),
        ("[hooks.'a b']\nfunction = 'scan'", "[hooks.a b] a name has 1 to 64 letters, digits, dots, dashes and underscores"),
        ("[gateways.edge]\naddress = 'x:0'", "[gateways.edge] address: x:0 is no host:port"),
        ("[gateways.edge]\naddress = 'x'\nuser = 'us'", "[gateways.edge] needs both user and a password, or neither"),
        ("[gateways.edge]\naddress = 'x'\nport = 1", 'unknown setting "port" in [gateways.edge]; did you mean "password"?'),
        ("[organizations.a.inbound.x]\naction = 'gateway'", "[organizations.a.inbound.x] GATEWAY is no action for letters that come in."),
        ("[organizations.a.outbound.x]\naction = 'gateway'\ngateway = 'y'", "[organizations.a.outbound.x] there is no [gateways.y]"),
        ("[organizations.a.inbound.x]\naction = 'run-lambda'\nhook = 'y'", "[organizations.a.inbound.x] there is no [hooks.y]"),
        (
            "[organizations.a.inbound.x]\naction = 'run-lambda'",
            "[organizations.a.inbound.x] A rule that calls a hook needs the name of one, or the ARN of a function of AWS Lambda.",
        ),
        ("[organizations.a.inbound.x]\naction = 'drop'\nsenders = ['a b']", "[organizations.a.inbound.x] a b is not a domain name."),
        (
            "[organizations.a.inbound.x]\naction = 'drop'\nto = ['a']",
            'unknown setting "to" in [organizations.a.inbound.x]; did you mean "action"?',
        ),
        ("[organizations.a.journal]\njournal = 'a@b.test'", "[organizations.a.journal] needs both journal and report"),
        ("[organizations.a.journal]\njournal = 'a'\nreport = 'b'", "[organizations.a.journal] a is not an e-mail address."),
        ("data = ", "not TOML: Invalid value (at end of document)"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(text, said):
    with pytest.raises(ConfigurationError) as refused:
        parse(text)
    assert str(refused.value) == said


def test_relative_paths_start_at_the_file(tmp_path):
    file = tmp_path / "postroom.toml"
    file.write_text('data = "mail"\n[tls]\ncertificate = "c.pem"\nkey = "k.pem"\n[keys]\nkeyring = "/elsewhere/ring"')
    settings = configuration.load(file)
    assert settings.data == str(tmp_path / "mail")
    assert settings.tls.certificate == str(tmp_path / "c.pem")
    assert settings.keys.keyring == "/elsewhere/ring"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="none.toml: No such file"):
        configuration.load(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "postroom.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="postroom.toml: not UTF-8"):
        configuration.load(tmp_path / "postroom.toml")


def test_the_host_name_reaches_every_room_but_a_room_may_have_its_own():
    settings = parse('[mail]\nhostname = "mail.example.org"\n[smtp]\nhostname = "mx.example.org"')
    assert settings.submission.hostname == "mail.example.org"
    assert settings.smtp.hostname == "mx.example.org"
    assert settings.domains.mail_host == "mail.example.org"
    assert settings.domains.dkim_domain == "dkim.mail.example.org"
    assert settings.reports.organization == "mail.example.org"


def test_the_example_holds_the_defaults():
    assert configuration.load(ROOT / "examples" / "postroom.toml") == configuration.parse("", ROOT / "examples")


def test_every_setting_is_documented_as_it_stands_in_the_code():
    checked = subprocess.run(
        [sys.executable, "tools/document_settings.py", "--check"],
        cwd=ROOT,
        env={"PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


OFFICE = (
    '[directories.office]\nid = "d-906700f2a1"\nurls = ["ldaps://one.example.org"]\nbind_dn = "cn=r"\nbind_password = "x"\nbase = "dc=x"\n'
)


def test_a_directory_is_a_configuration():
    text = (
        OFFICE.replace('"x"\nbase', '""\nbind_password_file = "secret"\nbase')
        + 'ca = "ca.pem"\nattributes = { name = "mailNickname", office = "" }'
    )
    with pytest.raises(ConfigurationError, match="/srv/ca.pem is not there"):
        parse(text)
    found = parse(text.replace('ca = "ca.pem"', "offline_days = 0")).directories["office"]
    assert (found.bind_password_file, found.offline_days) == ("/srv/secret", 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("d-906700f2a1", "d-1"), "id must be d- and ten hex digits"),
        (('urls = ["ldaps://one.example.org"]', ""), "needs urls"),
        (("ldaps://one", "ldap://one"), "urls: passwords would go to ldap://one.example.org in clear; use ldaps://, or starttls"),
        (
            ("ldaps://one", "https://one"),
            'urls: "https://one.example.org" is no address of a directory; write it like ldaps://directory.example.com',
        ),
        (("ldaps://one", "ldaps://one.example.org:x"), "urls: "),
        (('bind_password = "x"', ""), "needs either bind_password or bind_password_file"),
        (('base = "dc=x"', ""), "needs base"),
        (
            ('base = "dc=x"', 'base = "dc=x"\nusers_filter = "a=b"'),
            'users_filter: "a=b" is no search filter; write it like (objectClass=person)',
        ),
        (('base = "dc=x"', 'base = "dc=x"\nattributes = { nick = "a" }'), 'attributes: "nick" is none of '),
        (('base = "dc=x"', 'base = "dc=x"\nattributes = { name = "a b" }'), 'attributes: "a b" is no name of an attribute'),
        (('base = "dc=x"', 'base = "dc=x"\npage = 0'), "page must be above 0"),
        (('base = "dc=x"', 'base = "dc=x"\noffline_days = -1'), "offline_days and vanishing_percent must not be below 0"),
    ],
)
def test_a_directory_that_cannot_be_asked_is_refused(change, said):
    with pytest.raises(ConfigurationError) as refused:
        parse(OFFICE.replace(*change))
    assert str(refused.value).startswith(f"[directories.office] {said}")


def test_plain_connections_are_for_this_machine_and_for_those_who_say_so():
    assert parse(OFFICE.replace("ldaps://one.example.org", "ldap://127.0.0.1:389")).directories["office"].urls
    assert parse(OFFICE.replace("ldaps://", "ldap://") + "starttls = true").directories["office"].urls
    assert parse(OFFICE.replace("ldaps://", "ldap://") + "plain = true").directories["office"].urls


def test_a_directory_has_a_name_for_each_setting_and_an_id_of_its_own():
    with pytest.raises(ConfigurationError, match=r'unknown setting "users" in \[directories.office\]'):
        parse(OFFICE + 'users = "x"')
    with pytest.raises(ConfigurationError, match=r"\[directories.other\] id is that of \[directories.office\]"):
        parse(OFFICE + OFFICE.replace("office", "other"))
