"""Reports of DMARC and of TLS: read as others write them, written so that others read them, and bounded."""

import gzip
import io
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.formats import dmarc_report, tls_report
from postroom.formats.dmarc_report import DkimResult, Report, Row

FOREIGN = b"""<?xml version="1.0" encoding="UTF-8" ?>
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">
  <report_metadata>
    <org_name>receiver.example</org_name><email>noreply@receiver.example</email>
    <extra_contact_info>https://receiver.example/dmarc</extra_contact_info>
    <report_id>4711</report_id><date_range><begin>1770000000</begin><end>1770086399</end></date_range>
  </report_metadata>
  <policy_published><domain>example.test</domain><adkim>s</adkim><aspf>r</aspf><p>reject</p><sp>none</sp><pct>50</pct></policy_published>
  <record>
    <row><source_ip>192.0.2.1</source_ip><count>12</count>
      <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf>
        <reason><type>trusted_forwarder</type><comment>arc=pass</comment></reason></policy_evaluated></row>
    <identifiers><header_from>example.test</header_from><envelope_from>list.example</envelope_from></identifiers>
    <auth_results>
      <dkim><domain>example.test</domain><selector>s1</selector><result>pass</result></dkim>
      <dkim><domain>list.example</domain><result>fail</result></dkim>
      <spf><domain>list.example</domain><scope>mfrom</scope><result>pass</result></spf>
    </auth_results>
  </record>
</feedback>"""


SCHEMA = Path(__file__).with_name("dmarc.xsd")
DOCTYPE = '<?xml version="1.0" encoding="{}"?><!DOCTYPE f [<!ENTITY a "aaaa">]><feedback>&a;</feedback>'


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED, entries: int = 1) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for number in range(entries):
            archive.writestr(f"report{number}.xml", content)
    return out.getvalue()


@pytest.mark.parametrize("packed", [FOREIGN, gzip.compress(FOREIGN), zipped(FOREIGN)], ids=["plain", "gzip", "zip"])
def test_a_report_of_others_is_read_however_it_is_packed(packed: bytes) -> None:
    report = dmarc_report.read(packed)
    assert (report.organization, report.id, report.begin, report.end) == ("receiver.example", "4711", 1770000000, 1770086399)
    assert report.policy == dmarc_report.Policy("example.test", "s", "r", "reject", "none", "50", "")
    (row,) = report.rows
    assert row == Row(
        "192.0.2.1", 12, "none", "pass", "fail", "example.test", "list.example", "trusted_forwarder", "arc=pass",
        (DkimResult("example.test", "s1", "pass"), DkimResult("list.example", "", "fail")), "list.example", "mfrom", "pass",
    )  # fmt: skip


ROWS = st.builds(
    Row,
    source=st.sampled_from(["192.0.2.1", "2001:db8::1"]),
    count=st.integers(1, 10**9),
    disposition=st.sampled_from(["none", "quarantine", "reject"]),
    dkim=st.sampled_from(["pass", "fail"]),
    spf=st.sampled_from(["pass", "fail"]),
    header_from=st.text(max_size=40),
    envelope_from=st.text(max_size=40),
)


@given(st.lists(ROWS, max_size=4))
def test_what_is_written_is_read_again_whatever_strangers_call_themselves(rows: list[Row]) -> None:
    report = Report("us.example", "postmaster@us.example", "1", 1, 2, dmarc_report.Policy("example.test"), tuple(rows))
    found = dmarc_report.read(gzip.compress(dmarc_report.write(report)))
    assert [(row.source, row.count, row.disposition, row.dkim, row.spf) for row in found.rows] == [
        (row.source, row.count, row.disposition, row.dkim, row.spf) for row in rows
    ]


@pytest.mark.skipif(not shutil.which("xmllint"), reason="needs xmllint (libxml2-utils)")
@pytest.mark.parametrize("source", ["192.0.2.255", "2001:db8::1"])
def test_what_is_written_is_valid_by_the_schema(tmp_path: Path, source: str) -> None:
    signatures = (DkimResult("example.test", "s1", "pass"), DkimResult("list.example", "", "temperror"))
    rows = (
        Row(
            source,
            2,
            "none",
            "pass",
            "fail",
            "example.test",
            "",
            "local_policy",
            "not <enforced>",
            signatures,
            "x.example",
            "helo",
            "softfail",
        ),
        Row(source, 1, "reject", "fail", "fail", "sub.example.test", "a.example"),
    )
    report = Report("us & them", "postmaster@us.example", "1", 1, 2, dmarc_report.Policy("example.test", sp="", p="reject"), rows)
    (tmp_path / "report.xml").write_bytes(dmarc_report.write(report))
    done = subprocess.run(["xmllint", "--noout", "--schema", SCHEMA, tmp_path / "report.xml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"<feedback>",
        b"<other/>",
        b'<!DOCTYPE f [<!ENTITY a "aaaa">]><feedback>&a;</feedback>',
        b"\x1f\x8b garbage",
        b"PK\x03\x04 garbage",
        gzip.compress(b" " * (dmarc_report.MAX_UNPACKED + 1)),
        zipped(b" " * (dmarc_report.MAX_UNPACKED + 1)),
        b'<?xml version="1.0" encoding="no-such"?><feedback/>',
        *(DOCTYPE.format(name).encode(name) for name in ("utf-16", "utf-16-le", "utf-32", "cp037", "utf-7", "latin-1")),
        b"<feedback>" + b"<a/>" * dmarc_report.MAX_ELEMENTS + b"</feedback>",
        b"<feedback>" * 30,
        zipped(FOREIGN, zipfile.ZIP_LZMA),
        zipped(FOREIGN, zipfile.ZIP_BZIP2),
        zipped(b"", entries=dmarc_report.MAX_ENTRIES + 1),
        b" " * (dmarc_report.MAX_PACKED + 1),
    ],
)
def test_what_is_no_report_or_too_large_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        dmarc_report.read(packed)


@given(st.binary(max_size=200))
def test_no_octets_do_worse_than_be_refused(octets: bytes) -> None:
    for read in (dmarc_report.read, tls_report.read):
        with pytest.raises(ValueError, match=r".*"):
            read(octets)


def test_a_report_in_a_character_set_of_old_is_read() -> None:
    old = FOREIGN.replace(b"UTF-8", b"ISO-8859-1").replace(b"receiver.example<", "Empf\xe4nger<".encode("latin-1"))
    assert dmarc_report.read(old).organization == "Empf\xe4nger"


def test_a_report_of_tls_is_bounded_before_it_is_read() -> None:
    with pytest.raises(ValueError, match="too large"):
        tls_report.read(gzip.compress(b" " * (tls_report.MAX_UNPACKED + 1)))


def test_a_report_of_tls_is_read_and_written_with_the_words_of_the_standard() -> None:
    foreign = b"""{"organization-name": "Company-X", "date-range": {"start-datetime": "2016-04-01T00:00:00Z", "end-datetime": "2016-04-01T23:59:59Z"},
      "contact-info": "sts-reporting@company-x.example", "report-id": "5065427c-23d3", "policies": [{"policy": {"policy-type": "sts",
      "policy-string": ["version: STSv1", "mode: testing"], "policy-domain": "company-y.example", "mx-host": "*.mail.company-y.example"},
      "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 303}, "failure-details": [{"result-type":
      "certificate-expired", "sending-mta-ip": "2001:db8:abcd:12::1", "receiving-mx-hostname": "mx1.mail.company-y.example",
      "failed-session-count": 100}]}]}"""
    report = tls_report.read(gzip.compress(foreign))
    (policy,) = report.policies
    assert (policy.policy.policy_type, policy.summary.total_failure_session_count) == ("sts", 303)
    assert policy.failure_details[0].result_type == "certificate-expired"
    assert tls_report.read(tls_report.write(report)) == report
    assert b'"failed-session-count":100' in tls_report.write(report)


@pytest.mark.parametrize(
    ("texts", "addresses"),
    [
        (["v=TLSRPTv1; rua=mailto:r@example.test"], ("mailto:r@example.test",)),
        (
            ["v=TLSRPTv1;rua=mailto:a@example.test,https://r.example.test/tls;ext=1", "other"],
            ("mailto:a@example.test", "https://r.example.test/tls"),
        ),
        (["v=TLSRPTv1; rua=ftp://example.test"], ()),
        (["v=TLSRPTv1; rua=mailto:a@example.test", "v=TLSRPTv1; rua=mailto:b@example.test"], ()),
        (["v=TLSRPTv2; rua=mailto:a@example.test"], ()),
        ([], ()),
    ],
)
def test_where_a_domain_wants_its_reports(texts: list[str], addresses: tuple[str, ...]) -> None:
    assert tls_report.record(texts) == addresses
