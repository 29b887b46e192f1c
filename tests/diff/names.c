/* names.c - descriptors by name and ports by order of appearance.
 *
 * Only tables live here. A name's slot is written by the actor that makes or ends the descriptor;
 * scripts order such steps, hence no lock.
 */
#include "diff.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 26 * 11, PORTS = 64 };

static int slots[SLOTS];
static uint16_t ports[PORTS];
static int port_count;

int *name_slot(const char *name) {
    size_t letter = (size_t)(name[0] - 'a');
    size_t digit = name[1] ? (size_t)(name[1] - '0') + 1 : 0;
    if (letter >= 26 || digit > 10 || (name[1] && name[2])) {
        fprintf(stderr, "bad name %s\n", name);
        exit(2);
    }
    return &slots[letter * 11 + digit];
}

int name_fd(const char *name) {
    return *name_slot(name);
}

const char *name_of(int fd, char text[4]) {
    for (size_t i = 0; i < SLOTS; i++) {
        if (slots[i] != fd)
            continue;
        text[0] = (char)('a' + i / 11);
        text[1] = i % 11 ? (char)('0' + i % 11 - 1) : '\0';
        text[2] = '\0';
        return text;
    }
    return "?";
}

void names_reset(void) {
    for (size_t i = 0; i < SLOTS; i++)
        slots[i] = -1;
    port_count = 0;
}

static int port_index(uint16_t port) {
    for (int i = 0; i < port_count; i++)
        if (ports[i] == port)
            return i;
    if (port_count == PORTS)
        return -1;
    ports[port_count] = port;
    return port_count++;
}

void say_address(struct actor *me, const struct sockaddr *address, socklen_t len) {
    char text[INET6_ADDRSTRLEN] = "";
    uint16_t port = 0;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
        port = in.sin_port;
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof text);
        port = in6.sin6_port;
    }
    say(me, " [%s]:", text);
    if (port)
        say(me, "p%d", port_index(port));
    else
        say(me, "0");
    say(me, " len=%u", (unsigned)len);
}
