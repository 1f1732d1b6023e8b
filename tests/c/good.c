/* A plugin in C that uses everything that the host offers, by the header alone. FLAGS and MIN_HOST_MINOR may be set on
 * the command line. */
#include "hookyard_plugin.h"

#include <stdlib.h>
#include <string.h>

#ifndef FLAGS
#define FLAGS 0
#endif
#ifndef MIN_HOST_MINOR
#define MIN_HOST_MINOR 0
#endif

struct instance {
    const hookyard_host *host;
    hookyard_ctx *ctx;
};

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

static void tell(char *err, size_t cap, const char *sentence)
{
    size_t len = strlen(sentence);
    if (cap == 0) return;
    if (len > cap - 1) len = cap - 1;
    memcpy(err, sentence, len);
    err[len] = '\0';
}

static hookyard_status create(const hookyard_host *host, hookyard_ctx *ctx, hookyard_bytes config_json,
                              void **instance, char *err, size_t err_cap)
{
    struct instance *self;
    hookyard_bytes value;
    if (!HOOKYARD_HAS(host, hookyard_host, secret) || host->secret == NULL) {
        tell(err, err_cap, "this host offers no secrets");
        return HOOKYARD_E_UNSUPPORTED;
    }
    if (config_json.len == 0 || config_json.ptr[0] != '{') {
        tell(err, err_cap, "the settings are no object");
        return HOOKYARD_E_CONFIG;
    }
    if (host->secret(ctx, NULL, bytes("absent"), &value) != HOOKYARD_E_NOT_FOUND) {
        tell(err, err_cap, "a secret that is not there was found");
        return HOOKYARD_E_CONFIG;
    }
    self = malloc(sizeof *self);
    if (self == NULL) return HOOKYARD_E_IO;
    self->host = host;
    self->ctx = ctx;
    *instance = self;
    return HOOKYARD_OK;
}

static hookyard_outcome fail(const struct instance *self, hookyard_call *call, const char *what)
{
    hookyard_detail detail = { 0 };
    detail.size = sizeof detail;
    detail.code = bytes("good_c");
    detail.message = bytes(what);
    self->host->explain(call, &detail);
    return HOOKYARD_REJECT;
}

static hookyard_outcome handle(void *instance, hookyard_call *call, const hookyard_event *event)
{
    const struct instance *self = instance;
    const hookyard_host *host = self->host;
    hookyard_detail detail = { 0 };
    hookyard_bytes memo, key, value;
    hookyard_pair field;
    uint64_t version = 0;
    uint32_t state = 99;

    if (!same(event->topic, "good") || !same(event->source, "test")) return fail(self, call, "the event is another");
    if (event->header_count != 1 || !same(event->headers[0].key, "x-test")) return fail(self, call, "no header");
    if (host->remaining_ms(call) == 0) return fail(self, call, "no time");
    if (host->extension(self->ctx, bytes("hookyard.nothing/1")) != NULL) return fail(self, call, "an extension");
    if (host->metric != NULL) host->metric(self->ctx, HOOKYARD_COUNTER, bytes("calls"), 1.0, NULL, 0);

    if (host->secret(self->ctx, call, bytes("token"), &value) != HOOKYARD_OK || !same(value, "s3cret"))
        return fail(self, call, "no secret");
    if (host->step_key(call, bytes("charge"), &key) != HOOKYARD_OK || key.len == 0) return fail(self, call, "no key");
    if (host->step_begin(call, bytes("charge"), &state, &memo) != HOOKYARD_OK) return fail(self, call, "no step");
    if (state == HOOKYARD_STEP_RUN) {
        if (host->step_end(call, bytes("charge"), bytes("42")) != HOOKYARD_OK) return fail(self, call, "no end");
        detail.message = bytes("charged");
    } else if (state == HOOKYARD_STEP_DONE && same(memo, "42")) {
        detail.message = bytes("charged before");
    } else {
        return fail(self, call, "a step in no state");
    }

    if (host->kv_put(self->ctx, call, bytes("last"), event->event_id, UINT64_MAX) != HOOKYARD_OK)
        return fail(self, call, "no put");
    if (host->kv_get(self->ctx, call, bytes("last"), &value, &version) != HOOKYARD_OK || version == 0
        || value.len != event->event_id.len)
        return fail(self, call, "no get");
    if (host->kv_put(self->ctx, call, bytes("last"), bytes("x"), version + 7) != HOOKYARD_E_CONFLICT)
        return fail(self, call, "no conflict");

    field.key = bytes("state");
    field.val = bytes("fine");
    if (host->log_enabled(self->ctx, HOOKYARD_WARN))
        host->log(self->ctx, call, HOOKYARD_WARN, bytes("from C"), &field, 1);
    detail.size = sizeof detail;
    detail.result = bytes("{\"language\":\"c\"}");
    if (host->explain(call, &detail) != HOOKYARD_OK) return HOOKYARD_RETRY;
    return HOOKYARD_DONE;
}

static void destroy(void *instance) { free(instance); }

HOOKYARD_IDENTITY("com.hookyard.test.c", "0.1.0");
HOOKYARD_SETTINGS("{\"type\":\"object\",\"properties\":{\"colour\":{\"type\":\"string\"}}}");

static const hookyard_plugin plugin = {
    sizeof(hookyard_plugin), HOOKYARD_ABI_MAJOR, HOOKYARD_ABI_MINOR, MIN_HOST_MINOR, 0, FLAGS,
    HOOKYARD_LIT("com.hookyard.test.c"), HOOKYARD_LIT("0.1.0"), HOOKYARD_LIT("c99"), { NULL, 0 },
    create, handle, destroy, NULL, NULL,
};

const hookyard_plugin *hookyard_plugin_v1(void) { return &plugin; }
