/* A hookyard plugin: writes a letter for each event, once. Begin your own in handle(). */
#include "hookyard_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID "{{id}}"
#define VERSION "0.1.0"
#define SETTINGS                                                                                                  \
    "{\"type\":\"object\",\"required\":[\"letters\"],\"properties\":{"                                            \
    "\"greeting\":{\"type\":\"string\",\"description\":\"What a letter begins with.\"},"                          \
    "\"letters\":{\"type\":\"string\",\"description\":\"The folder that letters are written to.\"}}}"

HOOKYARD_IDENTITY(ID, VERSION);
HOOKYARD_SETTINGS(SETTINGS);

struct instance {
    const hookyard_host *host;
    hookyard_ctx *ctx;
    char letters[1024];
};

static hookyard_bytes bytes(const char *text)
{
    hookyard_bytes out;
    out.ptr = (const uint8_t *)text;
    out.len = strlen(text);
    return out;
}

static hookyard_status refuse(char *err, size_t err_cap, const char *sentence)
{
    snprintf(err, err_cap, "%s", sentence);
    return HOOKYARD_E_CONFIG;
}

/* The text after "letters": in the settings. hookyard has held them against SETTINGS by now. For more than this, bring a
 * JSON parser of your own. */
static int letters_of(hookyard_bytes json, char *out, size_t cap)
{
    static const char key[] = "\"letters\":\"";
    size_t at, end;
    for (at = 0; at + sizeof key - 1 < json.len; at++) {
        if (memcmp(json.ptr + at, key, sizeof key - 1) != 0) continue;
        at += sizeof key - 1;
        for (end = at; end < json.len && json.ptr[end] != '"'; end++) {}
        if (end == json.len || end - at >= cap) return 0;
        memcpy(out, json.ptr + at, end - at);
        out[end - at] = '\0';
        return 1;
    }
    return 0;
}

/* Called once. Opens what the plugin needs; a failure keeps the plugin that ran before. */
static hookyard_status create(const hookyard_host *host, hookyard_ctx *ctx, hookyard_bytes config_json,
                              void **instance, char *err, size_t err_cap)
{
    struct instance *self;
    if (!HOOKYARD_HAS(host, hookyard_host, step_key) || host->step_begin == NULL || host->step_end == NULL
        || host->step_key == NULL || host->explain == NULL) {
        refuse(err, err_cap, "this hookyard offers no steps: update it");
        return HOOKYARD_E_UNSUPPORTED;
    }
    self = calloc(1, sizeof *self);
    if (self == NULL) return HOOKYARD_E_IO;
    self->host = host;
    self->ctx = ctx;
    if (!letters_of(config_json, self->letters, sizeof self->letters)) {
        free(self);
        return refuse(err, err_cap, "`letters` is missing or too long: name a folder");
    }
    *instance = self;
    return HOOKYARD_OK;
}

static hookyard_outcome say(const struct instance *self, hookyard_call *call, hookyard_outcome outcome,
                            const char *code, const char *message)
{
    hookyard_detail detail = { 0 };
    detail.size = sizeof detail;
    detail.code = bytes(code);
    detail.message = bytes(message);
    self->host->explain(call, &detail);
    return outcome;
}

static int write_letter(const struct instance *self, hookyard_bytes key, const hookyard_event *event)
{
    char path[2048];
    FILE *letter;
    int ok;
    if (snprintf(path, sizeof path, "%s/%.*s.txt", self->letters, (int)key.len, (const char *)key.ptr)
        >= (int)sizeof path)
        return 0;
    letter = fopen(path, "w");
    if (letter == NULL) return 0;
    ok = fprintf(letter, "%.*s happened.\n", (int)event->topic.len, (const char *)event->topic.ptr) > 0;
    return fclose(letter) == 0 && ok;
}

/* Called for each attempt at a delivery, on several threads at once.
 *   HOOKYARD_DONE     finished: never delivered again
 *   HOOKYARD_IGNORE   not for this plugin: counted and kept
 *   HOOKYARD_REJECT   never: a dead letter, for a person to look at
 *   HOOKYARD_RETRY    not now: tried again by the handler's schedule; so is anything else, and a crash */
static hookyard_outcome handle(void *instance, hookyard_call *call, const hookyard_event *event)
{
    const struct instance *self = instance;
    const hookyard_host *host = self->host;
    hookyard_bytes memo, key;
    uint32_t state;

    /* A step is done once. Where a crash left it half done it is done again, so make that harmless: the step's key is
     * always the same, and the same key is the same file. */
    if (host->step_begin(call, bytes("letter"), &state, &memo) != HOOKYARD_OK
        || host->step_key(call, bytes("letter"), &key) != HOOKYARD_OK)
        return say(self, call, HOOKYARD_RETRY, "host", "the step could not be begun");
    if (state == HOOKYARD_STEP_DONE) return HOOKYARD_DONE;
    if (!write_letter(self, key, event))
        return say(self, call, HOOKYARD_RETRY, "letter", "the letter could not be written");
    if (host->step_end(call, bytes("letter"), bytes("written")) != HOOKYARD_OK)
        return say(self, call, HOOKYARD_RETRY, "host", "the step could not be recorded");
    return say(self, call, HOOKYARD_DONE, "", "the letter is written");
}

/* Called once, after the last handle() has returned. */
static void destroy(void *instance) { free(instance); }

static const hookyard_plugin plugin = {
    sizeof(hookyard_plugin), HOOKYARD_ABI_MAJOR, HOOKYARD_ABI_MINOR,
    0, /* the oldest host that it works with */
    0, /* reserved */
    0, /* flags: HOOKYARD_F_* */
    HOOKYARD_LIT(ID), HOOKYARD_LIT(VERSION), HOOKYARD_LIT("c99"), HOOKYARD_LIT(SETTINGS),
    create, handle, destroy, NULL, NULL,
};

HOOKYARD_EXPORT const hookyard_plugin *hookyard_plugin_v1(void) { return &plugin; }
