"""A first letter, in and out: `python examples/first_letter.py data/ready.json` while `make run` runs. Needs boto3."""

import email
import imaplib
import json
import smtplib
import ssl
import sys
import time
from email.message import EmailMessage

import boto3

server = json.load(open(sys.argv[1]))
organization, domain, password = server["organization_id"], server["domain"], "Paper-And-Ink-1"
tls = ssl.create_default_context(cafile=server["ca_file"])

# The administrator adds somebody, with nothing but the WorkMail API.
workmail = boto3.client(
    "workmail",
    endpoint_url=server["api"],
    region_name=server["region"],
    aws_access_key_id=server["access_key_id"],
    aws_secret_access_key=server["secret_access_key"],
)
name = f"carol-{int(time.time())}"
carol = f"{name}@{domain}"
user = workmail.create_user(OrganizationId=organization, Name=name, DisplayName="Carol", Password=password)["UserId"]
workmail.register_to_work_mail(OrganizationId=organization, EntityId=user, Email=carol)

# A stranger's server delivers a letter to her.
letter = EmailMessage()
letter["From"], letter["To"], letter["Subject"] = "Stranger <stranger@example.org>", carol, "Hello"
letter["Message-ID"] = f"<{name}@example.org>"
letter.set_content("Is anybody there?\n")
with smtplib.SMTP(*server["smtp"]) as smtp:
    smtp.starttls(context=tls)
    smtp.send_message(letter)

# She reads it in her mail program ...
with imaplib.IMAP4_SSL(*server["imaps"], ssl_context=tls) as imap:
    imap.login(carol, password)
    imap.select("INBOX")
    _, found = imap.search(None, "SUBJECT", "Hello")
    _, parts = imap.fetch(found[0].split()[-1].decode(), "(RFC822)")
    received = email.message_from_bytes(parts[0][1])
    print(f"{carol} has a letter from {received['From']}: {received.get_payload().strip()}")

# ... and answers; the answer goes to the stranger's server, or waits in the queue until that can be reached.
answer = EmailMessage()
answer["From"], answer["To"], answer["Subject"] = carol, "stranger@example.org", "Re: Hello"
answer["In-Reply-To"] = received["Message-ID"]
answer.set_content("Yes. Here is Postroom.\n")
with smtplib.SMTP_SSL(*server["submissions"], context=tls) as smtp:
    smtp.login(carol, password)
    smtp.send_message(answer)
print(f"{carol} has answered.")
