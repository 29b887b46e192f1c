/* up_show.c - what `mtlswrap up` prints: output with names in front, and the table of workloads. */
#include "up.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void put_name(const struct up *up, const struct up_workload *w) {
    static const int colours[] = {36, 33, 32, 35, 34, 31};
    size_t i = (size_t)(w - up->w) % (sizeof colours / sizeof *colours);
    if (up->colour)
        printf("\033[%dm%s |\033[0m ", colours[i], w->name);
    else
        printf("%s | ", w->name);
}

/* "spiffe://DOMAIN/ns/NS/sa/ACCOUNT" as "NS/ACCOUNT"; anything else as it is. */
static void remember(struct up *up, struct up_workload *w, const char *peer, size_t len) {
    char full[256], ns[64], account[64], text[96];
    snprintf(full, sizeof full, "%.*s", (int)len, peer);
    if (sscanf(full, "spiffe://%*[^/]/ns/%63[^/]/sa/%63[^/]", ns, account) == 2)
        snprintf(text, sizeof text, "%.40s/%.50s", ns, account);
    else
        snprintf(text, sizeof text, "%.95s", *full ? full : "anonymous");
    for (size_t i = 0; i < w->peer_count; i++)
        if (strcmp(w->peers[i], text) == 0)
            return;
    if (w->peer_count == UP_PEERS_MAX)
        return;
    memcpy(w->peers[w->peer_count++], text, sizeof text);
    up->changed = true;
}

/* The object's own info lines feed the table and are not shown. */
static bool is_info(struct up *up, struct up_workload *w, const char *line) {
    const char *level = strncmp(line, "mtlswrap[", 9) == 0 ? strstr(line, "]: info: ") : NULL;
    if (!level)
        return false;
    const char *peer = strstr(level, ", peer \"");
    if (peer)
        remember(up, w, peer + 8, strcspn(peer + 8, "\""));
    return true;
}

static void put_line(struct up *up, struct up_workload *w) {
    w->line[w->line_len] = 0;
    w->line_len = 0;
    if (is_info(up, w, w->line))
        return;
    put_name(up, w);
    puts(w->line);
}

static void take(struct up *up, struct up_workload *w, const char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != '\n')
            w->line[w->line_len++] = bytes[i];
        if (bytes[i] == '\n' || w->line_len == UP_LINE_MAX - 1)
            put_line(up, w);
    }
}

void up_show_output(struct up *up, struct up_workload *w) {
    char bytes[4096];
    ssize_t n = read(w->out, bytes, sizeof bytes);
    if (n > 0)
        take(up, w, bytes, (size_t)n);
    if (n == 0) {
        if (w->line_len)
            put_line(up, w);
        close(w->out);
        w->out = -1;
    }
    fflush(stdout);
}

void up_show_end(struct up *up, struct up_workload *w) {
    put_name(up, w);
    if (WIFSIGNALED(w->status))
        printf("ended by signal %d (%s)\n", WTERMSIG(w->status), strsignal(WTERMSIG(w->status)));
    else
        printf("ended with status %d; it is not restarted\n", WEXITSTATUS(w->status));
    up->changed = true;
}

void up_show_table(const struct up *up) {
    printf("%-28s %-22s %-11s %-9s %s\n", "WORKLOAD", "ADDRESS", "MODE", "STATE", "PEERS");
    for (size_t i = 0; i < up->count; i++) {
        const struct up_workload *w = &up->w[i];
        printf("%-28s %-22s %-11s %-9s ", w->name, w->address, w->mode, w->pid ? "running" : "ended");
        for (size_t j = 0; j < w->peer_count; j++)
            printf("%s%s", j ? ", " : "", w->peers[j]);
        puts(w->peer_count ? "" : "-");
    }
    fflush(stdout);
}
