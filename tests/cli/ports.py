# SPDX-License-Identifier: GPL-2.0-only
"""A port of this machine that nobody uses."""
import socket


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
