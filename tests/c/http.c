/* A plugin in C that asks over HTTP through the extension hookyard.http/1: GET of the URL that is the event's body. By the
 * event's type it breaks the contract on purpose. */
#include "hookyard_plugin.h"

#include <stdlib.h>
#include <string.h>

struct instance {
    const hookyard_host *host;
    hookyard_ctx *ctx;
    const hookyard_http *http;
};

static const hookyard_bytes http_1 = HOOKYARD_LIT(HOOKYARD_HTTP_1);

static hookyard_bytes bytes(const char *text)
{
    hookyard_bytes out;
    out.ptr = (const uint8_t *)text;
    out.len = strlen(text);
    return out;
}

static int same(hookyard_bytes a, const char *b)
{
    return a.len == strlen(b) && (a.len == 0 || memcmp(a.ptr, b, a.len) == 0);
}

static hookyard_status create(const hookyard_host *host, hookyard_ctx *ctx, hookyard_bytes config_json,
                              void **instance, char *err, size_t err_cap)
{
    struct instance *self;
    hookyard_http_request request = { 0 };
    hookyard_http_response response = { 0 };
    const hookyard_http *http = NULL;
    (void)config_json;
    if (host->extension != NULL) http = host->extension(ctx, http_1);
    request.size = sizeof request;
    request.method = bytes("GET");
    request.url = bytes("https://api.example.com/");
    response.size = sizeof response;
    /* Without a call there is no deadline, and no request. */
    if (http == NULL || !HOOKYARD_HAS(http, hookyard_http, request) || http->request == NULL
        || http->request(ctx, NULL, &request, &response) != HOOKYARD_E_INVALID) {
        if (err_cap > 0) err[0] = '\0';
        return HOOKYARD_E_UNSUPPORTED;
    }
    self = malloc(sizeof *self);
    if (self == NULL) return HOOKYARD_E_IO;
    self->host = host;
    self->ctx = ctx;
    self->http = http;
    *instance = self;
    return HOOKYARD_OK;
}

static hookyard_outcome end(const struct instance *self, hookyard_call *call, hookyard_outcome outcome,
                            const char *code, hookyard_bytes message)
{
    hookyard_detail detail = { 0 };
    detail.size = sizeof detail;
    detail.code = bytes(code);
    detail.message = message;
    self->host->explain(call, &detail);
    return outcome;
}

static hookyard_outcome handle(void *instance, hookyard_call *call, const hookyard_event *event)
{
    const struct instance *self = instance;
    hookyard_http_request request = { 0 };
    hookyard_http_response response = { 0 };
    hookyard_http_response *place = &response;
    hookyard_pair headers[2];
    hookyard_status status, expected = HOOKYARD_OK;
    size_t i;

    headers[0].key = bytes("X-Plugin");
    headers[0].val = bytes("c");
    headers[1].key = bytes("Accept");
    headers[1].val = bytes("text/plain");
    request.size = sizeof request;
    request.timeout_ms = 10000;
    request.method = bytes("GET");
    request.url = event->body;
    request.headers = headers;
    request.header_count = 2;
    response.size = sizeof response;

    if (same(event->topic, "reserved")) { request.reserved0 = 1; expected = HOOKYARD_E_INVALID; }
    if (same(event->topic, "no.headers")) { request.headers = NULL; expected = HOOKYARD_E_INVALID; }
    if (same(event->topic, "no.place")) { place = NULL; expected = HOOKYARD_E_INVALID; }
    if (same(event->topic, "many.headers")) { request.header_count = 101; expected = HOOKYARD_E_TOO_LARGE; }
    if (same(event->topic, "large.body")) {
        request.body.ptr = event->body.ptr;
        request.body.len = 1024 * 1024 + 1;
        expected = HOOKYARD_E_TOO_LARGE;
    }
    if (same(event->topic, "small.place")) response.size = 8; /* size and status, and nothing behind */
    if (same(event->topic, "refused")) expected = HOOKYARD_HTTP_E_REFUSED;

    status = self->http->request(self->ctx, call, &request, place);
    if (status != expected) return end(self, call, HOOKYARD_REJECT, "status", response.error);
    if (status != HOOKYARD_OK) return end(self, call, HOOKYARD_DONE, "refused", response.error);
    if (response.size == 8)
        return end(self, call, response.status == 200 && response.body.ptr == NULL ? HOOKYARD_DONE : HOOKYARD_REJECT,
                   "small", bytes(""));
    for (i = 0; i < response.header_count; i++)
        if (same(response.headers[i].key, "x-far") && same(response.headers[i].val, "side"))
            return end(self, call, response.status == 200 ? HOOKYARD_DONE : HOOKYARD_REJECT, "answered", response.body);
    return end(self, call, HOOKYARD_REJECT, "header", response.error);
}

static void destroy(void *instance) { free(instance); }

HOOKYARD_IDENTITY("com.hookyard.test.c-http", "0.1.0");

static const hookyard_plugin plugin = {
    sizeof(hookyard_plugin), HOOKYARD_ABI_MAJOR, HOOKYARD_ABI_MINOR, 0, 0, 0,
    HOOKYARD_LIT("com.hookyard.test.c-http"), HOOKYARD_LIT("0.1.0"), HOOKYARD_LIT("c99"), { NULL, 0 },
    create, handle, destroy, NULL, NULL,
};

const hookyard_plugin *hookyard_plugin_v1(void) { return &plugin; }
