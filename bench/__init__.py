"""Side-by-side benchmarks: Postroom and a named peer, on the same machine, in the same run.

Both sides are black boxes behind sockets. A figure is never quoted alone: each one stands beside the peer's, measured minutes apart by
the same client, and what counts is the ratio. Load comes from other processes than the server's and is prepared before the clock starts.
"""
