/* verdict.c - OpenSSL's verdicts in plain words. The queue must have been empty before the failed call; it is
 * empty afterwards. Nothing else in this object reads the error queue of a connection. */
#include "verdict.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

struct words {
    int code;
    const char *text;
};

/* RFC 8446 6.2 and RFC 5246 7.2.2, with the names that other tools print. */
static const struct words ALERTS[] = {
    {0, "close_notify"},
    {10, "unexpected_message"},
    {20, "bad_record_mac"},
    {21, "decryption_failed"},
    {22, "record_overflow"},
    {30, "decompression_failure"},
    {40, "handshake_failure"},
    {41, "no_certificate"},
    {42, "bad_certificate"},
    {43, "unsupported_certificate"},
    {44, "certificate_revoked"},
    {45, "certificate_expired"},
    {46, "certificate_unknown"},
    {47, "illegal_parameter"},
    {48, "unknown_ca"},
    {49, "access_denied"},
    {50, "decode_error"},
    {51, "decrypt_error"},
    {70, "protocol_version"},
    {71, "insufficient_security"},
    {80, "internal_error"},
    {86, "inappropriate_fallback"},
    {90, "user_canceled"},
    {100, "no_renegotiation"},
    {109, "missing_extension"},
    {110, "unsupported_extension"},
    {111, "certificate_unobtainable"},
    {112, "unrecognized_name"},
    {113, "bad_certificate_status_response"},
    {115, "unknown_psk_identity"},
    {116, "certificate_required"},
    {120, "no_application_protocol"},
};

static const struct words CHAIN[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, "peer's certificate has expired"},
    {X509_V_ERR_CERT_NOT_YET_VALID, "peer's certificate is not valid yet"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "peer's certificate comes from a CA that we do not trust"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "peer's certificate comes from a CA that we do not trust"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "peer's certificate comes from a CA that we do not trust"},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "peer's certificate comes from a CA that we do not trust"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "peer's certificate is self-signed and not trusted"},
    {X509_V_ERR_CERT_SIGNATURE_FAILURE, "peer's certificate has a signature that is not its CA's"},
    {X509_V_ERR_CERT_REVOKED, "peer's certificate was revoked"},
    {X509_V_ERR_UNABLE_TO_GET_CRL, "crl.pem says nothing about the CA of the peer's certificate"},
    {X509_V_ERR_CRL_HAS_EXPIRED, "crl.pem is out of date"},
    {X509_V_ERR_INVALID_PURPOSE, "peer's certificate is not meant for this side of a connection"},
    {X509_V_ERR_INVALID_CA, "peer's certificate was issued by one that is no CA's"},
    {X509_V_ERR_EE_KEY_TOO_SMALL, "peer's certificate has too weak a key"},
    {X509_V_ERR_CA_MD_TOO_WEAK, "peer's certificate has too weak a signature"},
};

static const struct words LIBRARY[] = {
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "peer offered no certificate"},
    {SSL_R_WRONG_VERSION_NUMBER, "peer does not speak TLS, or a version that we refuse"},
    {SSL_R_WRONG_SSL_VERSION, "peer offers no TLS version that we accept"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "peer offers no TLS version that we accept"},
    {SSL_R_VERSION_TOO_LOW, "peer offers no TLS version that we accept"},
    {SSL_R_HTTP_REQUEST, "peer does not speak TLS, but HTTP"},
    {SSL_R_HTTPS_PROXY_REQUEST, "peer does not speak TLS, but HTTP"},
    {SSL_R_NO_SHARED_CIPHER, "peer offers no cipher suite that we accept"},
    {SSL_R_NO_SUITABLE_KEY_SHARE, "peer offers no key exchange that we accept"},
    {SSL_R_NO_SHARED_GROUPS, "peer offers no key exchange that we accept"},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "peer offers no signature algorithm that fits our certificate"},
    {SSL_R_BAD_SIGNATURE, "peer cannot prove that it holds its certificate's key"},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, "a record was damaged on its way"},
    {SSL_R_UNEXPECTED_MESSAGE, "peer sent a message that does not belong here"},
    {SSL_R_UNEXPECTED_RECORD, "peer sent a record that does not belong here"},
    {SSL_R_DATA_LENGTH_TOO_LONG, "peer sent an oversized record"},
    {SSL_R_ENCRYPTED_LENGTH_TOO_LONG, "peer sent an oversized record"},
    {SSL_R_PACKET_LENGTH_TOO_LONG, "peer sent an oversized record"},
};

static const char *look_up(const struct words *table, size_t n, int code) {
    for (size_t i = 0; i < n; i++)
        if (table[i].code == code)
            return table[i].text;
    return NULL;
}
#define LOOK_UP(table, code) look_up(table, sizeof(table) / sizeof(table)[0], code)

bool verdict_refuses_certificate(unsigned alert) {
    return (alert >= 41 && alert <= 46) || alert == 48 || alert == 49 || alert == 113 || alert == 116;
}

const char *verdict_alert(unsigned alert, char *out, size_t size) {
    const char *name = LOOK_UP(ALERTS, (int)alert);
    const char *what = alert == 116  ? "peer demands a certificate and we have none"
                       : alert == 0  ? "peer closed in handshake"
                       : alert == 49 ? "peer refused our identity"
                       : alert == 48 ? "peer refused our certificate, it does not trust its CA"
                       : verdict_refuses_certificate(alert) ? "peer refused our certificate"
                                                            : "peer gave up";
    (void)snprintf(out, size, "%s (alert %u %s)", what, alert, name ? name : "unknown");
    return out;
}

void verdict_say(struct handshake *h, const char *why) {
    if (h->peer[0])
        (void)snprintf(h->error, sizeof h->error, "%.200s (peer %.160s)", why, h->peer);
    else
        (void)snprintf(h->error, sizeof h->error, "%s", why);
    ERR_clear_error();
}

static const char *chain_words(const SSL *ssl) {
    long code = SSL_get_verify_result(ssl);
    const char *text = LOOK_UP(CHAIN, (int)code);
    return text ? text : X509_verify_cert_error_string(code);
}

/* The first of the library's own complaints; what follows it is only the way up the stack. */
static int first_reason(void) {
    int reason = 0;
    for (unsigned long e; (e = ERR_get_error()) != 0;)
        if (reason == 0 && (ERR_GET_LIB(e) == ERR_LIB_SSL || ERR_peek_error() == 0))
            reason = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : -1;
    return reason;
}

void verdict_set(struct handshake *h, int ssl_error) {
    char text[HANDSHAKE_ERROR_MAX];
    unsigned long last = ERR_peek_error();
    int reason = first_reason();
    if (h->reason[0]) {
        verdict_say(h, h->reason);
    } else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        verdict_say(h, chain_words(h->ssl));
    } else if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255) {
        unsigned alert = (unsigned)(reason - SSL_AD_REASON_OFFSET);
        h->spoke_tls = true;
        h->refused = h->refused || verdict_refuses_certificate(alert);
        verdict_say(h, verdict_alert(alert, text, sizeof text));
    } else if (ssl_error == SSL_ERROR_ZERO_RETURN) {
        verdict_say(h, "peer closed in handshake (alert 0 close_notify)");
    } else if (reason > 0 && LOOK_UP(LIBRARY, reason)) {
        verdict_say(h, LOOK_UP(LIBRARY, reason));
    } else {
        const char *own = last ? ERR_reason_error_string(last) : NULL;
        (void)snprintf(text, sizeof text, "the handshake failed: %s", own ? own : "no reason given");
        verdict_say(h, text);
    }
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE || reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        h->refused = true;
}
