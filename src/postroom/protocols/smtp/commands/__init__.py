"""One module a verb: what the client asked, to the domain, to a reply."""

from postroom.protocols.smtp.commands import auth, data, helo, mail, rcpt, simple
from postroom.protocols.smtp.grammar import Auth, Command, Data, Helo, Help, Mail, Noop, Quit, Rcpt, Reply, Rset, Vrfy
from postroom.protocols.smtp.session import Conversation, Session


def answer(session: Session, command: Command) -> Reply | Conversation:
    """Find the verb's handler and start it; STARTTLS and BDAT change how the wire is read and are started by the loop."""
    match command:
        case Mail():
            return mail.mail(session, command)
        case Rcpt():
            return rcpt.rcpt(session, command)
        case Data():
            return data.data(session, command)
        case Helo():
            return helo.helo(session, command)
        case Rset():
            return simple.rset(session, command)
        case Noop():
            return simple.noop(session, command)
        case Quit():
            return simple.quit_(session, command)
        case Auth():
            return auth.auth(session, command)
        case Vrfy():
            return simple.vrfy(session, command)
        case Help():
            return simple.help_(session, command)
        case _:
            return Reply(503, "5.5.1", "Not now")
