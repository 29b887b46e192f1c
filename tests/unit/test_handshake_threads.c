/* test_handshake_threads.c - many threads shake hands and resume while their credentials change, and
 * processes that were forked in the midst of it do so too. */
#include <pthread.h>
#include <sys/wait.h>

#include "test_handshake.h"

enum { THREADS = 6, ROUNDS = 40 };

static struct test_cert ca;
static const char *client_dir, *server_dir;
static unsigned failures, resumed; /* atomic */

static void setup(void) {
    ca = test_ca("test CA");
    client_dir = test_account("client", &ca, TEST_ID("sleep"));
    server_dir = test_account("server", &ca, TEST_ID("httpbin"));
}

static void teardown(void) {
    test_cert_free(&ca);
    test_dir_remove();
}

TestSuite(threads, .init = setup, .fini = teardown, .timeout = 120);

/* Without assertions: those may only fail in the main thread. */
static bool connection(void) {
    char error[HANDSHAKE_ERROR_MAX];
    uint8_t ticket[4096];
    struct handshake_config client = test_client(client_dir), server = test_server(server_dir);
    struct handshake_result c = {0}, s = {0};
    client.destination = "10.0.0.1:80";
    struct test_pair *p = calloc(1, sizeof *p);
    p->client = API->new_(&client, error);
    p->server = API->new_(&server, error);
    bool ok = p->client && p->server;
    if (ok) {
        test_pair_run(p);
        ok = p->client_status == HANDSHAKE_DONE && p->server_status == HANDSHAKE_DONE;
    }
    if (ok) {
        size_t len = API->ticket(p->server, ticket, sizeof ticket);
        ok = len > 0 && API->export_(p->client, &c) == 0 && API->export_(p->server, &s) == 0 &&
             c.resumed == s.resumed && memcmp(c.tx.key, s.rx.key, sizeof c.tx.key) == 0 && s.tx.seq == 1;
        (void)API->post(p->client, ticket, len);
        __atomic_add_fetch(&resumed, c.resumed, __ATOMIC_RELAXED);
    }
    test_pair_free(p);
    return ok;
}

static void *many(void *unused) {
    for (int i = 0; i < ROUNDS; i++)
        if (!connection())
            __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
    return unused;
}

/* The first load has nothing older to fall back to, so it comes before any change. */
static void start(pthread_t *thread) {
    char error[HANDSHAKE_ERROR_MAX];
    const struct handshake_config client = test_client(client_dir), server = test_server(server_dir);
    cr_assert_eq(API->prepare(&client, error), 0, "%s", error);
    cr_assert_eq(API->prepare(&server, error), 0, "%s", error);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, many, NULL), 0);
}

static void join(const pthread_t *thread) {
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(thread[i], NULL), 0);
    cr_assert_eq(failures, 0);
}

Test(threads, handshakes_while_credentials_change) {
    pthread_t thread[THREADS];
    start(thread);
    for (int i = 0; i < 3; i++) {
        struct test_cert leaf = test_workload(&ca, TEST_ID("httpbin"));
        (void)test_identity(server_dir, &leaf, NULL, ca.cert);
        test_cert_free(&leaf);
        sleep(1);
    }
    join(thread);
    cr_assert_gt(resumed, 0);
}

/* A child of a threaded process can go on at once: no lock of ours stays behind. */
Test(threads, fork_in_the_midst) {
    pthread_t thread[THREADS];
    start(thread);
    for (int i = 0; i < 20; i++) {
        int status;
        pid_t child = fork();
        cr_assert_geq(child, 0);
        if (child == 0) {
            alarm(60); /* a deadlock shows as SIGALRM */
            _exit(connection() && connection() ? 0 : 1);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert_eq(status, 0, "status %x", (unsigned)status);
    }
    join(thread);
}
