"""IMAP beside Dovecot (sdbox): what mail programs do to a large INBOX, one operation after the other on equal connections."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from bench import certificate, corpus, dovecot, figures, imap_wire, machine, ours
from bench.plan import Plan

LOGINS = 50
RULES = [
    "TLS on both sides (port 993), one connection unless stated; the client reads raw sockets and parses nothing while the clock runs",
    "durability: ours answers after the fsync; Dovecot with mail_fsync=always, and for APPEND also with its default, optimized",
    "passwords: ours argon2id (7 MiB, t=5); Dovecot a salted SHA-512, its best case",
]

COMMON_WORD = corpus.vocabulary().words[corpus.COMMON]

# name, command, least ratio; each is sampled `runs` times on one connection
COMMANDS: tuple[tuple[str, bytes, float | None], ...] = (
    ("FETCH 1:* (FLAGS UID ENVELOPE)", b"FETCH 1:* (FLAGS UID ENVELOPE)", 2),
    ("FETCH 1:* (FLAGS UID)", b"FETCH 1:* (FLAGS UID)", None),
    ("FETCH 1:* BODYSTRUCTURE", b"FETCH 1:* BODYSTRUCTURE", None),
    ("FETCH 1:* BODY.PEEK[]", b"FETCH 1:* BODY.PEEK[]", 0.5),
    ("STORE 1:* +FLAGS (\\Flagged)", b"STORE 1:* +FLAGS (\\Flagged)", 1),
    ("SEARCH TEXT, rare word", b"SEARCH TEXT " + corpus.MARKER.encode(), 20),
    ("SEARCH TEXT, common word", b"SEARCH TEXT " + COMMON_WORD.encode(), None),
    ("SEARCH TEXT, inside words", b"SEARCH TEXT " + corpus.MARKER[3:10].encode(), None),
    ("SEARCH BODY, rare word", b"SEARCH BODY " + corpus.MARKER.encode(), 20),
    ("SEARCH SUBJECT", b"SEARCH SUBJECT " + corpus.SUBJECT_MARKER.encode(), None),
    ("SEARCH UNSEEN", b"SEARCH UNSEEN", None),
)
AIMS = {name: least for name, _, least in COMMANDS} | {
    "APPEND 2,000, fsync each": 0.5,
    "APPEND 2,000, peer optimized": 0.5,
    "STORE 1:* -FLAGS.SILENT (\\Flagged)": 1,
}
MOST = {"SELECT, fresh connection": 0.005, "SELECT, same connection": 0.005, f"{LOGINS} logins at once, {LOGINS} users": 1.0}
CLEAR = ("FETCH 1:* (FLAGS UID ENVELOPE)", "FETCH 1:* BODY.PEEK[]")
# figures the peer has alone, and what of ours stands beside them
BESIDE = {"APPEND 2,000, peer optimized": "APPEND 2,000, fsync each"} | {f"{name}, peer without TLS": name for name in CLEAR}
RATES = frozenset({"APPEND 2,000, fsync each", "APPEND 2,000, peer optimized", "load, APPEND 32 ahead"})


class Side:
    """Samples by the name of the operation, and what the searches found."""

    __slots__ = ("found", "samples")

    def __init__(self) -> None:
        self.samples: dict[str, list[float]] = {}
        self.found: dict[str, list[int]] = {}

    def add(self, name: str, sample: float) -> None:
        """Note a sample."""
        self.samples.setdefault(name, []).append(sample)


def measure(plan: Plan) -> figures.Part:
    """Measure both sides over the same messages."""
    part = figures.Part("IMAP", "Dovecot", list(RULES))
    own = _ours(plan) if plan.ours else Side()
    absent = machine.missing_packages("dovecot-imapd", "dovecot-lmtpd")
    if plan.peers and absent:
        part.skipped.append(absent)
    peer = _peer(plan) if plan.peers and not absent else Side()
    part.rules.append(f"{plan.amount(10_000, 1_000):,} messages of 4 to 50 KB, loaded in the same order on both sides")
    for name in dict.fromkeys([*own.samples, *peer.samples]):
        part.figures.append(_figure(name, own, peer))
    return part


def _figure(name: str, own: Side, peer: Side) -> figures.Figure:
    note = ""
    if name in own.found and name in peer.found and own.found[name] != peer.found[name]:
        note = f"DIFFERENT RESULTS: {len(own.found[name])} and {len(peer.found[name])} hits"
    elif name in own.found or name in peer.found:
        note = f"{len((own.found or peer.found)[name])} hits"
    unit = "/s" if name in RATES else "s"
    sides = (own.samples.get(name, ()), peer.samples.get(name, ()))
    if name in BESIDE:
        sides = (own.samples.get(BESIDE[name], ()), sides[1])
    return figures.pair(name, unit, sides, least_ratio=AIMS.get(name), most=MOST.get(name), note=note)


def _ours(plan: Plan) -> Side:
    side = Side()
    with ours.running(plan.folder / "imap") as server:
        listener = server.address("imaps")
        owner = server.ready["users"][0]
        _one_client(plan, side, imap_wire.Account(listener, owner["email"], owner["password"]), settle=True)
        users = server.add_users("login", LOGINS * plan.runs)
        _many_clients(plan, side, [imap_wire.Account(listener, user["Email"], ours.PASSWORD) for user in users])
    return side


def _peer(plan: Plan) -> Side:
    side = Side()
    with dovecot.running(plan.folder / "imap-peer", accounts=LOGINS * plan.runs + 1) as server:
        accounts = [imap_wire.Account(server.imaps, server.user(number), dovecot.PASSWORD) for number in range(LOGINS * plan.runs + 1)]
        _one_client(plan, side, accounts[0])
        _in_clear(plan, side, imap_wire.Account(server.imap, accounts[0].user, dovecot.PASSWORD))
        _many_clients(plan, side, accounts[1:])
    with dovecot.running(plan.folder / "imap-peer-optimized", fsync="optimized", accounts=1) as server:
        client = imap_wire.enter(imap_wire.Account(server.imaps, server.user(0), dovecot.PASSWORD), certificate.client_context())
        for run in range(plan.runs):
            side.add("APPEND 2,000, peer optimized", _append(plan, client, run))
        client.close()
    return side


def _one_client(plan: Plan, side: Side, account: imap_wire.Account, *, settle: bool = False) -> None:
    """Load the INBOX and measure what one client does."""
    context = certificate.client_context()
    client = imap_wire.enter(account, context)
    start = time.perf_counter()
    count = client.append_all(b"INBOX", corpus.messages(plan.amount(10_000, 1_000)), ahead=32)
    side.add("load, APPEND 32 ahead", count / (time.perf_counter() - start))
    client.close()
    client = imap_wire.enter(account, context, b"INBOX")
    _first(side, client)
    if settle:
        _await_index(plan, side, client)
    _selects(plan, side, account, client)
    for name, command, _ in COMMANDS:
        _sample(plan, side, client, name, command)
    _round_trips(plan, side, client, count)
    _copies(plan, side, client)
    for run in range(plan.runs):
        side.add("APPEND 2,000, fsync each", _append(plan, client, run))
    client.close()


def _in_clear(plan: Plan, side: Side, account: imap_wire.Account) -> None:
    """Time the peer's large answers without TLS too, which costs it more than it costs a server of one process."""
    client = imap_wire.enter(account, None, b"INBOX")
    for name in CLEAR:
        for _ in range(plan.runs):
            side.add(f"{name}, peer without TLS", _time(functools.partial(client.command, name.encode())))
    client.close()


def _first(side: Side, client: imap_wire.Client) -> None:
    """Time what a server may have put off until somebody asks; it happens once."""
    side.add("FETCH 1:* (FLAGS UID ENVELOPE), first", _time(lambda: client.command(b"FETCH 1:* (FLAGS UID ENVELOPE)")))
    side.add("FETCH 1:* BODYSTRUCTURE, first", _time(lambda: client.command(b"FETCH 1:* BODYSTRUCTURE")))


def _await_index(plan: Plan, side: Side, client: imap_wire.Client) -> None:
    """Search at once, while the words of the load may still wait to be indexed, then until it no longer gets faster.

    What is measured after that has the machine to itself.
    """
    command = b"SEARCH TEXT " + corpus.MARKER.encode()
    start = time.perf_counter()
    first = last = _time(functools.partial(client.command, command))
    side.add("SEARCH TEXT, rare word, right after the load", first)
    while last > first / 8 and time.perf_counter() - start < plan.amount(90, 20):
        time.sleep(1.0)
        last = _time(functools.partial(client.command, command))
    side.add("until such a search is eight times as fast", time.perf_counter() - start)
    before = float("inf")
    while last < before * 0.7:
        before = last
        time.sleep(1.0)
        last = _time(functools.partial(client.command, command))


def _selects(plan: Plan, side: Side, account: imap_wire.Account, client: imap_wire.Client) -> None:
    for _ in range(max(plan.runs, 5)):
        fresh = imap_wire.enter(account, certificate.client_context())
        side.add("SELECT, fresh connection", _time(functools.partial(fresh.command, b"SELECT INBOX")))
        side.add("SELECT, same connection", _time(lambda: client.command(b"SELECT INBOX")))
        fresh.close()


def _sample(plan: Plan, side: Side, client: imap_wire.Client, name: str, command: bytes) -> None:
    """Time a command `runs` times; undo a STORE in between, timed as well."""
    for _ in range(plan.runs):
        start = time.perf_counter()
        answer = client.command(command)
        side.add(name, time.perf_counter() - start)
        if command.startswith(b"SEARCH"):
            side.found[name] = imap_wire.hits(answer)
        if command.startswith(b"STORE"):
            side.add("STORE 1:* -FLAGS.SILENT (\\Flagged)", _time(lambda: client.command(b"STORE 1:* -FLAGS.SILENT (\\Flagged)")))


def _round_trips(plan: Plan, side: Side, client: imap_wire.Client, count: int) -> None:
    chosen = [1 + number * 7 % count for number in range(1_000)]
    for _ in range(plan.runs):
        side.add("1,000 single FETCH BODY.PEEK[]", _time(lambda: [client.command(b"FETCH %d BODY.PEEK[]" % number) for number in chosen]))
        side.add("1,000 NOOP", _time(lambda: [client.command(b"NOOP") for _ in range(1_000)]))


def _copies(plan: Plan, side: Side, client: imap_wire.Client) -> None:
    for run in range(plan.runs):
        client.command(b"CREATE copies%d" % run)
        side.add("COPY 1:1000", _time(functools.partial(client.command, b"COPY 1:1000 copies%d" % run)))


def _append(plan: Plan, client: imap_wire.Client, run: int) -> float:
    """APPEND messages nobody has stored before, each after the OK of the one before; give messages a second."""
    folder = b"appended%d" % run
    client.command(b"CREATE " + folder)
    messages = list(corpus.messages(plan.amount(2_000, 200), seed=100 + run))
    start = time.perf_counter()
    for message in messages:
        client.append(folder, message)
    return len(messages) / (time.perf_counter() - start)


def _many_clients(plan: Plan, side: Side, accounts: Sequence[imap_wire.Account]) -> None:
    """Log 50 clients in at once and hold them: users never seen before, the same again, and 50 clients of one user."""
    for run in range(plan.runs):
        group = accounts[run * LOGINS : (run + 1) * LOGINS]
        side.add(f"{LOGINS} logins at once, {LOGINS} users", _logins(group))
        side.add(f"{LOGINS} logins at once, the same users again", _logins(group))
        side.add(f"{LOGINS} logins at once, one user", _logins([group[0]] * LOGINS))


def _logins(accounts: Sequence[imap_wire.Account]) -> float:
    """Connect, TLS, LOGIN and SELECT all at once; give the seconds until the last is done."""
    context = certificate.client_context()
    with ThreadPoolExecutor(len(accounts)) as pool:
        start = time.perf_counter()
        clients = list(pool.map(lambda account: imap_wire.enter(account, context, b"INBOX"), accounts))
        elapsed = time.perf_counter() - start
    for client in clients:
        client.close()
    return elapsed


def _time(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start
