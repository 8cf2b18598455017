/*
 * handshakes.c - TLS handshakes, one after another, and nothing else
 *
 *     handshakes PORT 1.2|1.3 full|resume COUNT
 *
 * Connects, shakes hands, says goodbye, COUNT times. resume: with the session of a first
 * connection, which asked for something so that a ticket came. Writes how many a second there were;
 * what they cost the server is for the caller to look at. Fails if one was not what it should have
 * been.
 */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static SSL_SESSION *ticket; /* the first */
static int port;

static void die(const char *what)
{
    fprintf(stderr, "handshakes: %s\n", what);
    exit(1);
}

/* A copy: what becomes of the connection later does not touch it. */
static int new_session(SSL *ssl, SSL_SESSION *s)
{
    (void)ssl;
    if (ticket == NULL)
        ticket = SSL_SESSION_dup(s);
    return 0;
}

static SSL *shake_hands(SSL_CTX *ctx, SSL_SESSION *with)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    SSL *ssl = SSL_new(ctx);
    if (fd < 0 || ssl == NULL || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("cannot connect");
    SSL_set_fd(ssl, fd);
    if (with != NULL) { /* a copy: what becomes of a connection marks its session */
        SSL_SESSION *own = SSL_SESSION_dup(with);
        SSL_set_session(ssl, own);
        SSL_SESSION_free(own);
    }
    if (SSL_connect(ssl) != 1)
        die("no handshake");
    if (SSL_session_reused(ssl) != (with != NULL))
        die(with ? "not resumed" : "resumed");
    return ssl;
}

static void say_goodbye(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

static SSL_SESSION *get_ticket(SSL_CTX *ctx)
{
    static const char ask[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    char answer[4096];
    SSL *ssl = shake_hands(ctx, NULL);
    SSL_write(ssl, ask, (int)strlen(ask));
    while (SSL_read(ssl, answer, sizeof answer) > 0)
        ;
    say_goodbye(ssl);
    if (ticket == NULL)
        die("no ticket");
    return ticket;
}

int main(int argc, char **argv)
{
    struct timespec begin, end;
    if (argc != 5)
        return 2;
    port = atoi(argv[1]);
    int version = strcmp(argv[2], "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    bool resume = strcmp(argv[3], "resume") == 0;
    int count = atoi(argv[4]);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, new_session);
    SSL_SESSION *with = resume ? get_ticket(ctx) : NULL;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < count; i++)
        say_goodbye(shake_hands(ctx, with));
    clock_gettime(CLOCK_MONOTONIC, &end);
    double took = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    printf("%.0f\n", count / took);
    return 0;
}
