"""What `postroom check` and `postroom certificates list` say of certificates."""

from __future__ import annotations

import pytest

from postroom.server import certificate_findings, certificates
from postroom.server.configuration import parse
from postroom.server.findings import Level


def issued(folder, *names):
    made = certificates.local(folder, names)
    return f'certificate = "{made.certificate}"\nkey = "{made.key}"\n'


def found(folder, text):
    settings = parse(f'data = "{folder}/data"\n[mail]\nhostname = "mail.lab.test"\n{text}', folder)
    return [(finding.level, finding.text) for finding in certificate_findings.of_certificates(settings)], settings


def test_looking_issues_nothing(tmp_path):
    findings, settings = found(tmp_path, "")
    assert findings == [(Level.WARNING, "the local authority issues the certificate")]
    (row,) = certificate_findings.rows(settings)
    assert (row.name, row.source, row.ends) == ("mail.lab.test", "local", 0.0)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("days", "level"), [(15, Level.GOOD), (13, Level.WARNING), (0, Level.BAD)])
def test_each_certificate_that_ends_soon_is_a_finding(tmp_path, monkeypatch, days, level):
    lasting = issued(tmp_path / "lasting", "mail.lab.test")
    monkeypatch.setattr(certificates, "SERVER_DAYS", days)
    monkeypatch.setattr(certificates, "RENEW_DAYS", -1)
    findings, settings = found(tmp_path, f'[tls]\n{lasting}[tls.domains."other.test"]\n{issued(tmp_path / "short", "other.test")}')
    assert [one for one, _ in findings] == [Level.GOOD, level]
    assert findings[1][1].startswith(f"{tmp_path}/short/server.pem ends on 20")
    assert [(row.name, row.source) for row in certificate_findings.rows(settings)] == [("mail.lab.test", "file"), ("other.test", "file")]


def test_a_pair_that_cannot_be_used_is_a_finding_wherever_it_is(tmp_path):
    lasting = issued(tmp_path / "lasting", "mail.lab.test")
    (tmp_path / "pairs" / "a").mkdir(parents=True)
    for name in ("fullchain.pem", "privkey.pem", "nothing"):
        (tmp_path / "pairs" / "a" / name).write_text("nothing")
    nothing = f'certificate = "{tmp_path}/pairs/a/nothing"\nkey = "{tmp_path}/pairs/a/nothing"\n'
    findings, _ = found(tmp_path, f'[tls]\nfolder = "pairs"\n{lasting}[tls.domains."other.test"]\n{nothing}')
    assert [level for level, _ in findings] == [Level.GOOD, Level.BAD, Level.BAD]
    assert f"{tmp_path}/pairs/a is left out" in findings[2][1]


def test_a_certificate_that_does_not_name_the_host_is_a_finding_unless_another_one_does(tmp_path):
    other = issued(tmp_path / "other", "other.test")
    assert found(tmp_path, f"[tls]\n{other}")[0][-1] == (Level.WARNING, "it does not name mail.lab.test")
    own = f'[tls.domains."*.lab.test"]\n{issued(tmp_path / "own", "*.lab.test")}'
    assert [level for level, _ in found(tmp_path, f"[tls]\n{other}{own}")[0]] == [Level.GOOD, Level.GOOD]
