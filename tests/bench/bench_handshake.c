/* bench_handshake.c - what a handshake costs both sides, in one thread and without a socket: so many, full or
 * resumed, as the command line says. Made for profilers; prints the mean.
 *     bench_handshake full|resumed COUNT CERTIFICATES */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "handshake.h"

extern const struct handshake_api handshake_api;

static void must(int ok, const char *why) {
    if (ok)
        return;
    fprintf(stderr, "bench_handshake: %s\n", why);
    exit(1);
}

/* Everything that one side has to say goes to the other, record by record. */
static void carry(struct handshake *from, struct handshake *to) {
    size_t len;
    const uint8_t *bytes;
    while ((bytes = handshake_api.output(from, &len)), len) {
        size_t record = RECORD_HEADER + ((size_t)bytes[3] << 8 | bytes[4]);
        must(record <= len, "half a record");
        must(handshake_api.feed(to, bytes, record) != HANDSHAKE_FAILED, handshake_api.error(to));
        handshake_api.output_taken(from, record);
    }
}

/* The client's opened ticket record is not to be had here, so its object gets it as it came. */
static void deliver_ticket(struct handshake *client, struct handshake *server) {
    uint8_t ticket[4096];
    struct handshake_result result;
    size_t len = handshake_api.ticket(server, ticket, sizeof ticket);
    must(handshake_api.export_(client, &result) == 0 && handshake_api.export_(server, &result) == 0,
         "no keys");
    if (handshake_api.wants_post(client) && len)
        (void)handshake_api.post(client, ticket, len);
}

static struct handshake *begin(const struct handshake_config *cfg) {
    char error[HANDSHAKE_ERROR_MAX] = "";
    struct handshake *h = handshake_api.new_(cfg, error);
    must(h != NULL, error);
    return h;
}

static void shake_hands(const struct handshake_config *client_cfg,
                        const struct handshake_config *server_cfg) {
    struct handshake *client = begin(client_cfg), *server = begin(server_cfg);
    must(handshake_api.step(client) == HANDSHAKE_WANT_READ, handshake_api.error(client));
    carry(client, server);
    carry(server, client);
    carry(client, server);
    deliver_ticket(client, server);
    handshake_api.free_(client);
    handshake_api.free_(server);
}

int main(int argc, char **argv) {
    must(argc == 4, "usage: bench_handshake full|resumed COUNT CERTIFICATES");
    const char *names[] = {"spiffe://cluster.local/ns/app/sa/server"};
    struct handshake_config server = {.server = true,
                                      .client_auth = CLIENT_AUTH_REQUIRED,
                                      .spiffe = true,
                                      .trust_domain = "cluster.local",
                                      .identity_dir = argv[3],
                                      .namespace_ = "app",
                                      .account = "server",
                                      .alpn_istio = true};
    struct handshake_config client = server;
    client.server = false;
    client.account = "client";
    client.names = names;
    client.name_count = 1;
    client.destination = strcmp(argv[1], "full") ? "127.0.0.1:1" : NULL;
    shake_hands(&client, &server);
    int count = atoi(argv[2]);
    struct timespec t0, t1;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
    for (int i = 0; i < count; i++)
        shake_hands(&client, &server);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
    printf("%s: %.1f us\n", argv[1],
           ((double)(t1.tv_sec - t0.tv_sec) * 1e6 + (double)(t1.tv_nsec - t0.tv_nsec) * 1e-3) / count);
    return 0;
}
