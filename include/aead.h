/* aead.h - one authenticated cipher with 12 byte nonces and 16 byte tags, behind one table.
 *
 * A schedule is one expanded key. It belongs to one thread at a time, and it may carry the state of one
 * begun record. Back ends know nothing of TLS: no sequence numbers, no record types. Nonces are the
 * caller's duty (I3).
 */
#ifndef MTLSWRAP_AEAD_H
#define MTLSWRAP_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AEAD_NONCE = 12, AEAD_TAG = 16, AEAD_AAD_MAX = 13 };

/* What a record is sealed with beside key and text. */
struct aead_head {
    uint8_t nonce[AEAD_NONCE];
    uint8_t aad[AEAD_AAD_MAX];
    uint8_t aad_len;
};

/* All int functions return 0 or < 0 (enum record_error). On failure the output may hold anything: the
 * caller cleanses it. Input and output are the same or do not overlap. */
struct aead {
    const char *name;

    /* cipher is an enum record_cipher. NULL: out of memory, or a cipher that this back end has not. */
    void *(*schedule_new)(uint8_t cipher, const uint8_t *key);
    /* Another key into the same memory, for less than half of what wiping, freeing and making one anew costs.
     * < 0: only schedule_free may still be called. */
    int (*schedule_rekey)(void *schedule, uint8_t cipher, const uint8_t *key);
    void (*schedule_free)(void *schedule); /* wipes */

    /* One call for text that lies in one piece: n bytes, the tag behind them. */
    int (*seal)(void *schedule, const struct aead_head *h, const uint8_t *in, size_t n, uint8_t *out);
    int (*open)(void *schedule, const struct aead_head *h, const uint8_t *in, size_t n, uint8_t *out);

    /* The same in pieces of any length, in order, then the tag. */
    int (*begin)(void *schedule, const struct aead_head *h, bool sealing);
    int (*update)(void *schedule, const uint8_t *in, size_t n, uint8_t *out);
    int (*seal_end)(void *schedule, uint8_t tag[AEAD_TAG]);
    int (*open_end)(void *schedule, const uint8_t tag[AEAD_TAG]);
};

/* OpenSSL EVP: every cipher, every machine; the reference. */
extern const struct aead aead_evp;

#ifdef __x86_64__
/* Intel IPsec-MB: AES-GCM only. Usable after aead_ipsecmb_select returned true. */
extern const struct aead aead_ipsecmb;

/* Chooses the code for schedules made from now on: "sse", "avx", "avx2", "avx512", "vaes", or the
 * fastest with NULL. False, and nothing changes, when this CPU cannot run it. Not for use by two threads
 * at once; aead_for calls it once. */
__attribute__((warn_unused_result)) bool aead_ipsecmb_select(const char *variant);
#endif

/* The back end for a cipher on this machine. MTLSWRAP_AEAD=evp, ipsecmb or ipsecmb-VARIANT forces one
 * where it can do the cipher; it is read once, at the first call. */
const struct aead *aead_for(uint8_t cipher);

#endif
