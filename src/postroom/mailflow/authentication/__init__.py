"""Who sent a letter: SPF, DKIM, DMARC, ARC and the name of the client's address.

Each check is a generator that yields questions to DNS and returns its result, so it runs without a network; `screening` asks them. None of
them raises anything: what cannot be found out is a result, too.
"""
