/* A plugin with two effects at a far side, each in a step of its own, that dies after one of its host calls: after the
 * DIE-th, in its first DYING attempts at an event. Its settings are {"die":DIE,"dying":DYING,"far":"FILE"}; each effect is
 * a line in that file: its name and its idempotency key. */
#include "hookyard_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct instance {
    const hookyard_host *host;
    hookyard_ctx *ctx;
    long die, dying;
    char far[512];
};

/* The host calls of one attempt. */
struct attempt {
    const struct instance *self;
    hookyard_call *call;
    long made;
    int dies;
};

static hookyard_bytes bytes(const char *text)
{
    hookyard_bytes out;
    out.ptr = (const uint8_t *)text;
    out.len = strlen(text);
    return out;
}

static hookyard_status create(const hookyard_host *host, hookyard_ctx *ctx, hookyard_bytes config_json,
                              void **instance, char *err, size_t err_cap)
{
    struct instance *self = calloc(1, sizeof *self);
    char settings[1024] = { 0 };
    (void)err;
    (void)err_cap;
    if (self == NULL || config_json.len >= sizeof settings) return HOOKYARD_E_CONFIG;
    memcpy(settings, config_json.ptr, config_json.len);
    if (sscanf(settings, "{\"die\":%ld,\"dying\":%ld,\"far\":\"%511[^\"]", &self->die, &self->dying, self->far) != 3)
        return HOOKYARD_E_CONFIG;
    self->host = host;
    self->ctx = ctx;
    *instance = self;
    return HOOKYARD_OK;
}

/* A host call has returned: was it the last one? */
static void made(struct attempt *attempt)
{
    attempt->made += 1;
    if (attempt->dies && attempt->made == attempt->self->die) abort();
}

static int far_side(const struct attempt *attempt, const char *effect, hookyard_bytes key)
{
    FILE *far = fopen(attempt->self->far, "a");
    if (far == NULL) return 0;
    fprintf(far, "%s %.*s\n", effect, (int)key.len, (const char *)key.ptr);
    return fclose(far) == 0;
}

/* The far side absorbs an effect that comes twice by its key, so a doubtful step is simply made again. */
static int effect(struct attempt *attempt, const char *name)
{
    const hookyard_host *host = attempt->self->host;
    hookyard_bytes memo, key;
    uint32_t state = 99;
    if (host->step_begin(attempt->call, bytes(name), &state, &memo) != HOOKYARD_OK) return 0;
    made(attempt);
    if (state == HOOKYARD_STEP_DONE) return 1;
    if (state == HOOKYARD_STEP_UNSURE) {
        host->log(attempt->self->ctx, attempt->call, HOOKYARD_WARN, bytes(name), NULL, 0);
        made(attempt);
    }
    if (host->step_key(attempt->call, bytes(name), &key) != HOOKYARD_OK) return 0;
    made(attempt);
    if (!far_side(attempt, name, key)) return 0;
    made(attempt); /* no host call, and the worst place of all */
    if (host->step_end(attempt->call, bytes(name), bytes("made")) != HOOKYARD_OK) return 0;
    made(attempt);
    return 1;
}

static hookyard_outcome handle(void *instance, hookyard_call *call, const hookyard_event *event)
{
    const struct instance *self = instance;
    const hookyard_host *host = self->host;
    struct attempt attempt = { 0 };
    hookyard_detail detail = { 0 };
    hookyard_bytes value;
    uint64_t version;

    attempt.self = self;
    attempt.call = call;
    attempt.dies = event->attempt <= (uint32_t)self->dying;
    if (host->remaining_ms(call) == 0) return HOOKYARD_RETRY;
    made(&attempt);
    host->log(self->ctx, call, HOOKYARD_INFO, bytes("begun"), NULL, 0);
    made(&attempt);
    if (host->secret(self->ctx, call, bytes("token"), &value) != HOOKYARD_OK) return HOOKYARD_RETRY;
    made(&attempt);
    if (!effect(&attempt, "charge")) return HOOKYARD_RETRY;
    host->kv_get(self->ctx, call, bytes("last"), &value, &version);
    made(&attempt);
    if (host->kv_put(self->ctx, call, bytes("last"), event->event_id, UINT64_MAX) != HOOKYARD_OK) return HOOKYARD_RETRY;
    made(&attempt);
    if (!effect(&attempt, "mail")) return HOOKYARD_RETRY;
    detail.size = sizeof detail;
    detail.message = bytes("both are made");
    host->explain(call, &detail);
    made(&attempt);
    return HOOKYARD_DONE;
}

static void destroy(void *instance) { free(instance); }

static const hookyard_plugin plugin = {
    sizeof(hookyard_plugin), HOOKYARD_ABI_MAJOR, HOOKYARD_ABI_MINOR, 0, 0, 0,
    HOOKYARD_LIT("com.hookyard.test.effects"), HOOKYARD_LIT("0.1.0"), HOOKYARD_LIT("c99"), { NULL, 0 },
    create, handle, destroy, NULL, NULL,
};

const hookyard_plugin *hookyard_plugin_v1(void) { return &plugin; }
