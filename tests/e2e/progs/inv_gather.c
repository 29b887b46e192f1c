/* inv_gather.c - the peer's judgement on a stream that many hands wrote: every record opened in order, every
 * message whole and in its writer's order, and no nonce twice where the wire shows it (TLS 1.2 with AES-GCM).
 */
#include "inv_peer.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { WRITERS = 16, MESSAGE_MAX = 40008 };

/* The message that is coming in. */
static unsigned char message[MESSAGE_MAX];
static size_t have, messages;
static uint32_t expected[WRITERS];
static const char *wrong;

/* The raw stream: the record that is coming in. */
static unsigned char head[13];
static size_t head_have, body_left;
static uint64_t last_nonce;
static bool any_nonce;

void gather_begin(void) {
    have = messages = head_have = body_left = 0;
    any_nonce = false;
    wrong = NULL;
    memset(expected, 0, sizeof expected);
}

/* RFC 5288, section 3: behind the header of five bytes there are eight of the nonce. Ours counts. */
static void see_nonce(void) {
    uint64_t nonce = 0;
    for (int i = 5; i < 13; i++)
        nonce = nonce << 8 | head[i];
    if (any_nonce && nonce <= last_nonce)
        wrong = "a nonce was used twice";
    any_nonce = true;
    last_nonce = nonce;
}

void gather_raw(const unsigned char *p, size_t n, bool shows_nonces) {
    for (size_t i = 0; i < n; i++) {
        if (body_left && head_have >= sizeof head) {
            size_t skip = body_left < n - i ? body_left : n - i;
            body_left -= skip;
            i += skip - 1;
        } else {
            head[head_have++] = p[i];
            if (head_have == 5)
                body_left = (size_t)head[3] << 8 | head[4];
            else if (head_have > 5)
                body_left--;
            if (head_have == sizeof head && shows_nonces && head[0] == 23)
                see_nonce();
        }
        if (head_have >= 5 && !body_left)
            head_have = 0;
    }
}

static size_t wanted(void) {
    uint32_t length;
    if (have < 8)
        return 8;
    memcpy(&length, message + 4, 4);
    return length > MESSAGE_MAX - 8 ? 0 : 8 + length;
}

static void judge(size_t n) {
    uint16_t id[2];
    memcpy(id, message, 4);
    if (id[0] >= WRITERS || id[1] != expected[id[0]]++)
        wrong = "a message is lost, or came twice";
    for (size_t i = 8; i < n; i++)
        if (message[i] != (unsigned char)(id[0] * 7 + id[1] * 13 + (i - 8)))
            wrong = "a message was changed";
    messages++;
}

void gather_plain(const unsigned char *p, size_t n) {
    while (n && !wrong) {
        size_t all = wanted(), part = all - have < n ? all - have : n;
        if (!all) {
            wrong = "messages are mixed up";
            break;
        }
        memcpy(message + have, p, part);
        have += part;
        p += part;
        n -= part;
        if (have >= 8 && have == wanted()) {
            judge(have);
            have = 0;
        }
    }
}

void gather_end(int to, const char *ending) {
    dprintf(to, "%zu messages, %s\n", messages,
            wrong  ? wrong
            : have ? "a part of a message at the end"
                   : ending);
}
