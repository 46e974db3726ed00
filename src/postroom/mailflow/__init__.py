"""Mail in motion: who a letter is for, delivery, submission, the queue, carrying, and bounces.

Every letter comes in by one of two functions, `inbound.deliver` (from strangers) and `submission.submit` (from our
users), each within one transaction. What cannot end there becomes rows of the queue, in the same transaction; the
`outbound.Carrier` takes them further, to other organizations of this server, to other servers, or back as a bounce.
"""
