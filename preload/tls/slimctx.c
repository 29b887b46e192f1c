/* slimctx.c - a provider that hands on a chosen few of the default provider's algorithms, and the library
 * context that has no other. Implements no cryptography: every function in its tables is the default
 * provider's own. */
#include "slimctx.h"
#include "libctx.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>

enum { CHOSEN_MAX = 48 };

/* One kind of operation: which algorithms are handed on, by their first name. */
struct choice {
    int operation;
    const char *names[12];
    OSSL_ALGORITHM chosen[CHOSEN_MAX]; /* filled once, ends with a NULL name */
};

static struct choice choices[] = {
    {OSSL_OP_DIGEST, {"SHA1", "SHA2-224", "SHA2-256", "SHA2-384", "SHA2-512", "MD5", "MD5-SHA1"}, {{0}}},
    {OSSL_OP_CIPHER, {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305", "AES-256-CBC"}, {{0}}},
    {OSSL_OP_MAC, {"HMAC"}, {{0}}},
    {OSSL_OP_KDF, {"HKDF", "TLS13-KDF", "TLS1-PRF"}, {{0}}},
    {OSSL_OP_RAND, {"CTR-DRBG", "SEED-SRC"}, {{0}}},
    {OSSL_OP_KEYMGMT, {"EC", "RSA", "RSA-PSS", "ED25519", "X25519", "HMAC"}, {{0}}},
    {OSSL_OP_KEYEXCH, {"ECDH", "X25519"}, {{0}}},
    {OSSL_OP_SIGNATURE, {"ECDSA", "RSA", "ED25519", "HMAC"}, {{0}}},
    {OSSL_OP_DECODER, {"EC", "RSA", "RSA-PSS", "ED25519", "DER"}, {{0}}},
};
enum { CHOICES = sizeof choices / sizeof *choices };

/* All immutable after once. */
static OSSL_PROVIDER *whole, *chosen[2];
static OSSL_LIB_CTX *slim;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool is_named(const char *names, const char *name) {
    size_t n = strlen(name);
    return strncmp(names, name, n) == 0 && (names[n] == ':' || names[n] == '\0');
}

static bool wanted(const struct choice *c, const OSSL_ALGORITHM *a) {
    /* Peers' keys come in certificates only; credentials.c reads private keys with the whole context. */
    if (c->operation == OSSL_OP_DECODER &&
        (!strstr(a->property_definition, "input=der") ||
         !strstr(a->property_definition, "structure=SubjectPublicKeyInfo")))
        return false;
    for (const char *const *name = c->names; *name; name++)
        if (is_named(a->algorithm_names, *name))
            return true;
    return false;
}

static bool choose(struct choice *c) {
    int no_cache = 0;
    size_t n = 0;
    const OSSL_ALGORITHM *a = OSSL_PROVIDER_query_operation(whole, c->operation, &no_cache);
    for (; a && a->algorithm_names; a++)
        if (wanted(c, a) && n + 1 < CHOSEN_MAX)
            c->chosen[n++] = *a;
    return n > 0 && no_cache == 0;
}

/* The provider. */

static const OSSL_ALGORITHM *query(void *provctx, int operation, int *no_cache) {
    (void)provctx;
    *no_cache = 0;
    for (size_t i = 0; i < CHOICES; i++)
        if (choices[i].operation == operation)
            return choices[i].chosen;
    return NULL;
}

/* TLS groups above all; those whose algorithms are missing here are left out by libssl. */
static int capabilities(void *provctx, const char *capability, OSSL_CALLBACK *cb, void *arg) {
    (void)provctx;
    return OSSL_PROVIDER_get_capabilities(whole, capability, cb, arg);
}

/* OSSL_DISPATCH holds functions as void (*)(void); unions keep us from casting one function pointer to
 * another. */
union function {
    OSSL_FUNC_provider_query_operation_fn *query;
    OSSL_FUNC_provider_get_capabilities_fn *capabilities;
    void (*any)(void);
};

static int init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                void **provctx) {
    static OSSL_DISPATCH table[3];
    (void)handle, (void)in;
    table[0] = (OSSL_DISPATCH){OSSL_FUNC_PROVIDER_QUERY_OPERATION, (union function){.query = query}.any};
    table[1] = (OSSL_DISPATCH){OSSL_FUNC_PROVIDER_GET_CAPABILITIES,
                               (union function){.capabilities = capabilities}.any};
    *out = table;
    *provctx = OSSL_PROVIDER_get0_provider_ctx(whole);
    return 1;
}

static bool furnish(OSSL_LIB_CTX *ctx, OSSL_PROVIDER **held) {
    *held = OSSL_PROVIDER_add_builtin(ctx, "mtlswrap", init) ? OSSL_PROVIDER_load(ctx, "mtlswrap") : NULL;
    return *held != NULL;
}

static void create(void) {
    OSSL_LIB_CTX *base = engine_libctx();
    whole = base ? OSSL_PROVIDER_load(base, "default") : NULL;
    bool ok = whole != NULL;
    for (size_t i = 0; ok && i < CHOICES; i++)
        ok = choose(&choices[i]);
    OSSL_LIB_CTX *made = ok ? OSSL_LIB_CTX_new() : NULL;
    if (made && furnish(made, &chosen[0]))
        slim = made;
    else
        OSSL_LIB_CTX_free(made);
    /* libssl decodes the certificate in a session ticket with the default context, twice per resumption. That
     * one is ours alone too (static and hidden), and would fetch all of the default provider by itself. */
    if (slim)
        (void)furnish(NULL, &chosen[1]);
    ERR_clear_error();
}

OSSL_LIB_CTX *slimctx(void) {
    (void)pthread_once(&once, create);
    return slim ? slim : engine_libctx();
}
