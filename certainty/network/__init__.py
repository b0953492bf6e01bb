"""Broken networks, servers and neighbours: real daemons, real OpenSSH, lines that are broken on purpose."""
