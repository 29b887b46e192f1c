/* test_handshake.c - both ends are ours: a handshake, then records both ways, then resumption. */
#include "test_handshake.h"

static struct test_cert ca;
static const char *client_dir, *server_dir;

static void setup(void) {
    ca = test_ca("test CA");
    client_dir = test_account("client", &ca, TEST_ID("sleep"));
    server_dir = test_account("server", &ca, TEST_ID("httpbin"));
}

static void teardown(void) {
    test_cert_free(&ca);
    test_dir_remove();
}

TestSuite(handshake, .init = setup, .fini = teardown);

static void exchange(struct test_pair *p, bool resumed) {
    struct handshake_result c, s;
    cr_assert_eq(API->export_(p->client, &c), 0);
    cr_assert_eq(API->export_(p->server, &s), 0);
    cr_assert_str_eq(c.peer, TEST_ID("httpbin"));
    cr_assert_str_eq(s.peer, TEST_ID("sleep"));
    cr_assert_eq(c.version, 0x0304);
    cr_assert_eq(c.resumed, resumed);
    cr_assert_eq(s.resumed, resumed);
    cr_assert_eq(c.tx.cipher, RECORD_AES_128_GCM);
    for (size_t n = 0; n <= RECORD_PLAIN_MAX; n = n * 4 + 1) {
        test_exchange(&c.tx, &s.rx, n);
        test_exchange(&s.tx, &c.rx, n);
    }
    cr_assert_neq(API->export_(p->client, &c), 0, "keys are given once");
}

Test(handshake, both_ends_agree) {
    for (unsigned cut = 0; cut < 600; cut += 7) {
        struct test_pair *p = test_pair_new(test_client(client_dir), test_server(server_dir));
        p->up.cut = p->down.cut = cut;
        test_pair_run(p);
        test_pair_done(p);
        exchange(p, false);
        test_pair_free(p);
    }
}
