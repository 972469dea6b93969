// SPDX-License-Identifier: Apache-2.0

package otlpgrpc

import "sync/atomic"

// headers are those of the next requests.
type headers struct {
	now atomic.Pointer[map[string]string]
}

func (h *headers) set(to map[string]string) { h.now.Store(&to) }

func (h *headers) get() map[string]string { return *h.now.Load() }
