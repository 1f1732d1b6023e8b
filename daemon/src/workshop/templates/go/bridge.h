/* What Go calls of hookyard: Go cannot call through the table's pointers itself. */
#ifndef BRIDGE_H
#define BRIDGE_H
#include "hookyard_plugin.h"

/* Begins the step and asks for its key; the key lives until the call ends. */
hookyard_status bridge_step_begin(const hookyard_host *host, hookyard_call *call, const char *step, size_t step_len,
                                  uint32_t *state, hookyard_bytes *key);
hookyard_status bridge_step_end(const hookyard_host *host, hookyard_call *call, const char *step, size_t step_len,
                                const char *memo, size_t memo_len);
void bridge_explain(const hookyard_host *host, hookyard_call *call, const char *code, size_t code_len,
                    const char *message, size_t message_len);
/* Writes a sentence that ends with a NUL, cut to what fits. */
void bridge_tell(char *err, size_t err_cap, const char *sentence);
#endif
