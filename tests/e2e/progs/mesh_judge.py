"""Compares what was expected of a mesh with what happened, with what was on the wire, and with what `mtlswrap explain`
says. Prints each difference; exit status 1 when there is one.

    mesh_judge.py MTLSWRAP TABLE WIRE CALLS ADDRESSES PORT EXPECTED…

CALLS: lines "NAMESPACE HOST PORT OUTCOME"; ADDRESSES: lines "NAMESPACE CLIENT-ADDRESS SERVER-ADDRESS"; EXPECTED: a word per
client namespace, a letter per server namespace: T served by TLS, P served in plaintext, t and p refused after the client sent that.
"""
import json
import subprocess
import sys

mtlswrap, table, wire, calls, addresses, port, *expected = sys.argv[1:]
OUTSIDE = "test3"


def rows(path):
    with open(path, encoding="utf-8") as lines:
        return [line.split() for line in lines]


places = {row[0]: row[1:] for row in rows(addresses)}
spaces = list(places)
sent = {tuple(row[:3]): row[3] for row in rows(wire)}
called = {}
for client, host, number, *outcome in rows(calls):
    server = host.split(".")[1] if host.startswith("httpbin.") else \
        client if host == "httpbin" else next(n for n in spaces if places[n][1] == host)
    called[client, server, number] = outcome


def explain(*words):
    words = [mtlswrap, "explain", "--config", table, "--json", *words]
    return json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)["mode"]


def explained(client, server):
    """The letter that both sides' decisions make."""
    connects = accepts = "DISABLE"
    host = f"httpbin.{server}.svc.cluster.local:{port}"
    if client != OUTSIDE:
        connects = explain("--as", client + "/sleep", host)
    if server != OUTSIDE:
        accepts = explain("--as", server + "/httpbin", "--listen", port)
    letter = "P" if connects == "DISABLE" else "T"
    fits = {"P": ("DISABLE", "PERMISSIVE"), "T": ("STRICT", "PERMISSIVE")}[letter]
    return letter if accepts in fits else letter.lower()


def seen(client, server):
    outcome = called[client, server, port]
    letter = {"tls": "T", "plain": "P"}.get(sent.get((places[client][0], places[server][1], port)), "?")
    if outcome[0] != "served":
        return letter.lower()
    if outcome[1:] != ["httpbin." + server, places[client][0]]:
        print(f"{client} to {server}: answered by and called from {outcome[1:]}")
        return "?"
    return letter


failed = False
for client, letters in zip(spaces, expected):
    for server, letter in zip(spaces, letters):
        found = letter, seen(client, server), explained(client, server)
        if len(set(found)) > 1:
            failed = True
            print(f"{client} to {server}:{port}: expected {found[0]}, happened {found[1]}, explained {found[2]}",
                  called[client, server, port])
sys.exit(failed)
