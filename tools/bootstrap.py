"""Make .venv with the locked dependencies, from nothing but python3: `bootstrap.py run|dev [--system]`.

A bare Debian ships python3 without pip, ensurepip and therefore without a working `python3 -m venv`. So the environment is made
without pip, pip's own wheel is fetched from the configured package index and checked against the hash below, and that wheel
installs what requirements/*.txt pins, every file by hash. A stamp holding the hash of all inputs makes the next start immediate.
"""

import configparser
import hashlib
import html.parser
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
DEBIAN_PACKAGES = (
    *("swaks", "libnet-ssleay-perl", "isync", "mutt", "postfix", "postfix-mta-sts-resolver", "dovecot-imapd", "dovecot-lmtpd"),
    *("swift-proxy", "swift-account", "swift-container", "swift-object", "unzip"),
    *("slapd", "ldap-utils"),
    *("knot", "knot-dnsutils", "unbound", "dnsutils", "ldnsutils"),
    *("rspamd", "spamassassin", "spamd", "clamav-daemon"),
    *("opendkim", "opendkim-tools", "opendmarc", "postfix-policyd-spf-python"),
    *("dovecot-sieve", "dovecot-managesieved", "sieve-connect", "pebble"),
    "libxml2-utils",
    *("libgnutls-dane0", "libidn12", "libnsl2", "libevent-2.1-7"),
)
"""The foreign clients and servers, and what they need beyond their hard dependencies: swaks speaks TLS only with Net::SSLeay.

The last line is what those need that are unpacked only.
"""
UNPACKED_PACKAGES = ("exim4-base", "exim4-daemon-light", "opensmtpd")
"""Mail servers, of which Debian installs one alone. They are unpacked into .venv/peers and run from there."""
PROGRAM = """#!{python}
import sys
from postroom.server.cli import main
sys.exit(main())
"""


class Links(html.parser.HTMLParser):
    """The targets of all links of an index page."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the target of a link."""
        self.targets += [value for name, value in attrs if tag == "a" and name == "href" and value]


def pip_setting(name: str, default: str) -> str:
    """Read one of pip's own settings: its environment variable, then its files, the most specific first."""
    if value := os.environ.get("PIP_" + name.upper().replace("-", "_")):
        return value
    home = Path.home()
    files = [os.environ.get("PIP_CONFIG_FILE"), home / ".config/pip/pip.conf", home / ".pip/pip.conf", "/etc/pip.conf"]
    for file in files:
        parser = configparser.ConfigParser(interpolation=None)
        if file and parser.read(file) and (value := parser.get("global", name, fallback="")):
            return value
    return default


def trust() -> ssl.SSLContext:
    """Build the TLS context for one file whose hash is pinned.

    A bare Debian has no certificate authorities at all (ca-certificates is a package); there the pinned hash alone decides.
    """
    context = ssl.create_default_context(cafile=pip_setting("cert", "") or None)
    if not context.get_ca_certs() and not any(Path(ssl.get_default_verify_paths().openssl_capath).glob("*.0")):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def get(address: str) -> bytes:
    """Fetch one address, giving up after a minute."""
    try:
        with urllib.request.urlopen(address, timeout=60, context=trust() if address.startswith("https:") else None) as answer:
            return bytes(answer.read())
    except OSError as error:
        raise SystemExit(f"{address} cannot be fetched: {error}. PIP_INDEX_URL, PIP_CERT and pip.conf apply.") from None


def pip_wheel() -> Path:
    """Fetch pip's wheel into .venv unless it is there, and prove it is the pinned one."""
    target = VENV / PIP_WHEEL
    if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == PIP_SHA256:
        return target
    index = pip_setting("index-url", "https://pypi.org/simple").rstrip("/") + "/pip/"
    page = Links()
    page.feed(get(index).decode())
    wanted = [link for link in page.targets if urllib.parse.urlsplit(link).path.endswith("/" + PIP_WHEEL)]
    if not wanted:
        raise SystemExit(f"The package index does not offer {PIP_WHEEL}.")
    content = get(urllib.parse.urljoin(index, wanted[0]))
    if hashlib.sha256(content).hexdigest() != PIP_SHA256:
        raise SystemExit(f"{PIP_WHEEL} from the package index is not the file this project was locked with.")
    target.write_bytes(content)
    return target


def python() -> Path:
    """Return the environment's interpreter, making the environment when it is missing or broken."""
    interpreter = VENV / "bin" / "python"
    if not interpreter.exists() or subprocess.run([interpreter, "-c", ""], check=False).returncode:
        venv.EnvBuilder(with_pip=False, symlinks=True, clear=True).create(VENV)
    return interpreter


def install(interpreter: Path, requirements: Path) -> None:
    """Install pip itself and the locked files, nothing without its hash; what is never imported need not be compiled."""
    pip = [str(interpreter), str(pip_wheel()) + "/pip"]
    options = ["-qq", "--disable-pip-version-check", "--no-deps", "--no-input", "--no-compile"]
    subprocess.run([*pip, "install", *options, "--no-index", str(pip_wheel())], check=True)
    if subprocess.run([*pip, "install", *options, "--require-hashes", "--requirement", str(requirements)], check=False).returncode:
        raise SystemExit("The dependencies could not be installed; pip says why above. PIP_INDEX_URL, PIP_CERT and pip.conf apply.")


def link(interpreter: Path) -> None:
    """Put src/ on the environment's path and the `postroom` program into its bin."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    library = subprocess.run([interpreter, "-c", ask], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    (Path(library) / "postroom.pth").write_text(f"{ROOT / 'src'}\n")
    program = VENV / "bin" / "postroom"
    program.write_text(PROGRAM.format(python=interpreter))
    program.chmod(0o755)


def inputs(requirements: Path) -> Iterator[bytes]:
    """Yield everything the environment depends on."""
    yield requirements.read_bytes()
    yield Path(__file__).read_bytes()
    yield f"{ROOT} {sys.version}".encode()


def prepare(kind: str) -> None:
    """Bring .venv to the state of one lock file; `dev` holds everything `run` does."""
    requirements = ROOT / "requirements" / f"{kind}.txt"
    digest = hashlib.sha256(b"\0".join(inputs(requirements))).hexdigest()
    stamp = VENV / f"{kind}.stamp"
    if stamp.exists() and stamp.read_text() == digest:
        return
    print(f"Installing what `make {'run' if kind == 'run' else 'test'}` needs into .venv ...", file=sys.stderr, flush=True)
    interpreter = python()
    install(interpreter, requirements)
    link(interpreter)
    stamp.write_text(digest)


def install_programs() -> None:
    """Install the foreign clients and servers the interop tests drive, where this may be done.

    Their daemons stay stopped: while the packages are set up, a policy-rc.d refuses to start any.
    """
    if os.geteuid() != 0 or not shutil.which("apt-get") or os.environ.get("POSTROOM_NO_APT"):
        return
    missing = [package for package in DEBIAN_PACKAGES if not is_installed(package)]
    if not missing:
        return
    print(f"Installing {', '.join(missing)} for the interop tests ...", file=sys.stderr, flush=True)
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        apt_get("install", "--yes", "--no-install-recommends", *missing)
    finally:
        if ours:
            policy.unlink()


def unpack_programs() -> None:
    """Fetch and unpack what cannot be installed beside Postfix."""
    peers = VENV / "peers"
    if os.geteuid() != 0 or not shutil.which("apt-get") or os.environ.get("POSTROOM_NO_APT") or peers.exists():
        return
    with tempfile.TemporaryDirectory() as fetched:
        Path(fetched).chmod(0o777)  # apt fetches as a user of its own
        apt_get("download", *UNPACKED_PACKAGES, folder=fetched)
        for package in sorted(Path(fetched).glob("*.deb")):
            subprocess.run(["dpkg-deb", "--extract", package, peers], check=False)


def is_installed(package: str) -> bool:
    """Ask dpkg."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(query, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout == "installed"


def apt_get(*arguments: str, folder: str | None = None) -> None:
    """Run apt-get quietly, with fresh lists; a failure only costs the tests that needed the package."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (("update",), arguments):
        quiet = subprocess.DEVNULL
        done = subprocess.run(["apt-get", "-qq", *command], env=environment, stdout=quiet, stdin=quiet, cwd=folder, check=False)
        if done.returncode:
            print(f"apt-get {command[0]} failed; tests that need those programs will be skipped.", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """Prepare the environment named on the command line."""
    if sys.version_info < (3, 11):  # noqa: UP036  this file is run by whatever python3 is there
        raise SystemExit("Postroom needs Python 3.11 or newer; say which with `make PYTHON=python3.12 ...`.")
    if not arguments or arguments[0] not in ("run", "dev"):
        raise SystemExit("usage: bootstrap.py run|dev [--system]")
    prepare(arguments[0])
    if "--system" in arguments:
        install_programs()
        unpack_programs()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
