#!/bin/bash
# The JDK's HttpServer and HttpClient, blocking sockets, NIO with a selector, and a program started meanwhile.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

javac -d "$T/classes" "$PROGS/JavaServer.java" "$PROGS/JavaClient.java"

scenario() {
    serve java java -cp "$T/classes" -XX:TieredStopAtLevel=1 JavaServer "$IP" 8000
    wait_listen java 8002
    equal client 'all came back' "$(client java -cp "$T/classes" -XX:TieredStopAtLevel=1 JavaClient "$IP" 8000 "$MARK")"
    stop java
    hasnt "$T/log/java" Exception
}
three_ways scenario
