/* known.c - keeps what libssl and libcrypto look up anew for every handshake though it never changes:
 * algorithms by name, the set-up decoder of a peer's public key, and sessions that are there already. The
 * linker sends their calls here (--wrap, in the Makefile) and only the lookups are replaced; what is found
 * and what it does are OpenSSL's own.
 *
 * Nothing kept is ever given back: it belongs to library contexts that live as long as the process. */
#include "known.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <openssl/decoder.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>

enum { NAME_MAX_LEN = 24, KEPT_MAX = 32 };

/* Entries are complete before count covers them and never change after, hence no lock for readers. */
struct shelf {
    atomic_size_t count;
    struct {
        const OSSL_LIB_CTX *ctx;
        char name[NAME_MAX_LEN];
        void *method;
    } kept[KEPT_MAX];
};

static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

static void *find(const struct shelf *s, const OSSL_LIB_CTX *ctx, const char *name, const char *properties) {
    if (!ctx || properties)
        return NULL;
    size_t n = atomic_load_explicit(&s->count, memory_order_acquire);
    for (size_t i = 0; i < n; i++)
        if (s->kept[i].ctx == ctx && !strcmp(s->kept[i].name, name))
            return s->kept[i].method;
    return NULL;
}

/* True when the shelf has taken a reference of its own to keep. A fork may have left the lock taken: then
 * nothing more is kept. */
static bool keep(struct shelf *s, const OSSL_LIB_CTX *ctx, const char *name, const char *properties,
                 void *method) {
    if (!ctx || properties || !method || strlen(name) >= NAME_MAX_LEN || pthread_mutex_trylock(&writing))
        return false;
    size_t n = atomic_load(&s->count);
    bool kept = n < KEPT_MAX && !find(s, ctx, name, properties);
    if (kept) {
        s->kept[n].ctx = ctx;
        memcpy(s->kept[n].name, name, strlen(name) + 1);
        s->kept[n].method = method;
        atomic_store_explicit(&s->count, n + 1, memory_order_release);
    }
    pthread_mutex_unlock(&writing);
    return kept;
}

/* One kind of algorithm: the real fetch once per name, then another reference to what it gave. */
#define KNOWN(kind)                                                                                          \
    kind *__real_##kind##_fetch(OSSL_LIB_CTX *ctx, const char *name, const char *properties);                \
    kind *__wrap_##kind##_fetch(OSSL_LIB_CTX *ctx, const char *name, const char *properties);                \
    kind *__wrap_##kind##_fetch(OSSL_LIB_CTX *ctx, const char *name, const char *properties) {               \
        static struct shelf shelf;                                                                           \
        kind *known = find(&shelf, ctx, name, properties);                                                   \
        if (known && kind##_up_ref(known))                                                                   \
            return known;                                                                                    \
        known = __real_##kind##_fetch(ctx, name, properties);                                                \
        if (keep(&shelf, ctx, name, properties, known) && !kind##_up_ref(known))                             \
            return NULL;                                                                                     \
        return known;                                                                                        \
    }
KNOWN(EVP_MD)
KNOWN(EVP_KDF)
KNOWN(EVP_MAC)
KNOWN(EVP_CIPHER)
KNOWN(EVP_KEYMGMT)
KNOWN(EVP_KEYEXCH)
KNOWN(EVP_SIGNATURE)

/* --- sessions ------------------------------------------------------------------------------------ */

static __thread bool reading_session;
static __thread const SSL *issuing; /* NULL: no ticket is being made */

void known_issuing(const SSL *ssl) {
    issuing = ssl;
}

SSL_SESSION *__real_d2i_SSL_SESSION(SSL_SESSION **session, const unsigned char **in, long len);
SSL_SESSION *__wrap_d2i_SSL_SESSION(SSL_SESSION **session, const unsigned char **in, long len);
/* To make a ticket OpenSSL wants a copy of the session, and reads the bytes that it has just written of it. A
 * session that comes back remembers the certificate of a peer that has proved itself: its names and its end
 * are asked for, its key never again. */
SSL_SESSION *__wrap_d2i_SSL_SESSION(SSL_SESSION **session, const unsigned char **in, long len) {
    if (issuing && !session)
        return SSL_SESSION_dup(SSL_get_session(issuing));
    reading_session = true;
    SSL_SESSION *read = __real_d2i_SSL_SESSION(session, in, len);
    reading_session = false;
    return read;
}

/* --- peers' public keys -------------------------------------------------------------------------- */

/* A decoder that was set up once with `result` as its destination, and lent to one caller at a time. All but
 * ctx belongs to whoever has lent set; ctx is looked at by those who search for their own. */
struct decoder {
    atomic_bool lent;
    OSSL_DECODER_CTX *_Atomic ctx;
    EVP_PKEY *result, **wanted;
    const OSSL_LIB_CTX *lib;
    char keytype[NAME_MAX_LEN];
};
enum { DECODERS = 8 };
static struct decoder decoders[DECODERS];

OSSL_DECODER_CTX *__real_OSSL_DECODER_CTX_new_for_pkey(EVP_PKEY **pkey, const char *type,
                                                       const char *structure, const char *keytype,
                                                       int selection, OSSL_LIB_CTX *lib,
                                                       const char *properties);
OSSL_DECODER_CTX *__wrap_OSSL_DECODER_CTX_new_for_pkey(EVP_PKEY **pkey, const char *type,
                                                       const char *structure, const char *keytype,
                                                       int selection, OSSL_LIB_CTX *lib,
                                                       const char *properties);
int __real_OSSL_DECODER_from_data(OSSL_DECODER_CTX *ctx, const unsigned char **data, size_t *len);
int __wrap_OSSL_DECODER_from_data(OSSL_DECODER_CTX *ctx, const unsigned char **data, size_t *len);
void __real_OSSL_DECODER_CTX_free(OSSL_DECODER_CTX *ctx);
void __wrap_OSSL_DECODER_CTX_free(OSSL_DECODER_CTX *ctx);

static bool serves(const struct decoder *d, const char *keytype, const OSSL_LIB_CTX *lib) {
    return !atomic_load(&d->ctx) || (d->lib == lib && !strcmp(d->keytype, keytype));
}

/* One of ours that is free, now lent; or NULL. */
static struct decoder *borrow(const char *keytype, const OSSL_LIB_CTX *lib) {
    for (size_t i = 0; i < DECODERS; i++) {
        if (atomic_exchange(&decoders[i].lent, true))
            continue;
        if (serves(&decoders[i], keytype, lib))
            return &decoders[i];
        atomic_store(&decoders[i].lent, false);
    }
    return NULL;
}

static struct decoder *borrowed(const OSSL_DECODER_CTX *ctx) {
    for (size_t i = 0; ctx && i < DECODERS; i++)
        if (atomic_load(&decoders[i].ctx) == ctx)
            return &decoders[i];
    return NULL;
}

OSSL_DECODER_CTX *__wrap_OSSL_DECODER_CTX_new_for_pkey(EVP_PKEY **pkey, const char *type,
                                                       const char *structure, const char *keytype,
                                                       int selection, OSSL_LIB_CTX *lib,
                                                       const char *properties) {
    if (reading_session) /* as of a key that OpenSSL does not know: the certificate is read without it */
        return NULL;
    bool usual = lib && !properties && type && structure && keytype && strlen(keytype) < NAME_MAX_LEN &&
                 !strcmp(type, "DER") && !strcmp(structure, "SubjectPublicKeyInfo") &&
                 selection == EVP_PKEY_PUBLIC_KEY;
    struct decoder *d = usual ? borrow(keytype, lib) : NULL;
    if (d && !d->ctx) {
        d->lib = lib;
        memcpy(d->keytype, keytype, strlen(keytype) + 1);
        d->ctx = __real_OSSL_DECODER_CTX_new_for_pkey(&d->result, type, structure, d->keytype, selection, lib,
                                                      NULL);
    }
    if (d && d->ctx) {
        d->result = NULL;
        d->wanted = pkey;
        return d->ctx;
    }
    if (d)
        atomic_store(&d->lent, false);
    return __real_OSSL_DECODER_CTX_new_for_pkey(pkey, type, structure, keytype, selection, lib, properties);
}

int __wrap_OSSL_DECODER_from_data(OSSL_DECODER_CTX *ctx, const unsigned char **data, size_t *len) {
    int rc = __real_OSSL_DECODER_from_data(ctx, data, len);
    struct decoder *d = borrowed(ctx);
    if (d && d->result) {
        *d->wanted = d->result;
        d->result = NULL;
    }
    return rc;
}

void __wrap_OSSL_DECODER_CTX_free(OSSL_DECODER_CTX *ctx) {
    struct decoder *d = borrowed(ctx);
    if (d)
        atomic_store(&d->lent, false);
    else
        __real_OSSL_DECODER_CTX_free(ctx);
}

/* --- hexadecimal --------------------------------------------------------------------------------- */

/* The key log, by which traffic secrets come to us, writes each of its bytes with sprintf. */
int __wrap___sprintf_chk(char *out, int flag, size_t room, const char *format, ...);
int __wrap___sprintf_chk(char *out, int flag, size_t room, const char *format, ...) {
    static const char digits[16] = {'0', '1', '2', '3', '4', '5', '6', '7',
                                    '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
    va_list args;
    va_start(args, format);
    int n = 2;
    unsigned value = room > 2 && !strcmp(format, "%02x") ? va_arg(args, unsigned) : 256;
    if (value < 256) {
        out[0] = digits[value >> 4];
        out[1] = digits[value & 15];
        out[2] = 0;
    } else {
        va_end(args);
        va_start(args, format);
        n = __builtin___vsprintf_chk(out, flag, room, format, args);
    }
    va_end(args);
    return n;
}
