// SPDX-License-Identifier: Apache-2.0

package exporter

// Cause says why traces were lost. Beside the ones below, it may be the name of a
// gRPC status code in lower case, such as "unavailable" or "deadline_exceeded".
type Cause string

// The causes that do not come from the other side.
const (
	// CauseQueueFull: they came faster than they could be sent.
	CauseQueueFull Cause = "queue_full"
	// CauseRejected: the receiver accepted a request but not all of its spans
	// (OTLP's partial success). It does not say to which traces these belong, so
	// that only their spans are counted, unless all spans were rejected.
	CauseRejected Cause = "rejected"
	// CauseTooLarge: one trace alone was larger than the receiver's limit.
	CauseTooLarge Cause = "too_large"
	// CauseShutdown: they were not yet sent when the time for Shutdown was over,
	// or came after it.
	CauseShutdown Cause = "shutdown"
	// CauseWrite: they could not be written.
	CauseWrite Cause = "write"
	// CauseSpoolFull: the spool was full, and these were the oldest traces in it.
	CauseSpoolFull Cause = "spool_full"
	// CauseSpoolWrite: the queue in memory was full, or had to end, and the disk took no more of it
	// or the spool could not be opened.
	CauseSpoolWrite Cause = "spool_write"
	// CauseSpoolCorrupt: they were in the spool and could not be read back.
	CauseSpoolCorrupt Cause = "spool_corrupt"
	// CauseKilled: they were in the memory of an earlier process that used the same
	// spool and died without a Shutdown.
	CauseKilled Cause = "killed"
)

// KnownCause documents a [Cause].
type KnownCause struct {
	Cause Cause
	// Where is the part that loses them.
	Where string
	// Meaning says why, and Remedy what to do about it.
	Meaning, Remedy string
}

// Causes returns all causes that do not come from the other side. The page docs/losses.md
// is made from them, and metrics show each from the beginning.
func Causes() []KnownCause {
	return []KnownCause{
		{
			CauseQueueFull, "queue", "the backend or the disk could not keep up with the traces",
			"Use a spool (`export.spool.dir`), send fewer traces (`--sample-ratio`, `sampling.ratio`), or enlarge the queue (`export.queue`).",
		},
		{
			CauseSpoolFull, "spool", "the spool was full, and these were the oldest traces in it",
			"Restore the backend, or raise `export.spool.max_bytes`.",
		},
		{
			CauseSpoolWrite, "spool", "the queue in memory was full or had to end, and the disk accepted no more or the spool could not be opened",
			"Free space on the spool's disk, or make its directory usable; the log says why it is not.",
		},
		{
			CauseSpoolCorrupt, "spool", "a record on disk was not what had been written",
			"Check the spool's disk.",
		},
		{
			CauseKilled, "spool", "they were only in memory when the process was killed; counted at the next start",
			"Find out what kills it: the kernel when it runs out of memory, or the service manager after a timeout.",
		},
		{
			CauseRejected, "backend", "the backend accepted a request, but not all spans in it",
			"The log shows the backend's reason.",
		},
		{
			CauseTooLarge, "backend", "a single trace was larger than the backend's limit for a message",
			"Raise the limit in the backend (`max_recv_msg_size_mib` in a Collector).",
		},
		{
			CauseWrite, "file", "the file could not be written",
			"Free space on the file's disk.",
		},
		{
			CauseShutdown, "exporter", "they had not been sent when the time for shutdown was over",
			"Use a spool (`export.spool.dir`), or allow more time (`shutdown.timeout`).",
		},
	}
}
