"""What `[tls.acme]` may not say."""

import pytest

from postroom.server.configuration import ConfigurationError, parse

GOOD = {"enabled": "true", "agree_to_terms": "true", "names": '["mail.lab.test"]'}


def read(folder, web='listen = ["*:80"]', **settings):
    lines = "\n".join(f"{name} = {value}" for name, value in {**GOOD, **settings}.items())
    return parse(f"[web]\n{web}\n[tls.acme]\n{lines}\n", folder)


def test_what_is_in_order_is_taken_with_whole_paths(tmp_path):
    (tmp_path / "ca.pem").write_text("")
    assert read(tmp_path, ca='"ca.pem"').tls.acme.ca == str(tmp_path / "ca.pem")
    assert read(tmp_path, web='listen_tls = ["*:443"]', challenge='"tls-alpn-01"').tls.acme.enabled
    assert not read(tmp_path, web="", enabled="false", agree_to_terms="false").tls.acme.enabled


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"agree_to_terms": "false"}, "needs agree_to_terms"),
        ({"directory": '"http://authority.test/"'}, "must begin with https://"),
        ({"external_account_id": '"a"'}, "needs both external_account_id"),
        ({"ca": '"nowhere.pem"'}, "nowhere.pem is not there"),
        ({"web": 'listen_tls = ["*:443"]'}, r"needs \[web\] listen, "),
        ({"challenge": '"tls-alpn-01"'}, r"needs \[web\] listen_tls, "),
        ({"challenge": '"dns-01"'}, "challenge"),
        ({"names": '["*.lab.test"]'}, r"\[tls.acme\] names: "),
        ({"key_type": '"dsa"'}, "key_type"),
        ({"mail": '"a"'}, 'unknown setting "mail"'),
    ],
)
def test_what_no_authority_could_carry_out_is_refused(tmp_path, settings, reason):
    with pytest.raises(ConfigurationError, match=reason):
        read(tmp_path, **settings)
