"""Filling a directory with people, through the API like any administrator's script."""

from __future__ import annotations

from pathlib import Path

from bench import http_load, ours

CHUNK = 10_000


def grow(folder: Path, total: int) -> None:
    """Make users in the demo organization of `folder` until about `total` are there."""
    with ours.running(folder) as server:
        present = _count(server)
        for start in range(present, total, CHUNK):
            names = [f"person{number:06d}" for number in range(start, min(start + CHUNK, total))]
            http_load.run(
                server.target, [server.request("CreateUser", Name=name, DisplayName=name.title()) for name in names], connections=32
            )


def _count(server: ours.Postroom) -> int:
    """Count the users page by page."""
    count, token = 0, ""
    while True:
        parameters = {"MaxResults": 100} | ({"NextToken": token} if token else {})
        answer = server.call("ListUsers", [parameters])[0]
        count += len(answer["Users"])
        token = answer.get("NextToken", "")
        if not token:
            return count
