// A hookyard plugin: writes a letter for each event, once. Begin your own in handle.
//
// bridge.c holds the table of functions that hookyard calls, and makes hookyard's functions callable from Go.
package main

// #cgo CFLAGS: -std=c99 -I${SRCDIR}/include
// #include "bridge.h"
import "C"

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/cgo"
	"unsafe"
)

type settings struct {
	Greeting string `json:"greeting"`
	Letters  string `json:"letters"`
}

type plugin struct {
	host     *C.hookyard_host
	settings settings
}

// What is read of the event: the rest is skipped.
type body struct {
	Data struct {
		Object struct {
			CustomerDetails *struct {
				Name string `json:"name"`
			} `json:"customer_details"`
		} `json:"object"`
	} `json:"data"`
}

// Called once. Opens what the plugin needs; an error keeps the plugin that ran before.
func create(host *C.hookyard_host, config []byte) (*plugin, error) {
	made := &plugin{host: host}
	if err := json.Unmarshal(config, &made.settings); err != nil {
		return nil, err
	}
	if info, err := os.Stat(made.settings.Letters); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is no folder: make it, or name another in `letters`", made.settings.Letters)
	}
	return made, nil
}

// Called for each attempt at a delivery, on several threads at once.
//
//	HOOKYARD_DONE    finished: never delivered again
//	HOOKYARD_IGNORE  not for this plugin: counted and kept
//	HOOKYARD_REJECT  never: a dead letter, for a person to look at
//	HOOKYARD_RETRY   not now: tried again by the handler's schedule; so is anything else, and a crash
func (p *plugin) handle(call *C.hookyard_call, event []byte) (outcome C.hookyard_outcome, code, message string) {
	var read body
	if err := json.Unmarshal(event, &read); err != nil {
		return C.HOOKYARD_REJECT, "invalid_json", "the body cannot be read"
	}
	if read.Data.Object.CustomerDetails == nil {
		return C.HOOKYARD_REJECT, "name_missing", "the session does not say who bought"
	}
	// A step is done once. Where a crash left it half done it is done again, so make that harmless: the step's key is
	// always the same, and the same key is the same file.
	state, key, status := p.stepBegin(call, "letter")
	if status != C.HOOKYARD_OK {
		return C.HOOKYARD_RETRY, "host", "the step could not be begun"
	}
	if state == C.HOOKYARD_STEP_DONE {
		return C.HOOKYARD_DONE, "", "written before"
	}
	letter := fmt.Sprintf("%s %s,\n", p.settings.Greeting, read.Data.Object.CustomerDetails.Name)
	if err := os.WriteFile(filepath.Join(p.settings.Letters, key+".txt"), []byte(letter), 0o644); err != nil {
		return C.HOOKYARD_RETRY, "letter", err.Error()
	}
	if p.stepEnd(call, "letter", "\"written\"") != C.HOOKYARD_OK {
		return C.HOOKYARD_RETRY, "host", "the step could not be recorded"
	}
	return C.HOOKYARD_DONE, "", "the letter is written"
}

func (p *plugin) stepBegin(call *C.hookyard_call, step string) (C.uint32_t, string, C.hookyard_status) {
	var state C.uint32_t
	var key C.hookyard_bytes
	status := C.bridge_step_begin(p.host, call, text(step), C.size_t(len(step)), &state, &key)
	if status != C.HOOKYARD_OK {
		return state, "", status
	}
	return state, string(bytes(key)), status
}

func (p *plugin) stepEnd(call *C.hookyard_call, step, memo string) C.hookyard_status {
	return C.bridge_step_end(p.host, call, text(step), C.size_t(len(step)), text(memo), C.size_t(len(memo)))
}

func text(s string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(s))) }

// A copy: what hookyard lends lives only until the call ends.
func bytes(b C.hookyard_bytes) []byte { return C.GoBytes(unsafe.Pointer(b.ptr), C.int(b.len)) }

//export goCreate
func goCreate(host *C.hookyard_host, config C.hookyard_bytes, err *C.char, errCap C.size_t) (instance C.uintptr_t) {
	defer func() {
		if panicked := recover(); panicked != nil {
			C.bridge_tell(err, errCap, text(fmt.Sprint(panicked)+"\x00"))
		}
	}()
	made, failed := create(host, bytes(config))
	if failed != nil {
		C.bridge_tell(err, errCap, text(failed.Error()+"\x00"))
		return 0
	}
	return C.uintptr_t(cgo.NewHandle(made))
}

//export goHandle
func goHandle(instance C.uintptr_t, call *C.hookyard_call, event *C.hookyard_event) (outcome C.hookyard_outcome) {
	defer func() {
		if recover() != nil {
			outcome = C.HOOKYARD_E_PANIC
		}
	}()
	made := cgo.Handle(instance).Value().(*plugin)
	outcome, code, message := made.handle(call, bytes(event.body))
	C.bridge_explain(made.host, call, text(code), C.size_t(len(code)), text(message), C.size_t(len(message)))
	return outcome
}

//export goDestroy
func goDestroy(instance C.uintptr_t) { cgo.Handle(instance).Delete() }

func main() {}
