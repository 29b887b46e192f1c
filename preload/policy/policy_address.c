/* policy_address.c - addresses and prefixes, IPv4 inside IPv6, so that a v4-mapped address is its
 * IPv4 self. Numbers only: nothing here asks a resolver. */
#include "policy_table.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

bool policy_address_is_v4(const struct policy_address *a) {
    return memcmp(a->byte, mapped, sizeof mapped) == 0;
}

void policy_address_mask(struct policy_address *a, unsigned bits) {
    a->bits = (uint8_t)bits;
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;
        a->byte[i] &= (uint8_t)(0xFF00u >> keep);
    }
}

bool policy_address_contains(const struct policy_address *net, const struct policy_address *one) {
    if (policy_address_is_v4(one) && net->bits < 96)
        return false; /* an IPv6 prefix such as ::/0 says nothing of IPv4 */
    struct policy_address cut = *one;
    policy_address_mask(&cut, net->bits);
    return memcmp(cut.byte, net->byte, 16) == 0;
}

static bool parse_bits(const char *s, unsigned max, unsigned *bits) {
    unsigned v = 0;
    if (*s == '\0' || strlen(s) > 3 || (s[0] == '0' && s[1]))
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return false;
        v = v * 10 + (unsigned)(*s - '0');
    }
    *bits = v;
    return v <= max;
}

/* As inet_pton takes it: four decimal numbers, none with a zero in front. */
static bool parse_v4(const char *s, uint8_t out[4]) {
    for (int i = 0; i < 4; i++) {
        unsigned v = 0, digits = 0;
        for (; *s >= '0' && *s <= '9' && digits < 4; s++, digits++)
            v = v * 10 + (unsigned)(*s - '0');
        if (!digits || v > 255 || (digits > 1 && s[-(int)digits] == '0') || *s != (i < 3 ? '.' : '\0'))
            return false;
        out[i] = (uint8_t)v;
        s++;
    }
    return true;
}

/* A prefix with bits set behind the mask is refused: it is more often a typing mistake than a wish. */
bool policy_value_address(const char *s, bool cidr, struct policy_address *out) {
    char text[INET6_ADDRSTRLEN + 1];
    const char *slash = cidr ? strchr(s, '/') : NULL;
    size_t len = slash ? (size_t)(slash - s) : strlen(s);
    unsigned char v4[4];
    unsigned bits = 128;
    if (len == 0 || len >= sizeof text)
        return false;
    memcpy(text, s, len);
    text[len] = '\0';
    bool dotted = memchr(text, ':', len) == NULL;
    if (parse_v4(text, v4)) {
        memcpy(out->byte, mapped, sizeof mapped);
        memcpy(out->byte + 12, v4, 4);
    } else if (dotted || inet_pton(AF_INET6, text, out->byte) != 1) {
        return false;
    }
    if (slash && !parse_bits(slash + 1, dotted ? 32 : 128, &bits))
        return false;
    if (slash && dotted)
        bits += 96;
    struct policy_address cut = *out;
    policy_address_mask(&cut, bits);
    out->bits = (uint8_t)bits;
    return memcmp(cut.byte, out->byte, 16) == 0;
}

bool policy_address_of(const struct sockaddr *sa, struct policy_address *out, uint16_t *port) {
    *port = 0;
    memset(out, 0, sizeof *out);
    out->bits = 128;
    if (sa && sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        memcpy(out->byte, mapped, sizeof mapped);
        memcpy(out->byte + 12, &in.sin_addr, 4);
        *port = ntohs(in.sin_port);
        return true;
    }
    if (sa && sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        memcpy(out->byte, &in6.sin6_addr, 16);
        *port = ntohs(in6.sin6_port);
        return true;
    }
    return false;
}

static char *put_number(char *at, unsigned v) {
    if (v >= 100)
        *at++ = (char)('0' + v / 100);
    if (v >= 10)
        *at++ = (char)('0' + v / 10 % 10);
    *at++ = (char)('0' + v % 10);
    *at = '\0';
    return at;
}

/* inet_ntop is printf inside; the common case does without. */
void policy_address_text(const struct policy_address *a, char out[POLICY_ADDRESS_TEXT]) {
    bool v4 = policy_address_is_v4(a);
    char *at = out;
    for (int i = 12; v4 && i < 16; i++) {
        at = put_number(at, a->byte[i]);
        *at++ = '.';
    }
    if (v4)
        *--at = '\0';
    else
        at = inet_ntop(AF_INET6, a->byte, out, POLICY_ADDRESS_TEXT) ? out + strlen(out) : stpcpy(out, "");
    if (a->bits < 128) {
        *at++ = '/';
        put_number(at, v4 ? a->bits - 96u : a->bits);
    }
}

void policy_address_sockaddr(const struct policy_address *a, struct sockaddr_storage *out) {
    memset(out, 0, sizeof *out);
    if (policy_address_is_v4(a)) {
        struct sockaddr_in in = {.sin_family = AF_INET};
        memcpy(&in.sin_addr, a->byte + 12, 4);
        memcpy(out, &in, sizeof in);
    } else {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
        memcpy(&in6.sin6_addr, a->byte, 16);
        memcpy(out, &in6, sizeof in6);
    }
}
